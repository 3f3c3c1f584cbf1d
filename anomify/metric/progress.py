"""The judging progress of metrics, written in bulk, and the queue of rebuilds."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, case, or_, select, update

from anomify.db import among, batches, session, upsert
from anomify.job.model import DEAD
from anomify.job.queue import Queue
from anomify.metric.model import Progress, Rebuild

# With more late points than this, the scores of a metric are rebuilt (spec/storage.md 10.6).
MOST_UNJUDGED_LATE = 10

# A back-fill in progress delays its rebuild, up to a limit, so that it is done once.
REBUILD_SETTLES_AFTER = timedelta(seconds=5)
REBUILD_WAITS_AT_MOST = timedelta(minutes=5)
REBUILD_LEASE = timedelta(minutes=10)
MOST_REBUILD_ATTEMPTS = 3


def _pause(_attempts: int) -> timedelta:
    return REBUILD_LEASE


REBUILDS = Queue(Rebuild, REBUILD_LEASE, MOST_REBUILD_ATTEMPTS, _pause)


@dataclass(frozen=True, slots=True)
class Step:
    """A metric's progress after a tick, as plain values for one bulk statement."""

    metric_id: int
    judged_until_ms: int
    points_seen: int
    last_value: float
    resolution_ms: int
    is_counter: bool
    is_constant: bool
    has_ended: bool
    learning_points: int
    stale_after_ms: int
    may_be_silent: bool
    silent_from_ms: int | None
    young_until_ms: int


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest point of a metric whose points are stored but not judged."""

    metric_id: int
    time_ms: int
    value: float


def record_progress(steps: Sequence[Step]) -> None:
    """Write the progress of each metric; the counts of late points are unchanged."""
    if not steps:
        return
    rows = [{**asdict(step), "late_points": 0, "unjudged_late_points": 0} for step in steps]
    statement = upsert(Progress)
    kept = {"metric_id", "late_points", "unjudged_late_points"}
    changed = {
        column.name: statement.excluded[column.name]
        for column in Progress.__table__.columns
        if column.name not in kept
    }
    # A metric that is learnt again from a part of its past seems newer than it is.
    new, known = statement.excluded["young_until_ms"], Progress.young_until_ms
    is_better = and_(new > 0, or_(known == 0, new < known))
    changed["young_until_ms"] = case((is_better, new), else_=known)
    session().execute(
        statement.on_conflict_do_update(index_elements=["metric_id"], set_=changed), rows
    )


def progress_by_metric(metric_ids: Iterable[int]) -> dict[int, Progress]:
    """Return the progress of those of these metrics, of any org, that have some, by metric id."""
    rows = session().scalars(select(Progress).where(among(Progress.metric_id, metric_ids)))
    return {row.metric_id: row for row in rows}


def record_left_out(newest: Sequence[Latest]) -> None:
    """Write the newest point of metrics that are not judged; their silence is no anomaly."""
    if not newest:
        return
    rows = [
        {
            "metric_id": each.metric_id,
            "judged_until_ms": each.time_ms,
            "points_seen": 0,
            "last_value": each.value,
            "resolution_ms": 0,
        }
        for each in newest
    ]
    statement = upsert(Progress)
    new = statement.excluded
    session().execute(
        statement.on_conflict_do_update(
            index_elements=["metric_id"],
            set_={
                "judged_until_ms": new.judged_until_ms,
                "last_value": new.last_value,
                "has_ended": False,
                "silent_from_ms": None,
            },
            where=new.judged_until_ms >= Progress.judged_until_ms,
        ),
        rows,
    )


def mark_ended(metric_ids: Iterable[int]) -> None:
    """Record that the senders of these metrics have ended the series."""
    ended = list(metric_ids)
    for some in batches(ended):
        session().execute(
            update(Progress)
            .where(Progress.metric_id.in_(some))
            .values(has_ended=True, silent_from_ms=None)
        )


def list_awaited() -> list[tuple[int, int, int]]:
    """Return the metrics of any org whose silence would be an anomaly.

    Each item is a metric id, the time from which its silence is an anomaly, and the time of its
    newest point.
    """
    columns = (Progress.metric_id, Progress.silent_from_ms, Progress.judged_until_ms)
    rows = session().execute(
        select(*columns).where(Progress.silent_from_ms.is_not(None), Progress.has_ended.is_(False))
    )
    return [
        (metric_id, from_ms, judged_until_ms)
        for metric_id, from_ms, judged_until_ms in rows
        if from_ms is not None
    ]


def take_overdue(metric_ids: Sequence[int]) -> list[Progress]:
    """Return the progress of those metrics that are still expected, and stop expecting them."""
    overdue: list[Progress] = []
    for some in batches(metric_ids):
        overdue += session().scalars(
            select(Progress).where(
                Progress.metric_id.in_(some),
                Progress.silent_from_ms.is_not(None),
                Progress.has_ended.is_(False),
            )
        )
    for progress in overdue:
        progress.silent_from_ms = None
    return overdue


def allow_silence(metric_id: int, *, is_allowed: bool) -> None:
    """Allow a metric to be silent, or expect points again after the next one."""
    session().execute(
        update(Progress)
        .where(Progress.metric_id == metric_id)
        .values(may_be_silent=is_allowed, silent_from_ms=None)
    )


def count_late(metric_id: int, count: int, at: datetime, *, is_backfill: bool) -> None:
    """Count points that arrived too late to be judged, and request a rebuild if it is due."""
    unjudged = session().scalar(
        update(Progress)
        .where(Progress.metric_id == metric_id)
        .values(
            late_points=Progress.late_points + count,
            unjudged_late_points=Progress.unjudged_late_points + count,
        )
        .returning(Progress.unjudged_late_points)
    )
    if is_backfill or (unjudged or 0) > MOST_UNJUDGED_LATE:
        request_rebuild(metric_id, "back-fill" if is_backfill else "late points", at)


def request_rebuild(metric_id: int, reason: str, at: datetime) -> None:
    """Queue one rebuild of the metric's scores, or delay the one that is queued.

    It waits until nothing more has been requested for REBUILD_SETTLES_AFTER, and at most
    REBUILD_WAITS_AT_MOST. One that failed waits for its pause in any case.
    """
    waiting = session().get(Rebuild, metric_id)
    due_at = at + REBUILD_SETTLES_AFTER
    if waiting is None:
        waiting = Rebuild(metric_id=metric_id, reason=reason, created_at=at, due_at=due_at)
        session().add(waiting)
        return
    if waiting.state == DEAD:
        waiting.created_at = at
    REBUILDS.request_again(waiting, min(due_at, waiting.created_at + REBUILD_WAITS_AT_MOST))


def is_rebuild_due(at: datetime) -> bool:
    """Return whether a claim might find a rebuild; this changes and locks nothing."""
    return REBUILDS.is_any_due(at)


def claim_rebuild(at: datetime) -> Rebuild | None:
    """Lease the rebuild that has been due longest to the caller; None where none is due."""
    claimed = REBUILDS.claim(at, 1)
    return claimed[0] if claimed else None


def settle_rebuild(metric_id: int, at: datetime) -> None:
    """Remove a finished rebuild from the queue, and reset the count of unjudged late points.

    One that was requested again since it was claimed is done again. The lease is not checked: only
    the process that judges writes the results, and its transactions fail after another took over.
    """
    REBUILDS.finish_unleased(metric_id, at)
    session().execute(
        update(Progress).where(Progress.metric_id == metric_id).values(unjudged_late_points=0)
    )


def fail_rebuild(metric_id: int, leased_until: datetime, error: str, at: datetime) -> None:
    """Store why a rebuild failed; it is tried again after a pause."""
    REBUILDS.fail(metric_id, leased_until, error, at)

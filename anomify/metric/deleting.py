"""Delete metrics: the row at once, its points later; ids are never used again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, literal, or_, select, update

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import among, session
from anomify.errors import NotFound
from anomify.metric.model import DeletedMetric, Metric

# After this time no points of a deleted metric can be waiting in the log.
SETTLED_AFTER: Final = timedelta(hours=1)
# No process can still use a deleted id after this time.
REMEMBERED_FOR: Final = timedelta(days=30)
# The longest time between the deletion of metrics and its commit.
COMMITTED_WITHIN: Final = timedelta(minutes=10)


def delete_metric(metric: Metric, actor: str) -> None:
    """Delete a metric and all rows that belong to it, and free its place in the quota.

    Its points are deleted within an hour. The next point of its name creates a new metric without
    any history. Raises NotFound if the metric was deleted by another request.
    """
    # The metric is locked before the rows that refer to it, in the same order everywhere.
    locked = select(Metric.id).where(Metric.id == metric.id).with_for_update()
    if session().scalar(locked) is None:
        raise NotFound("The metric has been deleted already.")
    record_audit(metric.org_id, actor=actor, action="metric.delete", target=metric.name)
    session().add(DeletedMetric(metric_id=metric.id, deleted_at=now()))
    # The database deletes the rows that refer to it by cascade.
    session().execute(delete(Metric).where(Metric.id == metric.id))


def bury_metrics_of(org_id: int) -> None:
    """Record the ids of all metrics of an org that is about to be deleted."""
    session().execute(
        insert(DeletedMetric).from_select(
            ["metric_id", "deleted_at"],
            select(Metric.id, literal(now(), DeletedMetric.deleted_at.type)).where(
                Metric.org_id == org_id
            ),
        )
    )


def hold_metrics(metric_ids: Iterable[int]) -> None:
    """Lock these metrics against deletion until the open unit of work ends.

    Some may be deleted already. Locks are taken in order of id, as in deletions. On SQLite there
    is only one writer, so no lock is needed.
    """
    if session().get_bind().dialect.name != "sqlite":
        held = select(Metric.id).where(among(Metric.id, metric_ids)).order_by(Metric.id)
        session().execute(held.with_for_update(read=True, key_share=True))


def deleted_ids() -> frozenset[int]:
    """Return the ids of recently deleted metrics; points for them are discarded."""
    return frozenset(session().scalars(select(DeletedMetric.metric_id)))


class DeletedMetrics:
    """Follows deletions of metrics; each call reads only those since the last call."""

    def __init__(self) -> None:
        """Start with no known deletions."""
        self._known: set[int] = set()
        self._last_at: datetime | None = None

    def find_new(self) -> list[int]:
        """Return the ids of deleted metrics that no earlier call has returned."""
        rows = select(DeletedMetric.metric_id, DeletedMetric.deleted_at)
        if self._last_at is not None:
            # An earlier deletion may be committed later.
            rows = rows.where(DeletedMetric.deleted_at >= self._last_at - COMMITTED_WITHIN)
        new_ids = []
        for metric_id, deleted_at in session().execute(rows):
            self._last_at = max(self._last_at or deleted_at, deleted_at)
            if metric_id not in self._known:
                self._known.add(metric_id)
                new_ids.append(metric_id)
        return new_ids


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Metrics whose points are to be deleted now: finally, or as far as they are in chunks."""

    for_good: list[int]
    first: list[int]

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.for_good or self.first)

    @property
    def metric_ids(self) -> list[int]:
        """All of them."""
        return self.for_good + self.first


def list_unsettled(at: datetime, most: int) -> Unsettled:
    """Return metrics whose points are to be deleted at this time, in order of their deletion.

    Stored points are deleted soon, and those that the log still held are deleted an hour later.
    """
    is_over = DeletedMetric.deleted_at <= at - SETTLED_AFTER
    rows = session().execute(
        select(DeletedMetric.metric_id, is_over)
        .where(
            DeletedMetric.points_gone_at.is_(None),
            or_(DeletedMetric.first_swept_at.is_(None), is_over),
        )
        .order_by(DeletedMetric.deleted_at, DeletedMetric.metric_id)
        .limit(most)
    )
    unsettled = Unsettled([], [])
    for metric_id, for_good in rows:
        (unsettled.for_good if for_good else unsettled.first).append(metric_id)
    return unsettled


def settle_deleted(unsettled: Unsettled, at: datetime) -> None:
    """Record that the points of these metrics were deleted, and delete the oldest records."""
    for metric_ids, noted in (
        (unsettled.first, {"first_swept_at": at}),
        (unsettled.for_good, {"first_swept_at": at, "points_gone_at": at}),
    ):
        if metric_ids:
            session().execute(
                update(DeletedMetric)
                .where(among(DeletedMetric.metric_id, metric_ids))
                .values(**noted)
                .execution_options(synchronize_session=False)
            )
    session().execute(
        delete(DeletedMetric).where(
            DeletedMetric.points_gone_at.is_not(None),
            DeletedMetric.deleted_at < at - REMEMBERED_FOR,
        )
    )

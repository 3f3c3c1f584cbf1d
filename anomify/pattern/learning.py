"""Find recurring anomalies and propose patterns of them, which are proven before they are used."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from anomify.anomaly.model import Anomaly, Span
from anomify.audit.recording import record_audit
from anomify.clock import datetime_from_ms, to_ms
from anomify.db import session
from anomify.detection.excursion import Excursion
from anomify.detection.pattern_match import Patterns
from anomify.metric.model import Metric, Progress
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.pattern.error_like import is_error_like
from anomify.pattern.lineage import set_state
from anomify.pattern.made_patterns import (
    PatternFields,
    Trainer,
    make_patterns,
    onset_of,
    read_judged,
)
from anomify.pattern.matching import read_in_reach
from anomify.pattern.model import (
    MACHINE,
    CreatorType,
    Pattern,
    PatternOrigin,
    PatternSeries,
    PatternState,
    Scope,
    WouldHide,
)
from anomify.pattern.points import (
    context_ms,
    excursion_in,
    excursion_of,
    judged_series,
    without_earlier,
)
from anomify.pattern.trainability import DAY_SECONDS

LOOKED_BACK: Final = timedelta(days=30)
"""Anomalies that began before this are not compared."""

RECENT: Final = timedelta(days=2)
"""Only metrics that had an anomaly within this are looked at."""

DAYS_NEEDED: Final = 3
"""Anomalies that are alike have to begin on so many days before a pattern of them is proposed."""

PROVEN_AFTER: Final = timedelta(days=14)
"""A proposed pattern is used when it would have been right for so long."""

RECURRENCES_NEEDED: Final = 2
"""So many anomalies it has to explain meanwhile."""

DECAYS_AFTER: Final = timedelta(days=28)
"""A pattern that explained nothing for so long is proposed again, and after as long retired."""

MOST_COMPARED: Final = 60
MOST_METRICS: Final = 1000
# The points after the last one over the threshold that may still belong to an excursion.
_READ_AFTER_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Alike:
    """An anomaly that a pattern would have explained, and how like it is, 0 to 100."""

    anomaly_id: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """Anomalies that recur: the one to make a pattern of, and all that it would have explained."""

    metric_id: int
    anomaly_id: int
    excursion: Excursion
    would_hide: Sequence[Alike]
    # On how many days these began.
    days: int


def list_recurring_metrics(at: datetime) -> list[int]:
    """Return the metrics that may have recurring anomalies, those with the newest ones first.

    Only of orgs that want proposals.
    """
    newest = func.max(Span.started_ms)
    rows = session().execute(
        select(Span.metric_id)
        .join(Anomaly)
        .join(Org, Org.id == Anomaly.org_id)
        .where(
            Org.learns_patterns,
            Anomaly.opened_at >= at - LOOKED_BACK,
            Anomaly.expected.is_(None),
            Span.is_open.is_(False),
            Span.is_silence.is_(False),
            Span.watcher_id == 0,
        )
        .group_by(Span.metric_id)
        .having(func.count() >= DAYS_NEEDED, newest >= to_ms(at - RECENT))
        .order_by(newest.desc(), Span.metric_id)
        .limit(MOST_METRICS)
    )
    return [metric_id for (metric_id,) in rows]


def find_proposal(metric_id: int, points: PointStore, at: datetime) -> Proposal | None:
    """Return what recurs on a metric and no pattern covers yet, rejected ones included.

    Nothing is learnt of metrics that count errors. Only reads.
    """
    metric = session().get(Metric, metric_id)
    progress = session().get(Progress, metric_id)
    if metric is None or progress is None or is_error_like(metric.name):
        return None
    org = session().get_one(Org, metric.org_id)
    if not org.learns_patterns:
        return None
    zone = ZoneInfo(org.timezone)
    known = read_in_reach(
        org.id,
        metric_id,
        None,
        zone,
        (PatternState.ACTIVE, PatternState.PROPOSED, PatternState.DISABLED),
    )
    spans = _closed_spans(metric_id, at - LOOKED_BACK)
    excursions = [
        (span, current)
        for span in spans
        if (current := _excursion_of(span, progress, points, zone)) is not None
        and (known is None or known.explain(current) is None)
    ]
    best: Proposal | None = None
    most_days = DAYS_NEEDED - 1
    for span, current in excursions:
        alike = _explained_by(Patterns([without_earlier(current)]), excursions)
        started = {other.anomaly_id: other.started_ms for other, _ in excursions}
        days = len({_day(started[each.anomaly_id], zone) for each in alike})
        if days > most_days:
            most_days = days
            best = Proposal(metric_id, span.anomaly_id, current, alike, days)
    return best


def propose(proposal: Proposal, points: PointStore, at: datetime) -> Pattern | None:
    """Store a proposed pattern; None where its metric or anomaly was deleted meanwhile."""
    metric = session().get(Metric, proposal.metric_id)
    span = session().get(Span, proposal.anomaly_id)
    progress = session().get(Progress, proposal.metric_id)
    if metric is None or span is None or progress is None:
        return None
    fields = PatternFields(
        org_id=metric.org_id,
        metric=metric,
        anomaly_id=proposal.anomaly_id,
        positive=False,
        label="",
        scope=Scope.METRIC,
        trainer=Trainer(MACHINE),
        origin=PatternOrigin.LEARNT,
        creator_type=CreatorType.MACHINE,
        state=PatternState.PROPOSED,
    )
    series = read_judged(points, span, progress, DAY_SECONDS)
    [pattern] = make_patterns(fields, proposal.excursion, series, [DAY_SECONDS])
    pattern.state_reason = f"It recurred on {proposal.days} days."
    _store_hidden(pattern, proposal.would_hide, at)
    _record(pattern, "pattern.propose")
    return pattern


def list_learnt(states: Iterable[PatternState]) -> list[int]:
    """Return the ids of the patterns of any org that the product has found, in these states."""
    return list(
        session().scalars(
            select(Pattern.id)
            .where(
                Pattern.origin == PatternOrigin.LEARNT,
                Pattern.state.in_([state.value for state in states]),
            )
            .order_by(Pattern.id)
        )
    )


def find_hidden_since(pattern_id: int, points: PointStore) -> list[Alike]:
    """Return the anomalies that a proposed pattern would have explained since the last call."""
    row = session().execute(
        select(Pattern, PatternSeries, Org.timezone)
        .join(PatternSeries, PatternSeries.pattern_id == Pattern.id)
        .join(Org, Org.id == Pattern.org_id)
        .where(Pattern.id == pattern_id, Pattern.state == PatternState.PROPOSED)
    )
    found = row.first()
    progress = None if found is None else session().get(Progress, found[0].metric_id)
    if found is None or progress is None:
        return []
    pattern, stored, timezone = found
    zone = ZoneInfo(timezone)
    seen = set(
        session().scalars(select(WouldHide.anomaly_id).where(WouldHide.pattern_id == pattern.id))
    )
    spans = [
        span
        for span in _closed_spans(pattern.metric_id, pattern.state_at, is_any=True)
        if span.anomaly_id not in seen
    ]
    excursions = [
        (span, current)
        for span in spans
        if (current := _excursion_of(span, progress, points, zone)) is not None
    ]
    return _explained_by(
        Patterns([without_earlier(excursion_of(pattern, stored, zone))]), excursions
    )


def review(pattern_id: int, hidden: Sequence[Alike], at: datetime) -> None:
    """Store what a pattern would have hidden, and use, decay or retire it if that is due.

    It is used when it would have explained recurrences for two weeks and no label contradicts; one
    that explains nothing for four weeks is only proposed again, and after four more retired.
    """
    pattern = session().get(Pattern, pattern_id, with_for_update=True, populate_existing=True)
    if pattern is None or pattern.origin != PatternOrigin.LEARNT:
        return
    if pattern.state == PatternState.ACTIVE:
        last_at = max(_moment(pattern.last_match_ms), pattern.state_at)
        if at - last_at >= DECAYS_AFTER:
            _change(pattern, PatternState.PROPOSED, at, "It explained nothing for four weeks.")
        return
    if pattern.state != PatternState.PROPOSED:
        return
    _store_hidden(pattern, hidden, at)
    times, contradictions = _hidden_since(pattern)
    org = session().get_one(Org, pattern.org_id)
    if contradictions:
        _change(
            pattern,
            PatternState.DISABLED,
            at,
            "What it would have hidden was labelled as unexpected.",
        )
    elif at - max([pattern.state_at, *times]) >= DECAYS_AFTER:
        _change(pattern, PatternState.RETIRED, at, "It did not recur for four weeks.")
    elif (
        org.learns_patterns
        and at - pattern.state_at >= PROVEN_AFTER
        and len(times) >= RECURRENCES_NEEDED
    ):
        _change(pattern, PatternState.ACTIVE, at, "It would have been right for two weeks.")


def _closed_spans(metric_id: int, since: datetime, *, is_any: bool = False) -> list[Span]:
    """Return the newest ended anomalies of a metric, silences left out; labelled ones if `is_any`.

    Those that a pattern has closed are left out, too.
    """
    wanted = (
        select(Span)
        .join(Anomaly)
        .where(
            Span.metric_id == metric_id,
            Span.started_ms >= to_ms(since),
            Span.is_open.is_(False),
            Span.is_silence.is_(False),
            Span.watcher_id == 0,
            Span.ended_by_pattern_id.is_(None),
        )
        .order_by(Span.started_ms.desc())
        .limit(MOST_COMPARED)
    )
    if not is_any:
        wanted = wanted.where(Anomaly.expected.is_(None))
    return list(session().scalars(wanted))


def _excursion_of(
    span: Span, progress: Progress, points: PointStore, zone: ZoneInfo
) -> Excursion | None:
    """Return the whole excursion of an anomaly; None where it has not ended or is not stored."""
    series = points.read(
        span.metric_id,
        span.started_ms - context_ms(progress.resolution_ms),
        span.last_over_ms + _READ_AFTER_MS,
    )
    judged = judged_series(series, is_counter=progress.is_counter)
    found = excursion_in(judged, onset_of(span), progress.resolution_ms, zone)
    return found if found is not None and found.is_complete else None


def _explained_by(patterns: Patterns, excursions: Iterable[tuple[Span, Excursion]]) -> list[Alike]:
    found = [
        (span, explanation)
        for span, current in excursions
        if (explanation := patterns.explain(without_earlier(current))) is not None
    ]
    return [Alike(span.anomaly_id, explanation.similarity) for span, explanation in found]


def _store_hidden(pattern: Pattern, hidden: Iterable[Alike], at: datetime) -> None:
    for each in hidden:
        key = (pattern.id, each.anomaly_id)
        is_there = session().get(Anomaly, each.anomaly_id) is not None
        if is_there and session().get(WouldHide, key) is None:
            session().add(
                WouldHide(
                    pattern_id=pattern.id,
                    anomaly_id=each.anomaly_id,
                    similarity=each.similarity,
                    found_at=at,
                )
            )
    session().flush()


def _hidden_since(pattern: Pattern) -> tuple[list[datetime], int]:
    """Return when the anomalies began that it would have hidden since it was proposed.

    Also how many of all that it would have hidden are labelled as unexpected.
    """
    rows = session().execute(
        select(Anomaly.opened_at, Anomaly.expected)
        .join(WouldHide, WouldHide.anomaly_id == Anomaly.id)
        .where(WouldHide.pattern_id == pattern.id)
    )
    labelled = [(opened_at, expected) for opened_at, expected in rows]
    return (
        [opened_at for opened_at, _ in labelled if opened_at >= pattern.state_at],
        sum(expected is False for _, expected in labelled),
    )


def _change(pattern: Pattern, state: PatternState, at: datetime, reason: str) -> None:
    set_state(pattern, state, by=MACHINE, at=at, reason=reason)
    _record(pattern, f"pattern.{_ACTIONS[state]}", reason)


_ACTIONS: Final = {
    PatternState.ACTIVE: "use",
    PatternState.PROPOSED: "decay",
    PatternState.DISABLED: "disable",
    PatternState.RETIRED: "retire",
}


def _record(pattern: Pattern, action: str, reason: str = "") -> None:
    metric = session().get_one(Metric, pattern.metric_id)
    record_audit(
        pattern.org_id,
        actor=MACHINE,
        action=action,
        target=metric.name,
        after={"pattern": pattern.id, "reason": reason or pattern.state_reason},
    )


def _day(time_ms: int, zone: ZoneInfo) -> str:
    return datetime_from_ms(time_ms).astimezone(zone).date().isoformat()


def _moment(time_ms: int | None) -> datetime:
    return datetime_from_ms(time_ms or 0)

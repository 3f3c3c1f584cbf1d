"""Open, extend and close anomalies; repeating a call changes nothing."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from uuid import uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.orm import joinedload

from anomify.anomaly.model import STATUS_ACTIVE, Anomaly, Peak, Span
from anomify.clock import datetime_from_ms, now
from anomify.db import batches, session
from anomify.detection.evidence import Evidence
from anomify.metric.model import Metric

# An anomaly closes when it has been normal for so many of the metric's steps, and no sooner than
# after five minutes.
CLOSING_STEPS = 3
CLOSING_LEAST_MS = 300_000

SEVERITIES = ("low", "medium", "high")
FLAT = Evidence.FLAT.name.lower()


@dataclass(frozen=True, slots=True)
class Observation:
    """One point over the threshold, with everything that is stored of it."""

    time_ms: int
    value: float
    expected_lower: float
    expected_upper: float
    score: float
    alert: float
    severity: str
    evidence: str
    explanation: str
    # How far it is from what was expected, and since when the evidence holds.
    amount: float | None = None
    since_ms: int | None = None
    is_silence: bool = False

    @property
    def distance(self) -> float:
        """Return how far the value is outside of its expected range, 0 inside."""
        return _distance(self.value, self.expected_lower, self.expected_upper)


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """What is recorded of an anomaly before its past is judged again."""

    anomaly_id: int
    started_ms: int
    last_over_ms: int
    peak: Observation
    outgrown_reason: str | None


def closing_after_ms(resolution_ms: int) -> int:
    """Return how long a metric must have been normal before its anomaly closes."""
    return max(CLOSING_STEPS * resolution_ms, CLOSING_LEAST_MS)


def is_more_severe(severity: str, than: str) -> bool:
    """Return whether the first severity is above the second."""
    return SEVERITIES.index(severity) > SEVERITIES.index(than)


def open_anomaly(
    metric: Metric, observation: Observation, near_ms: int = 0, *, watcher_id: int = 0
) -> Span:
    """Open an anomaly at this point, or reopen one that covers it or begins within `near_ms`.

    Thus a replay and a rebuild find the anomaly again, under the id that people know. `watcher_id`
    is the watcher whose threshold has found it, 0 for the engine.
    """
    span = session().scalar(
        select(Span)
        .where(
            Span.metric_id == metric.id,
            Span.is_silence.is_(observation.is_silence),
            Span.watcher_id == watcher_id,
            Span.started_ms <= observation.time_ms + near_ms,
            Span.last_over_ms >= observation.time_ms,
        )
        .order_by(Span.started_ms)
        .limit(1)
        .options(joinedload(Span.anomaly), joinedload(Span.metric))
    )
    opened_at = datetime_from_ms(observation.time_ms)
    if span is None:
        anomaly = Anomaly(
            uuid=str(uuid4()), org_id=metric.org_id, opened_at=opened_at, recorded_at=now()
        )
        span = Span(
            anomaly=anomaly,
            metric=metric,
            metric_id=metric.id,
            is_silence=observation.is_silence,
            watcher_id=watcher_id,
        )
        session().add(span)
    span.anomaly.opened_at = opened_at
    span.started_ms = observation.time_ms
    span.last_over_ms = observation.time_ms
    span.ended_ms = None
    span.is_open = True
    span.onset_lower = observation.expected_lower
    span.onset_upper = observation.expected_upper
    span.level_watch = None
    span.accepted_level = span.accepted_since_ms = None
    span.ended_by_silence = False
    span.ended_by_pattern_id = None
    span.outgrown_reason = None
    take_alert(span, observation)
    _take_as_peak(span, observation)
    session().flush()
    return span


def extend_anomaly(span: Span, observation: Observation) -> bool:
    """Extend the evidence to this point; return whether the severity has risen.

    Score, alert and severity stay those of the highest alert. Value, range, evidence and
    explanation are those of the peak: the point farthest outside of its range.
    """
    span.last_over_ms = max(span.last_over_ms, observation.time_ms)
    has_risen = is_more_severe(observation.severity, span.severity)
    is_peak = is_beyond_peak(span, observation)
    if observation.alert > span.alert:
        take_alert(span, observation)
    if is_peak:
        _take_as_peak(span, observation)
    return has_risen


def is_farther_outside(peak: Peak, observation: Observation) -> bool:
    """Return whether a point is farther outside of its range than any of the anomaly so far."""
    return observation.distance > _distance(peak.value, peak.expected_lower, peak.expected_upper)


def is_beyond_peak(peak: Peak, observation: Observation) -> bool:
    """Return whether a point is more of an anomaly than its peak so far.

    A point outside of its range is so more than one inside, and the farthest outside is the peak.
    Inside, the largest of the same evidence is, or else the one with the highest alert. A value
    that does not change is the same peak, whatever its range does, and lasts ever longer.
    """
    if peak.evidence == FLAT and observation.value == peak.value:
        return observation.evidence == FLAT
    if observation.distance or _distance(peak.value, peak.expected_lower, peak.expected_upper):
        return is_farther_outside(peak, observation)
    if observation.evidence == peak.evidence:
        return abs(observation.amount or 0.0) > abs(peak.amount or 0.0)
    return observation.alert > peak.alert


def take_alert(peak: Peak, observation: Observation) -> None:
    """Store the alert of a point as the highest one."""
    peak.score = observation.score
    peak.alert = observation.alert
    peak.severity = observation.severity


def take_as_peak(peak: Peak, observation: Observation) -> None:
    """Store a point as the most unusual one."""
    peak.peak_ms = observation.time_ms
    peak.value = observation.value
    peak.expected_lower = observation.expected_lower
    peak.expected_upper = observation.expected_upper
    peak.evidence = observation.evidence
    peak.explanation = observation.explanation
    peak.amount = observation.amount
    peak.since_ms = observation.since_ms


def peak_of(peak: Peak) -> Observation:
    """Return the most unusual point, with the highest alert."""
    return Observation(
        time_ms=peak.peak_ms,
        value=peak.value,
        expected_lower=peak.expected_lower,
        expected_upper=peak.expected_upper,
        score=peak.score,
        alert=peak.alert,
        severity=peak.severity,
        evidence=peak.evidence,
        explanation=peak.explanation,
        amount=peak.amount,
        since_ms=peak.since_ms,
    )


def close_anomaly(
    span: Span, *, by_silence: bool = False, by_pattern_id: int | None = None
) -> None:
    """Close the evidence at its last point over the threshold, or a silence where it ended.

    `by_pattern_id` is the pattern that explains it, where one does.
    """
    span.is_open = False
    span.ended_ms = span.last_over_ms
    span.level_watch = None
    span.ended_by_silence = by_silence
    span.ended_by_pattern_id = by_pattern_id


def close_at_new_level(span: Span, level: float, since_ms: int | None) -> None:
    """Close the evidence because the engine has taken this level as normal.

    `since_ms` is since when the value has stayed there; None where it has moved about.
    """
    close_anomaly(span)
    span.accepted_level = level
    span.accepted_since_ms = since_ms


def open_outgrown(
    metric: Metric,
    match: Peak,
    started_ms: int,
    left: tuple[float, float],
    reason: str,
    near_ms: int,
) -> Span:
    """Open an anomaly for an excursion that was explained at first, from its first point on.

    `match` is its most unusual point so far, `left` the range that the value left, and `reason`
    states how it has changed.
    """
    peak = peak_of(match)
    span = open_anomaly(metric, replace(peak, time_ms=started_ms), near_ms)
    take_as_peak(span, peak)
    span.onset_lower, span.onset_upper = left
    span.outgrown_reason = reason
    return span


def not_found_again(metric_id: int, since_ms: int, found: AbstractSet[int]) -> list[Span]:
    """Return the spans since that time that a rebuild did not find again, with their anomalies.

    Silences are left out, as a rebuild does not look for them, and so are earlier spans.
    """
    wanted = (
        select(Span)
        .where(
            Span.metric_id == metric_id,
            Span.started_ms >= since_ms,
            Span.is_silence.is_(False),
            Span.watcher_id == 0,
        )
        .options(joinedload(Span.anomaly), joinedload(Span.metric))
    )
    return [span for span in session().scalars(wanted) if span.anomaly_id not in found]


def list_recorded_spans(metric_id: int, from_ms: int, until_ms: int) -> list[RecordedSpan]:
    """Return what is recorded of the anomalies of a metric in a time range, without silences.

    An anomaly that began earlier and overlaps the range is included.
    """
    wanted = select(Span).where(
        Span.metric_id == metric_id,
        Span.last_over_ms >= from_ms,
        Span.started_ms < until_ms,
        Span.is_silence.is_(False),
        Span.watcher_id == 0,
    )
    return [
        RecordedSpan(
            span.anomaly_id,
            span.started_ms,
            span.last_over_ms,
            peak_of(span),
            span.outgrown_reason,
        )
        for span in session().scalars(wanted)
    ]


def list_peak_times(metric_id: int) -> list[int]:
    """Return the time of the highest alert of each anomaly of a metric.

    Silences are left out, and what the thresholds of watchers have found.
    """
    wanted = select(Span.peak_ms).where(
        Span.metric_id == metric_id, Span.is_silence.is_(False), Span.watcher_id == 0
    )
    return list(session().scalars(wanted))


def restore_recorded(span: Span, recorded: RecordedSpan) -> None:
    """Restore what was recorded of an anomaly if that was of another severity than it is now."""
    if recorded.peak.severity == span.severity:
        return
    span.started_ms = min(span.started_ms, recorded.started_ms)
    span.last_over_ms = max(span.last_over_ms, recorded.last_over_ms)
    span.anomaly.opened_at = datetime_from_ms(span.started_ms)
    if not span.is_open:
        span.ended_ms = span.last_over_ms
    take_alert(span, recorded.peak)
    _take_as_peak(span, recorded.peak)


def delete_untouched(anomaly_ids: Iterable[int]) -> None:
    """Delete these anomalies, except those about which a person has done or said something."""
    ids = list(anomaly_ids)
    for some in batches(ids):
        session().execute(
            delete(Anomaly).where(
                Anomaly.id.in_(some),
                Anomaly.status == STATUS_ACTIVE,
                Anomaly.expected.is_(None),
                Anomaly.triaged_at.is_(None),
            )
        )


def _distance(value: float, lower: float, upper: float) -> float:
    return max(value - upper, lower - value, 0.0)


def _similar_before(metric_id: int, started_ms: int, evidence: str) -> tuple[int, int | None]:
    """Return how many anomalies with this evidence began before, and when the last of them did."""
    count, last_ms = (
        session()
        .execute(
            select(func.count(), func.max(Span.started_ms)).where(
                Span.metric_id == metric_id,
                Span.evidence == evidence,
                Span.started_ms < started_ms,
            )
        )
        .one()
    )
    return int(count), last_ms


def _take_as_peak(span: Span, observation: Observation) -> None:
    if span.evidence != observation.evidence:
        with session().no_autoflush:
            span.similar_before, span.similar_ms = _similar_before(
                span.metric_id, span.started_ms, observation.evidence
            )
    take_as_peak(span, observation)

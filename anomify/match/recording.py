"""Open, extend and close matches; repeating a call changes nothing."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import joinedload

from anomify.anomaly.model import Peak
from anomify.anomaly.recording import Observation, is_beyond_peak, peak_of, take_alert, take_as_peak
from anomify.clock import now
from anomify.db import among, batches, session
from anomify.detection.pattern_match import Explanation
from anomify.match.model import Match, Validated
from anomify.metric.model import Metric
from anomify.pattern.model import Pattern, PatternState


@dataclass(frozen=True, slots=True)
class MatchOnset:
    """The first point of an explained excursion that was found, and the range it left.

    `started_ms` is when the excursion began.
    """

    observation: Observation
    started_ms: int
    lower: float
    upper: float


def open_match(
    metric: Metric,
    onset: MatchOnset,
    pattern_id: int,
    explanation: Explanation,
    near_ms: int = 0,
    *,
    labels: int | None = None,
) -> tuple[Match, bool]:
    """Open a match, or reopen one of the same time or one that begins within `near_ms`.

    Returns the match, and whether it is new. A replay and a rebuild find it again under its id.
    """
    observation = onset.observation
    match = session().scalar(
        select(Match)
        .where(
            Match.metric_id == metric.id,
            Match.started_ms <= observation.time_ms + near_ms,
            Match.last_ms >= onset.started_ms,
        )
        .order_by(Match.started_ms)
        .limit(1)
        .options(joinedload(Match.metric))
    )
    is_new = match is None
    if match is None:
        match = Match(
            org_id=metric.org_id,
            metric_id=metric.id,
            metric=metric,
            recorded_at=now(),
            validated=Validated.UNSET,
        )
        session().add(match)
    match.pattern_id = pattern_id
    match.ended_ms = None
    match.is_open = True
    if not is_new and match.last_ms < observation.time_ms:
        # More of an excursion that had seemed to be over.
        match.outgrown_by_anomaly_id = match.outgrown_reason = None
        note_likeness(match, explanation, labels)
        extend_match(match, observation, is_over=True)
        session().flush()
        return match, False
    match.started_ms, match.last_ms = onset.started_ms, observation.time_ms
    match.onset_lower, match.onset_upper = onset.lower, onset.upper
    match.outgrown_by_anomaly_id = match.outgrown_reason = None
    note_likeness(match, explanation, labels)
    take_alert(match, observation)
    take_as_peak(match, observation)
    session().flush()
    return match, is_new


def open_match_of_anomaly(
    metric: Metric,
    anomaly_id: int,
    peak: Peak,
    onset: MatchOnset,
    pattern_id: int,
    explanation: Explanation,
) -> Match:
    """Open the match that continues an anomaly which a new pattern explains."""
    match, _ = open_match(metric, onset, pattern_id, explanation)
    take_alert(match, peak_of(peak))
    take_as_peak(match, peak_of(peak))
    match.anomaly_id = anomaly_id
    return match


def extend_match(match: Match, observation: Observation, *, is_over: bool) -> None:
    """Extend a match to this point; `is_over` is whether it is over the alert threshold."""
    match.last_ms = max(match.last_ms, observation.time_ms)
    if not is_over:
        return
    is_peak = is_beyond_peak(match, observation)
    if observation.alert > match.alert:
        take_alert(match, observation)
    if is_peak:
        take_as_peak(match, observation)


def close_match(match: Match) -> None:
    """Close a match at its last point outside of the range."""
    match.is_open = False
    match.ended_ms = match.last_ms


def outgrow_match(match: Match, anomaly_id: int, reason: str) -> None:
    """Close a match that has become an anomaly."""
    close_match(match)
    match.outgrown_by_anomaly_id = anomaly_id
    match.outgrown_reason = reason


def note_likeness(match: Match, explanation: Explanation, labels: int | None = None) -> None:
    """Store how like its pattern an excursion is, and how often as strong ones were expected."""
    match.labels = labels
    match.kind = explanation.kind
    match.distance = explanation.distance
    match.similarity = explanation.similarity
    match.height_ratio = explanation.height_ratio
    match.length_ratio = explanation.length_ratio
    match.minutes_apart = explanation.minutes_apart
    match.motif_index = explanation.motif_index
    match.motif_size = explanation.motif_size
    match.area_percent_diff = explanation.area_percent_diff


def count_checks(checked: Iterable[int], matched_id: int | None, started_ms: int) -> None:
    """Count that a candidate was compared with these patterns, and which of them explained it."""
    for some in batches(list(checked)):
        session().execute(
            update(Pattern)
            .where(Pattern.id.in_(some))
            .values(checks=Pattern.checks + 1)
            .execution_options(synchronize_session=False)
        )
    if matched_id is not None:
        session().execute(
            update(Pattern)
            .where(Pattern.id == matched_id)
            .values(matches=Pattern.matches + 1, last_match_ms=started_ms)
            .execution_options(synchronize_session=False)
        )


def list_recorded_matches(metric_id: int, from_ms: int) -> list[Match]:
    """Return the matches of a metric that last beyond this time, oldest first."""
    return list(
        session().scalars(
            select(Match)
            .where(Match.metric_id == metric_id, or_(Match.is_open, Match.last_ms >= from_ms))
            .order_by(Match.started_ms)
            .options(joinedload(Match.metric), joinedload(Match.pattern))
        )
    )


def delete_not_found(recorded: Sequence[Match], found: AbstractSet[int]) -> None:
    """Delete the matches that a rebuild did not find again, unless a person has validated them.

    One that has become an anomaly, or was one before, is kept as its history.
    """
    lost = [
        match.id
        for match in recorded
        if match.id not in found
        and match.validated == Validated.UNSET
        and match.anomaly_id is None
        and match.outgrown_by_anomaly_id is None
    ]
    for some in batches(lost):
        session().execute(delete(Match).where(Match.id.in_(some)))
    for match in recorded:
        if match.is_open and match.id not in found and match.id not in lost:
            close_match(match)


def close_matches_of(metric_ids: Iterable[int]) -> None:
    """Close the open matches of metrics that are not judged or do not report any more."""
    for match in session().scalars(
        select(Match).where(Match.is_open.is_(True), among(Match.metric_id, metric_ids))
    ):
        close_match(match)


def close_matches_of_excluded() -> None:
    """Close the open matches of metrics that are excluded."""
    for match in session().scalars(
        select(Match)
        .join(Metric, Metric.id == Match.metric_id)
        .where(Match.is_open.is_(True), Metric.excluded_by.is_not(None))
    ):
        close_match(match)


def is_fixed(match: Match) -> bool:
    """Return whether a rebuild keeps a match as it is; its pattern must be loaded.

    Its pattern is not in use any more, a person has validated it, or it closed an anomaly.
    """
    return (
        match.pattern.state != PatternState.ACTIVE
        or match.validated != Validated.UNSET
        or match.anomaly_id is not None
    )

"""Record a metric's anomalies again after its whole past was judged again."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import numpy as np

from anomify.anomaly.model import Span
from anomify.anomaly.recording import (
    RecordedSpan,
    close_anomaly,
    closing_after_ms,
    delete_untouched,
    list_recorded_spans,
    not_found_again,
    restore_recorded,
)
from anomify.delivery.queries import notified_among
from anomify.match.model import Match
from anomify.match.recording import (
    close_match,
    delete_not_found,
    is_fixed,
    list_recorded_matches,
)
from anomify.pattern.in_reach import PatternsInReach
from anomify.pattern.points import judged_series
from anomify.pipeline.announce import Notifier
from anomify.pipeline.candidates import StoredVerdicts
from anomify.pipeline.explainer import Explainer, JudgedBefore, StoredPoints
from anomify.pipeline.observe import RecordedMetric, record_metric
from anomify.pipeline.rejudge import Rejudged
from anomify.series import Series
from anomify.storage.chunk_keys import NEWEST_MS

# Excursions are followed for so many times as long as the longest pattern.
TIMES_FOLLOWED: Final = 3


@dataclass(frozen=True, slots=True)
class StoredPatterns:
    """The patterns that may explain a metric, and a function that reads its points of a time."""

    in_reach: PatternsInReach | None
    read: Callable[[int, int], Series]
    unit: str = ""

    @property
    def followed_ms(self) -> int:
        """Return for how long an excursion is followed at least, so that it outlasts its pattern.

        One that is found when it is over is compared from where it began.
        """
        return 0 if self.in_reach is None else TIMES_FOLLOWED * self.in_reach.looked_back_ms(0)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What was recorded of a metric before its past was judged again.

    `fixed` are matches that stay as they are; `anomalous` are the anomalies that no pattern
    explained when they were judged.
    """

    matches: Sequence[Match] = ()
    fixed: Sequence[Match] = ()
    anomalous: Sequence[JudgedBefore] = ()
    kept_anomaly_ids: frozenset[int] = field(default_factory=frozenset)


def record_rebuild(
    metric_id: int,
    rejudged: Rejudged,
    notifier: Notifier,
    patterns: StoredPatterns | None = None,
) -> None:
    """Bring a metric's recorded anomalies in line with the verdicts on its whole past.

    An anomaly that is found again keeps its id and what people did with it. One that is not found
    again is deleted, if its time was judged again; unless people have touched it or received a
    message about it: then it is kept and closed, and those who received the message get a recovery.

    What was judged by a past that retention has deleted cannot be judged as well again: such an
    anomaly is neither deleted nor given another severity, as long as its point has the same value.
    What was found is announced after that, as it is at the end.

    With `patterns` matches are found again, too. An anomaly that was recorded when no pattern
    explained it stays one, and a match of a pattern that is not in use any more stays a match.
    """
    if rejudged.judged_from_ms is None:
        return
    protected = _found_by_deleted_past(metric_id, rejudged)
    recorded = _Recorded() if patterns is None else _recorded_of(metric_id, rejudged.judged_from_ms)
    found_again = _record_again(metric_id, rejudged, patterns, recorded)
    spans = found_again.spans
    for span in spans:
        if span.anomaly_id in protected:
            restore_recorded(span, protected[span.anomaly_id])
    for span in spans:
        notifier.opened(span)
        if not span.is_open:
            notifier.recovered(span)
    # What was found in points that are deleted since cannot be found again.
    found = {span.anomaly_id for span in spans} | recorded.kept_anomaly_ids
    lost = not_found_again(metric_id, rejudged.judged_from_ms, found)
    notified = notified_among([span.anomaly_id for span in lost])
    for span in lost:
        if span.is_open:
            close_anomaly(span)
            notifier.recovered(span)
    # One that was recorded before may have grown over others. A new one may only be long because
    # too little of the past is left to judge by.
    grown = [span for span in spans if span.anomaly_id in protected]
    delete_untouched(
        span.anomaly_id
        for span in lost
        if span.anomaly_id not in notified
        and (span.anomaly_id not in protected or _is_within(span, grown))
    )
    delete_not_found(
        recorded.matches, {match.id for match in (*found_again.matches, *recorded.fixed)}
    )


def _record_again(
    metric_id: int,
    rejudged: Rejudged,
    patterns: StoredPatterns | None,
    recorded: _Recorded,
) -> RecordedMetric:
    """Record the verdicts on the whole past of a metric, but those within fixed matches."""
    step_ms = int(rejudged.summary.resolution_ms[0])
    closing_ms = closing_after_ms(step_ms)
    explainer = None if patterns is None else _explainer(patterns, rejudged, recorded)
    found = [_outside_of(recorded.fixed, each) for each in rejudged.point_verdicts]
    running = next((match for match in recorded.fixed if match.is_open), None)
    if running is None:
        return record_metric(
            chain.from_iterable(found),
            metric_id,
            None,
            closing_ms,
            step_ms=step_ms,
            explainer=explainer,
        )
    before = record_metric(
        chain.from_iterable(each.of(each.times < running.started_ms) for each in found),
        metric_id,
        None,
        closing_ms,
        step_ms=step_ms,
        explainer=explainer,
    )
    for span in before.spans:
        if span.is_open:
            close_anomaly(span)
    for match in before.matches:
        if match.is_open:
            close_match(match)
    since = record_metric(
        chain.from_iterable(each.of(each.times > running.last_ms) for each in found),
        metric_id,
        None,
        closing_ms,
        step_ms=step_ms,
        match=running,
        explainer=explainer,
    )
    return RecordedMetric(before.spans + since.spans, before.matches + since.matches)


def _outside_of(fixed: Iterable[Match], found: StoredVerdicts) -> StoredVerdicts:
    """Return the verdicts but those within the time of one of these matches."""
    is_outside = np.ones(len(found), bool)
    for match in fixed:
        is_outside &= (found.times < match.started_ms) | (found.times > match.last_ms)
    return found.of(is_outside)


def _found_by_deleted_past(metric_id: int, rejudged: Rejudged) -> dict[int, RecordedSpan]:
    """Return what is recorded of the anomalies that were found by points deleted since, by id.

    Left out are those whose own point was judged again with another value, or as of another kind:
    for these the new verdict is the better one.
    """
    if rejudged.judged_from_ms is None or rejudged.short_past_until_ms is None:
        return {}
    recorded = list_recorded_spans(metric_id, rejudged.judged_from_ms, rejudged.short_past_until_ms)
    return {
        each.anomaly_id: each
        for each in recorded
        if each.peak.time_ms < rejudged.judged_from_ms
        or np.isclose(rejudged.values_at.get(each.peak.time_ms, np.nan), each.peak.value, rtol=1e-6)
    }


def _is_within(span: Span, others: Iterable[Span]) -> bool:
    return any(
        other.started_ms <= span.started_ms and span.last_over_ms <= other.last_over_ms
        for other in others
    )


def _recorded_of(metric_id: int, from_ms: int) -> _Recorded:
    matches = list_recorded_matches(metric_id, from_ms)
    fixed = [match for match in matches if is_fixed(match)]
    explained_first = {match.outgrown_by_anomaly_id for match in matches}
    kept = frozenset(match.anomaly_id for match in fixed if match.anomaly_id is not None)
    spans = list_recorded_spans(metric_id, from_ms, NEWEST_MS)
    return _Recorded(
        matches,
        fixed,
        [
            JudgedBefore(span.started_ms, span.last_over_ms, span.outgrown_reason)
            for span in spans
            if span.anomaly_id not in explained_first and span.anomaly_id not in kept
        ],
        kept,
    )


def _explainer(patterns: StoredPatterns, rejudged: Rejudged, recorded: _Recorded) -> Explainer:
    is_counter = bool(rejudged.summary.is_counter[0])
    step_ms = int(rejudged.summary.resolution_ms[0])
    return Explainer(
        patterns.in_reach,
        StoredPoints(
            lambda from_ms, until_ms: judged_series(
                patterns.read(from_ms, until_ms), is_counter=is_counter
            )
        ),
        step_ms=step_ms,
        closing_ms=closing_after_ms(step_ms),
        unit=patterns.unit,
        judged_before=recorded.anomalous,
        counts_checks=False,
    )

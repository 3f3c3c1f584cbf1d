"""Close open anomalies that a new pattern explains: each continues as a match."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from anomify.anomaly.model import Span
from anomify.anomaly.queries import list_open_spans, open_spans
from anomify.anomaly.recording import close_anomaly, peak_of
from anomify.detection.excursion import Excursion
from anomify.detection.pattern_match import Explanation
from anomify.match.recording import MatchOnset, open_match_of_anomaly
from anomify.metric.progress import progress_by_metric
from anomify.pattern.made_patterns import onset_of
from anomify.pattern.matching import KnownPatterns
from anomify.pattern.points import context_ms, excursion_in, judged_series
from anomify.pattern.queries import hold_pattern
from anomify.pipeline.announce import Notifier
from anomify.pipeline.screen import SeriesReader


@dataclass(frozen=True, slots=True)
class ExplainedSpan:
    """An open anomaly with the pattern that explains it, and its excursion as far as it has run."""

    anomaly_id: int
    metric_id: int
    pattern_id: int
    explanation: Explanation
    excursion: Excursion


def find_explained(known: KnownPatterns, points: SeriesReader) -> list[ExplainedSpan]:
    """Return the open anomalies that a pattern explains which came into use after they began.

    Those that a person has labelled as unexpected are left out. Only reads.
    """
    spans = [
        span
        for span in list_open_spans()
        if not span.is_silence and span.anomaly.expected is not False
    ]
    in_reach = known.of_metrics({span.metric_id for span in spans})
    spans = [span for span in spans if span.metric_id in in_reach]
    if not spans:
        return []
    progress = progress_by_metric(in_reach)
    spans = [span for span in spans if span.metric_id in progress]
    stored = points.read(
        {
            span.metric_id: span.started_ms - context_ms(progress[span.metric_id].resolution_ms)
            for span in spans
        }
    )
    explained = []
    for span in spans:
        if span.metric_id not in stored:
            continue
        patterns, known_progress = in_reach[span.metric_id], progress[span.metric_id]
        series = judged_series(stored[span.metric_id], is_counter=known_progress.is_counter)
        current = excursion_in(series, onset_of(span), known_progress.resolution_ms, patterns.zone)
        found = None if current is None else patterns.explain(current)
        if current is None or found is None:
            continue
        pattern, explanation = found
        if pattern.used_since > span.anomaly.recorded_at:
            explained.append(
                ExplainedSpan(span.anomaly_id, span.metric_id, pattern.id, explanation, current)
            )
    return explained


def close_explained(explained: Iterable[ExplainedSpan], notifier: Notifier) -> None:
    """Close these anomalies, as far as they are still open, and tell those who were informed."""
    by_anomaly = {each.anomaly_id: each for each in explained}
    for span in open_spans({each.metric_id for each in by_anomaly.values()}):
        found = by_anomaly.get(span.anomaly_id)
        if found is None or not hold_pattern(found.pattern_id):
            continue
        close_anomaly(span, by_pattern_id=found.pattern_id)
        _continue_as_match(span, found)
        notifier.recovered(span)


def _continue_as_match(span: Span, found: ExplainedSpan) -> None:
    current = found.excursion
    onset = MatchOnset(
        replace(peak_of(span), time_ms=span.started_ms),
        span.started_ms,
        current.lower,
        current.upper,
    )
    match = open_match_of_anomaly(
        span.metric, span.anomaly_id, span, onset, found.pattern_id, found.explanation
    )
    match.last_ms = max(span.last_over_ms, current.started_ms + current.length_ms)

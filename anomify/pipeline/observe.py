"""The order in which new verdicts are handled: find candidates, screen, record, announce."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anomify.anomaly.model import Span
from anomify.anomaly.queries import list_metrics_with_open_spans, open_spans
from anomify.metric.settings import Wanted
from anomify.pipeline.announce import Notifier
from anomify.pipeline.candidates import NO_SETTINGS, Candidate, PointVerdict, find_candidates
from anomify.pipeline.no_data import close_no_data
from anomify.pipeline.record import Opened, record
from anomify.pipeline.score import Scored
from anomify.pipeline.screen import Screen
from anomify.pipeline.verdict import Anomalous, Excluded, ScreenResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Screened:
    """A candidate with the result of screening it."""

    candidate: Candidate
    result: ScreenResult


def find_and_screen(
    scored: Scored, screen: Screen, settings: Mapping[int, Wanted] = NO_SETTINGS
) -> list[Screened]:
    """Return the candidates of a tick, screened. Only reads: call it before the write transaction.

    `settings` holds the settings of the metrics for which people have set something.
    """
    open_metric_ids = list_metrics_with_open_spans(scored.metric_ids.tolist())
    candidates = find_candidates(scored, open_metric_ids, settings)
    results = screen.screen(candidate.metric_id for candidate in candidates)
    return [Screened(*pair) for pair in zip(candidates, results, strict=True)]


def record_and_announce(screened: Iterable[Screened], notifier: Notifier) -> None:
    """Act on the screened candidates of a tick, inside the write transaction."""
    anomalous = []
    for each in screened:
        match each.result:
            case Excluded(by):
                log_excluded(each.candidate.metric_id, by)
            case Anomalous():
                anomalous.append(each.candidate)
    if not anomalous:
        return
    spans = {}
    reports_from = {candidate.metric_id: candidate.reports_from_ms for candidate in anomalous}
    for span in open_spans(reports_from):
        if not span.is_silence:
            spans[span.metric_id] = span
        elif (first_ms := reports_from[span.metric_id]) is not None:
            close_no_data(span, first_ms, notifier)
    for candidate in anomalous:
        record_metric(
            candidate.point_verdicts(),
            candidate.metric_id,
            spans.get(candidate.metric_id),
            candidate.closing_ms,
            notifier,
        )


def record_metric(
    point_verdicts: Iterable[PointVerdict],
    metric_id: int,
    span: Span | None,
    closing_ms: int,
    notifier: Notifier,
) -> list[Span]:
    """Record and announce one metric's verdicts; return `span` and the spans opened, in order."""
    spans = [] if span is None else [span]
    for change in record(point_verdicts, metric_id, span, closing_ms):
        notifier.announce(change)
        if isinstance(change, Opened):
            spans.append(change.span)
    return spans


def log_excluded(metric_id: int, by: int) -> None:
    """Log that a candidate is not recorded because of an exclusion rule."""
    log.info("metric %d is excluded by rule %d: no anomaly is recorded", metric_id, by)

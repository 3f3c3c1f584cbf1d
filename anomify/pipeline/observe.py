"""The order in which new verdicts are handled: find candidates, screen, record, announce."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from anomify.anomaly.model import Span
from anomify.anomaly.queries import list_metrics_with_open_spans, open_spans
from anomify.match.model import Match
from anomify.match.queries import open_matches
from anomify.match.recording import close_match
from anomify.metric.settings import Wanted
from anomify.pipeline.announce import Notifier
from anomify.pipeline.candidates import NO_SETTINGS, Candidate, PointVerdict, find_candidates
from anomify.pipeline.explainer import Explainer
from anomify.pipeline.no_data import close_no_data
from anomify.pipeline.record import Change, Explained, Opened, record
from anomify.pipeline.score import Scored
from anomify.pipeline.screen import PatternScreen, Screen
from anomify.pipeline.verdict import Anomalous, Excluded, ScreenResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Screened:
    """A candidate with the result of screening it, and what may explain its excursions."""

    candidate: Candidate
    result: ScreenResult
    explainer: Explainer | None = None


@dataclass(frozen=True, slots=True)
class RecordedMetric:
    """What was recorded of one metric: its anomalies and its matches, in order."""

    spans: list[Span]
    matches: list[Match]


def find_and_screen(
    scored: Scored,
    screen: Screen,
    settings: Mapping[int, Wanted] = NO_SETTINGS,
    patterns: PatternScreen | None = None,
) -> list[Screened]:
    """Return the candidates of a tick, screened. Only reads: call it before the write transaction.

    `settings` holds the settings of the metrics for which people have set something. Without
    `patterns` nothing is explained by one.
    """
    metric_ids = scored.metric_ids.tolist()
    open_metric_ids = list_metrics_with_open_spans(metric_ids)
    if patterns is not None:
        open_metric_ids += patterns.metrics_with_open_matches(metric_ids)
    candidates = find_candidates(scored, open_metric_ids, settings)
    results = screen.screen(candidate.metric_id for candidate in candidates)
    explainers = {}
    if patterns is not None:
        explainers = patterns.explainers_of(
            [
                candidate
                for candidate, result in zip(candidates, results, strict=True)
                if isinstance(result, Anomalous)
            ]
        )
    return [
        Screened(candidate, result, explainers.get(candidate.metric_id))
        for candidate, result in zip(candidates, results, strict=True)
    ]


def record_and_announce(screened: Iterable[Screened], notifier: Notifier) -> None:
    """Act on the screened candidates of a tick, inside the write transaction."""
    anomalous = []
    for each in screened:
        match each.result:
            case Excluded(by):
                log_excluded(each.candidate.metric_id, by)
            case Anomalous():
                anomalous.append(each)
    if not anomalous:
        return
    spans = {}
    reports_from = {each.candidate.metric_id: each.candidate.reports_from_ms for each in anomalous}
    for span in open_spans(reports_from):
        if not span.is_silence:
            spans[span.metric_id] = span
        elif (first_ms := reports_from[span.metric_id]) is not None:
            close_no_data(span, first_ms, notifier)
    explained = [each.candidate.metric_id for each in anomalous if each.explainer is not None]
    matches = {match.metric_id: match for match in open_matches(explained)} if explained else {}
    for each in anomalous:
        record_metric(
            each.candidate.point_verdicts(),
            each.candidate.metric_id,
            spans.get(each.candidate.metric_id),
            each.candidate.closing_ms,
            step_ms=each.candidate.step_ms,
            match=matches.get(each.candidate.metric_id),
            explainer=each.explainer,
            announce=notifier.announce,
        )


def record_metric(
    point_verdicts: Iterable[PointVerdict],
    metric_id: int,
    span: Span | None,
    closing_ms: int,
    *,
    step_ms: int,
    match: Match | None = None,
    explainer: Explainer | None = None,
    announce: Callable[[Change], None] = lambda _: None,
) -> RecordedMetric:
    """Record one metric's verdicts, and call `announce` with each change.

    `span` is the open anomaly and `match` the open match. Returns both and those that were opened,
    in order.
    """
    recorded = RecordedMetric([] if span is None else [span], [] if match is None else [match])
    if span is not None and match is not None:
        # An anomaly that was opened while nothing was compared with patterns.
        close_match(match)
        match = None
    changes = record(
        point_verdicts,
        metric_id,
        span,
        closing_ms,
        step_ms=step_ms,
        match=match,
        explainer=explainer,
    )
    for change in changes:
        announce(change)
        match change:
            case Opened():
                recorded.spans.append(change.span)
            case Explained():
                recorded.matches.append(change.match)
            case _:
                pass
    return recorded


def log_excluded(metric_id: int, by: int) -> None:
    """Log that a candidate is not recorded because of an exclusion rule."""
    log.info("metric %d is excluded by rule %d: no anomaly is recorded", metric_id, by)

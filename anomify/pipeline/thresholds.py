"""Anomalies of metrics that are over the threshold of a watcher: opened, extended and closed."""

import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from anomify.anomaly.model import ORIGIN_THRESHOLD, Span
from anomify.anomaly.queries import open_threshold_spans
from anomify.anomaly.recording import Observation, close_anomaly, extend_anomaly, open_anomaly
from anomify.clock import to_ms
from anomify.detection.evidence import Evidence
from anomify.detection.threshold import THRESHOLDS, Severity, display_score
from anomify.metric.queries import metric_of_any_org
from anomify.metric.settings import wanted_of
from anomify.pipeline.announce import Notifier
from anomify.pipeline.threshold_rules import (
    MetricWithoutPoints,
    NewPoints,
    ThresholdRule,
    ThresholdRules,
)
from anomify.watcher.threshold import Crossing, Operator

EVIDENCE: Final = "threshold"


def record_thresholds(found: Iterable[NewPoints], notifier: Notifier) -> None:
    """Open, extend and close what thresholds find in new points, in the tick's transaction."""
    concerned = list(found)
    spans = {
        (span.metric_id, span.watcher_id): span
        for span in open_threshold_spans([each.metric_id for each in concerned])
    }
    for each in concerned:
        for rule in each.rules:
            span = spans.get((each.metric_id, rule.watcher_id))
            if rule.threshold.operator is Operator.NO_DATA:
                if span is not None:
                    _end_silence(span, int(each.times[each.first]), notifier)
            else:
                _follow(each, rule, span, notifier)


def close_without_rule(rules: ThresholdRules, notifier: Notifier) -> None:
    """Close what no threshold finds any more, because it was changed, switched off or deleted."""
    for span in open_threshold_spans():
        rule = rules.by_watcher.get(span.watcher_id)
        is_silence = rule is not None and rule.threshold.operator is Operator.NO_DATA
        if rule in rules.of(span.metric_id) and span.is_silence == is_silence:
            continue
        close_anomaly(span)
        notifier.recovered(span)


def open_silent(rule: ThresholdRule, silent: MetricWithoutPoints, notifier: Notifier) -> None:
    """Open an anomaly of a metric that sends nothing, because of a threshold of silence."""
    deadline_ms = silent.last_ms + round(1000 * rule.threshold.value)
    crossing = Crossing(deadline_ms, silent.last_value, math.inf)
    observation = _observation(silent.metric_id, rule, crossing, since_ms=silent.last_ms)
    span = _opened(silent.metric_id, rule, observation)
    span.last_over_ms = max(to_ms(notifier.at), span.started_ms)
    notifier.opened(span)


def crossings(
    points: NewPoints, rule: ThresholdRule, drop_limit: float | None
) -> Iterator[tuple[int, Crossing | None, int]]:
    """Yield for each new point its time, the crossing there, and how many points in a row had one.

    `drop_limit` is the value that ends a drop, where one goes on.
    """
    threshold = rule.threshold
    first = max(points.first - threshold.times + 1, 0)
    times = points.times[first:].tolist()
    if threshold.operator is Operator.DROP_OFF:
        yield from _drops(points, rule, first, drop_limit)
        return
    values = threshold.values_of(points.times, points.values, first)
    row = 0
    for place, (time_ms, is_over, value) in enumerate(
        zip(times, threshold.are_over(values).tolist(), values.tolist(), strict=True), first
    ):
        row = row + 1 if is_over else 0
        if place >= points.first:
            crossing = Crossing(time_ms, value, threshold.value) if is_over else None
            yield time_ms, crossing, row


def _drops(
    points: NewPoints, rule: ThresholdRule, first: int, drop_limit: float | None
) -> Iterator[tuple[int, Crossing | None, int]]:
    """Yield the same for drops: a row of points is compared with those before its first one."""
    row, limit, before = 0, drop_limit, math.nan
    if drop_limit is not None:
        row = rule.threshold.times
        before = drop_limit / max(1 - rule.threshold.value / 100, 1e-9)
        first = points.first
    for place in range(first, len(points.times)):
        value = float(points.values[place])
        if row == 0:
            found = rule.threshold.limit_of_drop(points.values, place)
            limit, before = (None, math.nan) if found is None else found
        is_over = limit is not None and value <= limit
        row = row + 1 if is_over else 0
        time_ms = int(points.times[place])
        if place >= points.first:
            crossing = Crossing(time_ms, value, limit or 0.0, before) if is_over else None
            yield time_ms, crossing, row


def _follow(points: NewPoints, rule: ThresholdRule, span: Span | None, notifier: Notifier) -> None:
    is_drop = rule.threshold.operator is Operator.DROP_OFF
    limit = span.onset_lower if span is not None and is_drop else None
    for time_ms, crossing, row in crossings(points, rule, limit):
        if span is None:
            if crossing is not None and row >= rule.threshold.times:
                if not notifier.is_recent(time_ms):
                    continue
                span = _opened(
                    points.metric_id, rule, _observation(points.metric_id, rule, crossing)
                )
                notifier.opened(span)
        elif crossing is not None:
            extend_anomaly(span, _observation(points.metric_id, rule, crossing))
        elif time_ms - span.last_over_ms > rule.recover_ms:
            close_anomaly(span)
            notifier.recovered(span)
            span = None


def _opened(metric_id: int, rule: ThresholdRule, observation: Observation) -> Span:
    metric = metric_of_any_org(metric_id)
    span = open_anomaly(metric, observation, watcher_id=rule.watcher_id)
    span.anomaly.origin = ORIGIN_THRESHOLD
    return span


def _end_silence(span: Span, first_ms: int, notifier: Notifier) -> None:
    span.last_over_ms = max(span.started_ms, first_ms)
    close_anomaly(span)
    notifier.recovered(span)


def _observation(
    metric_id: int, rule: ThresholdRule, crossing: Crossing, since_ms: int | None = None
) -> Observation:
    """Return what is recorded of a point that is over a threshold."""
    is_silence = rule.threshold.operator is Operator.NO_DATA
    is_upper = rule.threshold.operator is Operator.GREATER
    alert = THRESHOLDS[Severity[rule.severity.upper()]]
    return Observation(
        time_ms=crossing.time_ms,
        value=crossing.value,
        expected_lower=-math.inf if is_silence or is_upper else crossing.limit,
        expected_upper=crossing.limit if is_upper else math.inf,
        score=float(display_score(np.array([alert], np.float32))[0]),
        alert=alert,
        severity=rule.severity,
        evidence=Evidence.SILENT.name.lower() if is_silence else EVIDENCE,
        explanation=rule.threshold.sentence(crossing, wanted_of(metric_id).unit),
        amount=rule.threshold.value if is_silence else None,
        since_ms=since_ms,
        is_silence=is_silence,
    )

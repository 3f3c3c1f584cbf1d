"""What a threshold would have found in the stored points of its metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from anomify.clock import to_ms
from anomify.metric.store import PointStore
from anomify.pipeline.threshold_rules import NewPoints, ThresholdRule
from anomify.pipeline.thresholds import crossings
from anomify.series import Series
from anomify.watcher.model import Watcher
from anomify.watcher.threshold import LAST, Crossing, Operator, Threshold, first_after

# The most points that are looked at: comparing each is quick, a function of many and a drop not.
POINTS_MOST: Final = 1_500_000
SLOW_POINTS_MOST: Final = 60_000


@dataclass(frozen=True, slots=True)
class FoundCrossing:
    """From when on a metric was over the threshold, and when that was over, if it is."""

    metric_id: int
    metric_name: str
    started_ms: int
    ended_ms: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class FoundCrossings:
    """What was found, and how many metrics were not looked at."""

    found: list[FoundCrossing]
    metrics_left: int


def find_crossings(
    metrics: Sequence[tuple[int, str]],
    watcher: Watcher,
    from_at: datetime,
    until_at: datetime,
    points: PointStore,
) -> FoundCrossings:
    """Return what the threshold of a watcher would have found in these metrics, by id and name."""
    threshold = Threshold.of(watcher)
    if threshold is None:
        return FoundCrossings([], 0)
    is_slow = threshold.function != LAST or threshold.operator is Operator.DROP_OFF
    left = SLOW_POINTS_MOST if is_slow else POINTS_MOST
    from_ms, until_ms = to_ms(from_at), to_ms(until_at)
    rule = ThresholdRule(
        watcher_id=watcher.id or 0,
        org_id=watcher.org_id,
        threshold=threshold,
        chips=(),
        severity=watcher.severity,
        recover_ms=1000 * watcher.recover_seconds,
        since_ms=0,
    )
    found: list[FoundCrossing] = []
    looked_at = 0
    for metric_id, name in metrics:
        if left <= 0:
            break
        looked_at += 1
        series = points.read(metric_id, from_ms, until_ms)
        left -= len(series.times)
        if not len(series.times):
            continue
        found += [
            FoundCrossing(metric_id, name, started_ms, ended_ms, threshold.sentence(crossing))
            for started_ms, ended_ms, crossing in _of_metric(rule, series, until_ms)
        ]
    return FoundCrossings(found, len(metrics) - looked_at)


def _of_metric(
    rule: ThresholdRule, series: Series, until_ms: int
) -> Iterator[tuple[int, int | None, Crossing]]:
    threshold = rule.threshold
    times, values = series.times, series.values
    if threshold.operator is Operator.NO_DATA:
        wait_ms = round(1000 * threshold.value)
        nexts = np.append(times[1:], until_ms)
        for place in np.flatnonzero(nexts - times > wait_ms).tolist():
            ended = int(times[place + 1]) if place + 1 < len(times) else None
            crossing = Crossing(int(times[place]) + wait_ms, float(values[place]), np.inf)
            yield crossing.time_ms, ended, crossing
        return
    if threshold.operator is Operator.DROP_OFF:
        yield from _drops(rule, series)
        return
    compared = threshold.values_of(times, values, 0)
    for first, last, goes_on in threshold.stretches(times, values, rule.recover_ms):
        during = compared[first : last + 1]
        is_upper = threshold.operator is Operator.GREATER
        peak = float(during.max() if is_upper else during.min())
        crossing = Crossing(int(times[first]), peak, threshold.value)
        closed = None
        if not goes_on:
            after = first_after(times, last, len(times), rule.recover_ms)
            closed = None if after is None else int(times[after])
        yield int(times[first]), closed, crossing


def _drops(rule: ThresholdRule, series: Series) -> Iterator[tuple[int, int | None, Crossing]]:
    """Yield the drops one after the other, followed as they are live."""
    begin, count = 0, len(series.times)
    limit: float | None = None
    opened: Crossing | None = None
    last_ms = 0
    while begin < count:
        new = NewPoints(0, series.times, series.values, begin, (rule,))
        begin = count
        for place, (time_ms, crossing, row) in enumerate(crossings(new, rule, limit), new.first):
            if opened is None:
                if crossing is not None and row >= rule.threshold.times:
                    opened, last_ms, limit = crossing, time_ms, crossing.limit
            elif crossing is not None:
                last_ms = time_ms
                if crossing.value < opened.value:
                    opened = Crossing(opened.time_ms, crossing.value, opened.limit, opened.before)
            elif time_ms - last_ms > rule.recover_ms:
                yield opened.time_ms, time_ms, opened
                # What follows is compared with the points before it again.
                opened, limit, begin = None, None, place + 1
                break
    if opened is not None:
        yield opened.time_ms, None, opened

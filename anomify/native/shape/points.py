"""Points of series and charts as the native API has them: pairs of a timestamp and a value."""

import math
from collections.abc import Iterable

from anomify.native.window import timestamp_of
from anomify.rendering.chart import Chart
from anomify.series import Series

Pairs = list[tuple[int | float, float]]


def pairs_json(series: Series) -> Pairs:
    """Return each point as a timestamp and a value; those without a value are left out."""
    return _pairs(zip(series.times.tolist(), series.values.tolist(), strict=True))


def current_json(chart: Chart) -> Pairs:
    """Return the points of a chart that lie in its window."""
    points = zip(chart.times.tolist(), chart.values.tolist(), strict=True)
    return _pairs(
        (time_ms, value)
        for time_ms, value in points
        if chart.from_time <= time_ms < chart.until_time
    )


def pattern_json(chart: Chart) -> Pairs:
    """Return the points of the pattern that is drawn over a chart; none where there is none."""
    if chart.pattern is None:
        return []
    return _pairs(zip(chart.pattern.times.tolist(), chart.pattern.values.tolist(), strict=True))


def finite(value: float) -> float | None:
    """Return a value, or None where it is not finite, because JSON has no such number."""
    return value if math.isfinite(value) else None


def _pairs(points: Iterable[tuple[int, float]]) -> Pairs:
    return [(timestamp_of(time_ms), value) for time_ms, value in points if math.isfinite(value)]

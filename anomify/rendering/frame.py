"""Selects the points that a chart shows, and maps times and values to pixels."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.rendering.chart import Chart
from anomify.rendering.downsample import run_numbers
from anomify.rendering.theme import VALUE_WIDTH
from anomify.series import Bools, Float64s, Int64s

# Beyond it the difference of two values is not finite.
LARGEST_VALUE: Final = 1e300
# A smaller range of values cannot be divided by; such values are drawn as one.
SMALLEST_SPAN: Final = 1e-300
# The axis shows so much of a wide range at each side of the values, in heights of all values: these
# have a fifth of the axis at least. An end that a value has left is between values, so it is shown.
RANGE_HEIGHTS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle of the curves in CSS pixels, and the times and values at its edges.

    >>> frame = Frame(0.0, 0.0, 100.0, 50.0, from_time=0, until_time=1000, low=0.0, high=10.0)
    >>> frame.x(np.array([500])).tolist(), frame.y(np.array([10.0])).tolist()
    ([50.0], [0.0])
    """

    left: float
    top: float
    right: float
    bottom: float
    from_time: int
    until_time: int
    low: float
    high: float

    def x(self, times: Int64s) -> Float64s:
        """Return the horizontal positions of times, float64 (n,), CSS pixels."""
        share = (times - self.from_time) / (self.until_time - self.from_time)
        return np.asarray(self.left + share * (self.right - self.left), np.float64)

    def y(self, values: Float64s) -> Float64s:
        """Return the vertical positions of values, float64 (n,), at most one height outside."""
        above = drawable_values(values) - self.low
        # With a height near zero the share may overflow to infinity; that is clipped too.
        with np.errstate(over="ignore"):
            share = above / (self.high - self.low)
        return np.asarray(self.bottom - np.clip(share, -1, 2) * (self.bottom - self.top))

    def sides(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom, with a margin for half a stroke above and below."""
        return self.left, self.top - VALUE_WIDTH, self.right, self.bottom + VALUE_WIDTH


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The n points of the window and one neighbour at each side, as arrays (n,).

    Points with the same number in `runs` are joined by a line; a gap separates two runs.
    """

    times: Int64s
    values: Float64s
    lowers: Float64s
    uppers: Float64s
    runs: Int64s

    def of(self, rows: Bools) -> "Curve":
        """Return only those rows."""
        return Curve(
            self.times[rows],
            self.values[rows],
            self.lowers[rows],
            self.uppers[rows],
            self.runs[rows],
        )


def curve_of(chart: Chart) -> Curve:
    """Return the points of the chart that are drawn; a NaN or infinite value leaves a gap."""
    first = max(int(np.searchsorted(chart.times, chart.from_time)) - 1, 0)
    last = int(np.searchsorted(chart.times, chart.until_time, side="right")) + 1
    rows = slice(first, last)
    times, values = chart.times[rows], chart.values[rows]
    finite = np.isfinite(values)
    runs = run_numbers(times, chart.step) + np.cumsum(~finite)
    lowers, uppers = chart.lowers[rows], chart.uppers[rows]
    whole = Curve(times, values, lowers.astype(np.float64), uppers.astype(np.float64), runs)
    kept = whole if finite.all() else whole.of(finite)
    inside = (kept.times >= chart.from_time) & (kept.times <= chart.until_time)
    return kept if inside.any() or len(set(kept.runs.tolist())) == 1 else kept.of(inside)


def forecast_curve(chart: Chart, curve: Curve) -> Curve:
    """Return the forecast range as a curve without values, starting at the newest point."""
    count = 1 if len(chart.forecast.times) and len(curve.times) else 0
    newest = slice(len(curve.times) - count, None)
    times = np.concatenate((curve.times[newest], chart.forecast.times))
    return Curve(
        times,
        np.full(len(times), np.nan),
        np.concatenate((curve.lowers[newest], chart.forecast.lowers)),
        np.concatenate((curve.uppers[newest], chart.forecast.uppers)),
        np.zeros(len(times), np.int64),
    )


def pattern_curve(chart: Chart) -> Curve:
    """Return the points of the pattern that is drawn over the chart, as a curve without a range."""
    pattern = chart.pattern
    times = np.empty(0, np.int64) if pattern is None else pattern.times
    values = np.empty(0) if pattern is None else pattern.values
    finite = np.isfinite(values)
    runs = run_numbers(times, chart.step) + np.cumsum(~finite)
    nothing = np.full(len(times), np.nan)
    return Curve(times, values, nothing, nothing, runs).of(finite)


def value_limits(
    curve: Curve, forecast: Curve, pattern: Curve | None = None
) -> tuple[float, float]:
    """Return the ends of the value axis: they contain all values and most of the range.

    Cut off are the two widest hundredths of each end of the range, and what would leave less than a
    fifth of the axis to values that are not constant.
    """
    values = curve.values
    if pattern is not None:
        values = np.concatenate((values, pattern.values))
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    lowers = np.concatenate((curve.lowers, forecast.lowers))
    uppers = np.concatenate((curve.uppers, forecast.uppers))
    ranged = np.isfinite(lowers) & np.isfinite(uppers)
    if ranged.any():
        # A few very wide bounds, as at the end of learning, must not flatten the curve.
        bottom = float(np.percentile(drawable_values(lowers[ranged]), 2))
        top = float(np.percentile(drawable_values(uppers[ranged]), 98))
        height = high - low
        if not _is_constant(low, high):
            bottom = max(bottom, low - RANGE_HEIGHTS * height)
            top = min(top, high + RANGE_HEIGHTS * height)
        low, high = min(low, bottom), max(high, top)
    low, high = (min(max(end, -LARGEST_VALUE), LARGEST_VALUE) for end in (low, high))
    largest = max(abs(low), abs(high))
    if _is_constant(low, high):
        half = largest * 0.1 if largest > SMALLEST_SPAN else 1.0
        return low - half, high + half
    margin = (high - low) * 0.06
    # An axis that nearly reaches zero begins there.
    low = 0.0 if 0 <= low < margin * 2 else low
    return low - margin / 2, high + margin


def _is_constant(low: float, high: float) -> bool:
    return high - low <= max(1e-9 * max(abs(low), abs(high)), SMALLEST_SPAN)


def drawable_values(values: Float64s) -> Float64s:
    """Return the values clipped to a size whose differences are finite."""
    return np.clip(values, -LARGEST_VALUE, LARGEST_VALUE)

"""Compute the sparkline beside an anomaly: values, expected range, and the anomaly's time."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 160
HEIGHT: Final = 40
# The points are reduced to two extremes in each of so many columns; more cannot be seen.
COLUMNS: Final = 80
PADDING: Final = 2.0
# The line is interrupted where two points are further apart than so many columns.
GAP_COLUMNS: Final = 4.0
SPAN_LEAST_WIDTH: Final = 3.0
# So much of a wide range is shown at each side of the values, in heights of all values: these have
# a fifth of the height at least.
RANGE_HEIGHTS: Final = 2.0
# Values that differ by less are drawn as one.
SMALLEST_SPAN: Final = 1e-300


@dataclass(frozen=True, slots=True)
class SparkPoint:
    """One point of a sparkline; the range is None where no value was expected yet."""

    time: int
    value: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class ShadedTime:
    """A shaded span of time."""

    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Sparkline:
    """SVG paths in a view box of `width` times `height`; the style sheet sets the colours."""

    width: int
    height: int
    lines: tuple[str, ...]
    anomalous: tuple[str, ...]
    bands: tuple[str, ...]
    spans: tuple[ShadedTime, ...]


def sparkline(
    points: Sequence[SparkPoint], window: tuple[int, int], span: tuple[int, int]
) -> Sparkline:
    """Return the sparkline of points in a window; `span` is the anomaly's time. All are unix ms."""
    points = [_drawable(point) for point in points if math.isfinite(point.value)]
    scale = _Scale.for_points(points, window)
    runs = list(_runs_without_gaps(_reduced(points, window), window))
    left, right = scale.x(span[0]), scale.x(span[1])
    if right - left < SPAN_LEAST_WIDTH:
        middle = (left + right) / 2
        left, right = middle - SPAN_LEAST_WIDTH / 2, middle + SPAN_LEAST_WIDTH / 2
    return Sparkline(
        WIDTH,
        HEIGHT,
        tuple(scale.line(run) for run in runs),
        tuple(
            scale.line(part)
            for run in runs
            if (part := [point for point in run if span[0] <= point.time <= span[1]])
        ),
        tuple(scale.band(part) for run in runs for part in _runs_with_range(run)),
        (ShadedTime(_coordinate(left), _coordinate(right - left)),),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    from_time: int
    until_time: int
    low: float
    high: float

    @classmethod
    def for_points(cls, points: Sequence[SparkPoint], window: tuple[int, int]) -> "_Scale":
        values = [point.value for point in points]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        ends = [end for point in points for end in (point.lower, point.upper) if end is not None]
        if ends:
            is_constant = high - low <= max(1e-9 * max(abs(low), abs(high)), SMALLEST_SPAN)
            reach = math.inf if is_constant else RANGE_HEIGHTS * (high - low)
            bottom, top = max(min(ends), low - reach), min(max(ends), high + reach)
            low, high = min(low, bottom), max(high, top)
        return cls(window[0], max(window[1], window[0] + 1), low, high)

    def x(self, time: int) -> float:
        share = (time - self.from_time) / (self.until_time - self.from_time)
        return min(max(share, 0.0), 1.0) * WIDTH

    def y(self, value: float) -> float:
        # Halves first, because the difference of two finite numbers can overflow.
        span = self.high / 2 - self.low / 2
        if span <= SMALLEST_SPAN:
            return HEIGHT / 2
        share = (value / 2 - self.low / 2) / span
        return min(max(PADDING + (1 - share) * (HEIGHT - 2 * PADDING), 0.0), float(HEIGHT))

    def line(self, run: Sequence[SparkPoint]) -> str:
        places = [(self.x(point.time), self.y(point.value)) for point in run]
        if len(places) == 1:
            # A line without length would be invisible.
            (x, y), *_ = places
            places = [(x - 0.75, y), (x + 0.75, y)]
        return "M" + "L".join(f"{_coordinate(x)} {_coordinate(y)}" for x, y in places)

    def band(self, run: Sequence[tuple[int, float, float]]) -> str:
        there = [
            f"{_coordinate(self.x(time))} {_coordinate(self.y(upper))}" for time, _, upper in run
        ]
        back = [
            f"{_coordinate(self.x(time))} {_coordinate(self.y(lower))}" for time, lower, _ in run
        ]
        return "M" + "L".join(there + back[::-1]) + "Z"


def _drawable(point: SparkPoint) -> SparkPoint:
    ends = (point.lower, point.upper)
    if all(end is not None and math.isfinite(end) for end in ends):
        return point
    return SparkPoint(point.time, point.value, None, None)


def _reduced(points: Sequence[SparkPoint], window: tuple[int, int]) -> list[SparkPoint]:
    """Return the lowest and the highest point of each column, in order of time."""
    if len(points) <= 2 * COLUMNS:
        return list(points)
    columns: dict[int, list[SparkPoint]] = {}
    across = max(window[1] - window[0], 1)
    for point in points:
        columns.setdefault((point.time - window[0]) * COLUMNS // across, []).append(point)
    kept: list[SparkPoint] = []
    for column in columns.values():
        least = min(column, key=lambda point: point.value)
        most = max(column, key=lambda point: point.value)
        ends = [least] if least is most else [least, most]
        kept += sorted(ends, key=lambda point: point.time)
    return kept


def _runs_without_gaps(
    points: Sequence[SparkPoint], window: tuple[int, int]
) -> Iterator[list[SparkPoint]]:
    """Yield the points in parts that are separated by long gaps."""
    if not points:
        return
    distances = sorted(later.time - earlier.time for earlier, later in itertools.pairwise(points))
    usual = distances[len(distances) // 2] if distances else 0
    column = (window[1] - window[0]) / COLUMNS
    widest = max(GAP_COLUMNS * column if len(points) > COLUMNS else 0, GAP_COLUMNS * usual)
    run = [points[0]]
    for earlier, later in itertools.pairwise(points):
        if later.time - earlier.time > widest:
            yield run
            run = []
        run.append(later)
    yield run


def _runs_with_range(run: Sequence[SparkPoint]) -> Iterator[list[tuple[int, float, float]]]:
    """Yield time, lower and upper of the parts of a run that have an expected range."""
    part: list[tuple[int, float, float]] = []
    for point in run:
        if point.lower is None or point.upper is None:
            if len(part) > 1:
                yield part
            part = []
        else:
            part.append((point.time, point.lower, point.upper))
    if len(part) > 1:
        yield part


def _coordinate(place: float) -> str:
    return f"{place:.1f}"

"""The small picture beside an anomaly: the value, what was expected, and when it was unusual."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 160
HEIGHT: Final = 40
# Two extremes a column are all that can be seen of the points in it.
COLUMNS: Final = 80
PADDING: Final = 2.0
# A hole in time wider than so many columns is not bridged.
GAP_COLUMNS: Final = 4.0
SPAN_LEAST_WIDTH: Final = 3.0
# Values that differ by less are drawn as one.
SMALLEST_SPAN: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Spot:
    """One point of the small picture; the range is None where nothing was expected yet."""

    time: int
    value: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Box:
    """A shaded stretch of time."""

    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Sparkline:
    """SVG geometry in a box of `width` times `height`; the colours are the style sheet's."""

    width: int
    height: int
    lines: tuple[str, ...]
    found: tuple[str, ...]
    bands: tuple[str, ...]
    spans: tuple[Box, ...]


def sparkline(spots: Sequence[Spot], window: tuple[int, int], span: tuple[int, int]) -> Sparkline:
    """Draw points over a window; the span is the time the anomaly lasted. All are unix ms."""
    spots = [_drawable(spot) for spot in spots if math.isfinite(spot.value)]
    frame = _Frame.around(spots, window)
    runs = list(_runs(_thinned(spots, window), window))
    left, right = frame.x(span[0]), frame.x(span[1])
    if right - left < SPAN_LEAST_WIDTH:
        middle = (left + right) / 2
        left, right = middle - SPAN_LEAST_WIDTH / 2, middle + SPAN_LEAST_WIDTH / 2
    return Sparkline(
        WIDTH,
        HEIGHT,
        tuple(frame.line(run) for run in runs),
        tuple(
            frame.line(part)
            for run in runs
            if (part := [spot for spot in run if span[0] <= spot.time <= span[1]])
        ),
        tuple(frame.band(part) for run in runs for part in _ranged(run)),
        (Box(_written(left), _written(right - left)),),
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    from_time: int
    until_time: int
    low: float
    high: float

    @classmethod
    def around(cls, spots: Sequence[Spot], window: tuple[int, int]) -> "_Frame":
        heights = [spot.value for spot in spots]
        heights += [end for spot in spots for end in (spot.lower, spot.upper) if end is not None]
        low, high = (min(heights), max(heights)) if heights else (0.0, 1.0)
        return cls(window[0], max(window[1], window[0] + 1), low, high)

    def x(self, time: int) -> float:
        share = (time - self.from_time) / (self.until_time - self.from_time)
        return min(max(share, 0.0), 1.0) * WIDTH

    def y(self, value: float) -> float:
        # Halves first: the distance of two finite numbers need not be finite.
        span = self.high / 2 - self.low / 2
        if span <= SMALLEST_SPAN:
            return HEIGHT / 2
        share = (value / 2 - self.low / 2) / span
        return PADDING + (1 - share) * (HEIGHT - 2 * PADDING)

    def line(self, run: Sequence[Spot]) -> str:
        places = [(self.x(spot.time), self.y(spot.value)) for spot in run]
        if len(places) == 1:
            # A line of no length would not be seen.
            (x, y), *_ = places
            places = [(x - 0.75, y), (x + 0.75, y)]
        return "M" + "L".join(f"{_written(x)} {_written(y)}" for x, y in places)

    def band(self, run: Sequence[tuple[int, float, float]]) -> str:
        there = [f"{_written(self.x(time))} {_written(self.y(upper))}" for time, _, upper in run]
        back = [f"{_written(self.x(time))} {_written(self.y(lower))}" for time, lower, _ in run]
        return "M" + "L".join(there + back[::-1]) + "Z"


def _drawable(spot: Spot) -> Spot:
    ends = (spot.lower, spot.upper)
    if all(end is not None and math.isfinite(end) for end in ends):
        return spot
    return Spot(spot.time, spot.value, None, None)


def _thinned(spots: Sequence[Spot], window: tuple[int, int]) -> list[Spot]:
    """Keep the least and the greatest point of each column, in order of time."""
    if len(spots) <= 2 * COLUMNS:
        return list(spots)
    columns: dict[int, list[Spot]] = {}
    across = max(window[1] - window[0], 1)
    for spot in spots:
        columns.setdefault((spot.time - window[0]) * COLUMNS // across, []).append(spot)
    kept: list[Spot] = []
    for column in columns.values():
        least = min(column, key=lambda spot: spot.value)
        most = max(column, key=lambda spot: spot.value)
        ends = [least] if least is most else [least, most]
        kept += sorted(ends, key=lambda spot: spot.time)
    return kept


def _runs(spots: Sequence[Spot], window: tuple[int, int]) -> Iterator[list[Spot]]:
    if not spots:
        return
    distances = sorted(later.time - earlier.time for earlier, later in itertools.pairwise(spots))
    usual = distances[len(distances) // 2] if distances else 0
    column = (window[1] - window[0]) / COLUMNS
    widest = max(GAP_COLUMNS * column if len(spots) > COLUMNS else 0, GAP_COLUMNS * usual)
    run = [spots[0]]
    for earlier, later in itertools.pairwise(spots):
        if later.time - earlier.time > widest:
            yield run
            run = []
        run.append(later)
    yield run


def _ranged(run: Sequence[Spot]) -> Iterator[list[tuple[int, float, float]]]:
    part: list[tuple[int, float, float]] = []
    for spot in run:
        if spot.lower is None or spot.upper is None:
            if len(part) > 1:
                yield part
            part = []
        else:
            part.append((spot.time, spot.lower, spot.upper))
    if len(part) > 1:
        yield part


def _written(place: float) -> str:
    return f"{place:.1f}"

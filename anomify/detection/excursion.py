"""A stretch of points outside of what was expected, as plain numbers and two arrays."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from anomify.detection.evidence import Evidence
from anomify.series import Bools, Float64s, Int64s

CONTEXT: Final = 60
"""An excursion has at most so many points before its onset."""

CALM_POINTS: Final = 5
"""An excursion is over when so many points in a row are back in the range that it left.

As many end the record of alerts (`record_rule`).
"""

CALM_SHARE: Final = 0.2
"""A value that is still outside of it by this share of the farthest one counts as back.

The range stays that of the onset, while the day goes on.
"""

MOST_POINTS: Final = 1500
"""Of a longer excursion only the points up to this many after the onset are kept."""


@dataclass(frozen=True, slots=True)
class Excursion:
    """A stretch of points outside of what was expected, with the points before it.

    `started_ms` is the onset, the time of the first point over the threshold, in unix milliseconds.
    `times` int64 (n,), strictly ascending, and `values` float64 (n,) are the points from up to
    `CONTEXT` before the onset to the last one; `context` says how many lie before the onset. Values
    are what was judged: the reported value, or a counter's increase per second. NaN is a gap.
    `lower` and `upper` are the expected range at the onset. They stay the same while the excursion
    runs: it is what the excursion has left. `evidence` is that of the peak, `alert` the highest
    alert. `local_seconds` is the second of the day of the onset in the org's time zone and
    `weekday` its day of the week, 0 on Monday. `is_complete` is False while it still runs.

    >>> minutes = np.arange(63) * 60_000
    >>> values = np.array([10.0, 11.0] * 30 + [30.0, 40.0, 10.0])
    >>> job = Excursion.at(60, 60_000, minutes, values, 8.0, 13.0, Evidence.ABOVE, 9.0, 7200, 0)
    >>> job.direction, job.height, job.length_ms, job.context
    (1, 27.0, 60000, 60)
    """

    step_ms: int
    started_ms: int
    times: Int64s
    values: Float64s
    context: int
    lower: float
    upper: float
    evidence: Evidence
    alert: float
    local_seconds: int
    weekday: int
    is_complete: bool = False

    @classmethod
    def at(
        cls,
        onset: int,
        step_ms: int,
        times: Int64s,
        values: Float64s,
        lower: float,
        upper: float,
        evidence: Evidence,
        alert: float,
        local_seconds: int,
        weekday: int,
        *,
        last_over_ms: int = 0,
    ) -> Self:
        """Return the excursion that begins at row `onset` of these points, as far as it has run.

        It ends before the first `CALM_POINTS` points in a row that are in the range and later than
        `last_over_ms`, the time of its last point over the threshold as far as that is known; it is
        complete then. Without such points it runs to the last row. An excursion of which no point
        is outside of the range (a jump, a change of noise) can only be followed by `last_over_ms`.
        """
        first = max(onset - CONTEXT, 0)
        calm = _is_calm(excess_of(values[onset:], lower, upper))
        calm &= times[onset:] > max(last_over_ms, times[onset])
        last, is_complete = _find_last(calm)
        end = onset + last + 1
        return cls(
            step_ms=step_ms,
            started_ms=int(times[onset]),
            times=np.ascontiguousarray(times[first:end], np.int64),
            values=np.ascontiguousarray(values[first:end], np.float64),
            context=onset - first,
            lower=lower,
            upper=upper,
            evidence=evidence,
            alert=alert,
            local_seconds=local_seconds,
            weekday=weekday,
            is_complete=is_complete,
        )

    @property
    def direction(self) -> int:
        """Return 1 where the farthest value is above the range, -1 below, 0 if all are inside."""
        up, down = self.heights
        if up == down == 0.0:
            return 0
        return 1 if up >= down else -1

    @property
    def height(self) -> float:
        """Return how far the farthest value is from the range, in the unit of the values."""
        return max(self.heights)

    @property
    def heights(self) -> tuple[float, float]:
        """Return how far the values go above the range and below it, both >= 0."""
        excess = excess_of(self.values[self.context :], self.lower, self.upper)
        return float(excess.max(initial=0.0)), float(-excess.min(initial=0.0))

    @property
    def length_ms(self) -> int:
        """Return the time from the onset to the last point outside of the range.

        If no point is outside, to the last point.
        """
        outside = np.flatnonzero(excess_of(self.values[self.context :], self.lower, self.upper))
        last = self.context + outside[-1] if len(outside) else -1
        return int(self.times[last]) - self.started_ms

    @property
    def lead_ms(self) -> int:
        """Return for how long before the onset all values have been outside of the range already.

        That is how late the excursion was found.
        """
        inside = np.flatnonzero(
            excess_of(self.values[: self.context], self.lower, self.upper) == 0.0
        )
        first = int(inside[-1]) + 1 if len(inside) else 0
        return self.started_ms - int(self.times[first])

    @property
    def side(self) -> int:
        """Return to which side the first point has gone, 1 up or -1 down.

        A first point that is inside the range has gone up if the middle of the range, the point
        before it and the level before it lie below it on average.
        """
        value = self.values[self.context]
        outside = float(excess_of(np.array([value]), self.lower, self.upper)[0])
        if outside == 0.0:
            middle = 0.5 * self.lower + 0.5 * self.upper
            outside = float(np.nansum([value - middle, value - self.before, value - self.level]))
        return 1 if outside >= 0.0 else -1

    @property
    def before(self) -> float:
        """Return the newest finite value before the onset, NaN if there is none."""
        known = self.values[: self.context]
        known = known[np.isfinite(known)]
        return float(known[-1]) if len(known) else np.nan

    @property
    def level(self) -> float:
        """Return the median of the values before the onset, NaN if there is none."""
        known = self.values[: self.context]
        known = known[np.isfinite(known)]
        return float(np.median(known)) if len(known) else np.nan

    @property
    def swings(self) -> tuple[float, float]:
        """Return how far the values go above and below the value before the onset, both >= 0."""
        return self._moves_from(self.before)

    @property
    def moves(self) -> tuple[float, float]:
        """Return how far the values go above and below the level before the onset, both >= 0."""
        return self._moves_from(self.level)

    def _moves_from(self, value: float) -> tuple[float, float]:
        run = self.values[self.context :] - value
        run = run[np.isfinite(run)]
        return float(run.max(initial=0.0)), float(-run.min(initial=0.0))


def excess_of(values: Float64s, lower: float, upper: float) -> Float64s:
    """Return how far each value lies outside of a range: above it > 0, below it < 0, else 0.

    NaN counts as inside, and an end that is NaN as infinitely far away.

    >>> excess_of(np.array([1.0, 5.0, 9.0, np.nan]), 2.0, 6.0).tolist()
    [-1.0, 0.0, 3.0, 0.0]
    """
    above = np.fmax(values - upper, 0.0)
    below = np.fmax(lower - values, 0.0)
    excess: Float64s = np.nan_to_num(above - below)
    return excess


def _is_calm(excess: Float64s) -> Bools:
    """Return at which points the value is back, or nearly so for how far it has been outside."""
    farthest = np.maximum.accumulate(np.abs(excess))
    calm: Bools = np.abs(excess) <= CALM_SHARE * farthest
    return calm


def _find_last(calm: Bools) -> tuple[int, bool]:
    """Return the last row of the excursion that begins at row 0, and whether it has ended."""
    counts = np.cumsum(calm)
    ended: Bools = counts[CALM_POINTS:] - counts[:-CALM_POINTS] == CALM_POINTS
    if ended.any():
        return min(int(np.argmax(ended)), MOST_POINTS), True
    return min(len(calm) - 1, MOST_POINTS), False

"""Computes the expected range of future moments from the state of a slot.

This repeats the kernel's arithmetic of the range in numpy, because the process that answers
requests does not load numba. A range widens with the horizon like the error of a random walk.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.detection.band import (
    BAND_SCALES,
    DAY_SECONDS,
    DAY_SLOW,
    DAY_VISITS_NEEDED,
    DAY_VISITS_NEEDED_SPARSE,
    EDGE_SCALES,
    FAR_NEIGHBOURS,
    HEIGHT_SHARE,
    HOUR_FACTOR_POINTS,
    HOUR_SECONDS,
    LEAST_BINS_AN_HOUR,
    LEAST_HOUR_FACTOR,
    LEVEL,
    MONDAY_SECONDS,
    MOST_HOUR_FACTOR,
    SEASONAL_ERROR_SHARE,
    SMALL_SHARE_OF_LEVEL,
    SMALL_SHARE_OF_SPREAD,
    SPARSE_STEP_SECONDS,
    TINY,
    TRIAL_POINTS,
    WEEK_SECONDS,
    WEEK_SLOW,
    WEEK_VISITS_NEEDED,
)
from anomify.detection.state import DAY_BINS, HOURS, WEEK_BINS, EngineState
from anomify.series import Float64s, Int64s

HORIZON_MS: Final = 86_400_000
"""How far ahead of now the expected range is shown: one day."""

REACH_MS: Final = 2 * HORIZON_MS
"""How far beyond the newest point a forecast reaches; later the level may be another one."""

MOST_POINTS: Final = 2880
"""The most points of a forecast; a metric that reports more often gets one for every few steps."""

# The rate at which the slow experts follow one residual.
_RATE: Final = 1.0 / 600.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected range at n future moments, in the unit in which the metric is judged.

    `times` int64 (n,), unix milliseconds, ascending, the first one a step after the newest point;
    `lowers` and `uppers` float64 (n,).
    """

    times: Int64s
    lowers: Float64s
    uppers: Float64s

    @classmethod
    def empty(cls) -> "Forecast":
        """Return a forecast without moments."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0))

    def between(self, from_ms: int, until_ms: int) -> "Forecast":
        """Return the moments from `from_ms` up to but not including `until_ms`."""
        inside = (self.times >= from_ms) & (self.times < until_ms)
        return Forecast(self.times[inside], self.lowers[inside], self.uppers[inside])


def forecast(state: EngineState, slot: int) -> Forecast:
    """Return the expected range of a slot for the two days after its newest point.

    It is empty while the slot learns. The first range is the one that the verdict of the next point
    will have. Later ones are wider: by the random walk of the slow expert, and by the ratio of the
    horizon to the number of points learnt.

    >>> from anomify.detection.detector import judge
    >>> state = EngineState.new(1)
    >>> values = 50.0 + np.arange(200) % 7
    >>> _ = judge(state, np.zeros(200, int), np.arange(1, 201) * 60_000, values)
    >>> ahead = forecast(state, 0).between(0, 203 * 60_000)
    >>> ahead.times.tolist(), bool((ahead.lowers < 53.0).all() and (ahead.uppers > 53.0).all())
    ([12060000, 12120000], True)
    """
    row = state.slots[slot]
    if row["trained_points"] == 0 or row["learned"] == 0:
        return Forecast.empty()
    resolution = max(int(row["resolution"]), 1000)
    steps_ahead = max(REACH_MS // resolution, 1)
    ahead = np.arange(1, steps_ahead + 1, -(-steps_ahead // MOST_POINTS))
    times = int(row["last_time"]) + ahead * resolution
    expected = _expected(row, times / 1000.0, resolution / 1000.0)
    learned = float(row["learned"])
    # The updates of the expert add up like the steps of a random walk (the second term). The first
    # term is the error of the mean of `learned` points, which grows with the horizon.
    until = ahead - 1.0
    growth = np.sqrt(1.0 + until / learned + until * _RATE**2)
    widths = BAND_SCALES * expected.scales * growth
    lowers = expected.lowers + row["anchor"] - widths
    uppers = expected.uppers + row["anchor"] + widths
    if row["low"] >= 0.0:
        lowers, uppers = np.maximum(lowers, 0.0), np.maximum(uppers, 0.0)
    return Forecast(times, lowers, uppers)


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the best slow expert expects at n moments: (n,) each, relative to the anchor.

    `lowers` and `uppers` differ where the neighbouring bins of the day lie lower or higher.
    """

    lowers: Float64s
    uppers: Float64s
    scales: Float64s


def _expected(row: np.void, seconds: Float64s, step: float) -> _Expected:
    """Return what the best slow expert expects at these unix times, float64 (n,)."""
    days = min(DAY_BINS, max(1, int(DAY_SECONDS / step)))
    weeks = min(WEEK_BINS, max(7, int(WEEK_SECONDS / step)))
    day_bin = ((seconds % DAY_SECONDS) * days / DAY_SECONDS).astype(np.int64)
    week_bin = (((seconds + MONDAY_SECONDS) % WEEK_SECONDS) * weeks / WEEK_SECONDS).astype(np.int64)
    day = row["day_profile"][day_bin].astype(np.float64)
    week = day + row["week_profile"][week_bin]
    needed = DAY_VISITS_NEEDED if step < SPARSE_STEP_SECONDS else DAY_VISITS_NEEDED_SPARSE
    day_visits = _visits(row, "day", day_bin, seconds, step, DAY_SECONDS / days)
    week_visits = _visits(row, "week", week_bin, seconds, step, WEEK_SECONDS / weeks)
    knows_day = day_visits >= needed
    knows_week = knows_day & (week_visits >= WEEK_VISITS_NEEDED)
    about = abs(row["mean"] + row["anchor"])
    floor = TINY + SMALL_SHARE_OF_LEVEL * about + SMALL_SHARE_OF_SPREAD * row["spread"]
    expected = np.full(len(seconds), row["level"])
    scales = np.full(len(seconds), _scale(row, LEVEL, floor))
    least = np.full(len(seconds), row["errors"][LEVEL] if _is_tried(row, LEVEL) else np.inf)
    is_seasonal = np.zeros(len(seconds), np.bool_)
    for expert, predicted, has_profile in (
        (DAY_SLOW, day + row["day_slow"], knows_day),
        (WEEK_SLOW, week + row["week_slow"], knows_week),
    ):
        if not _is_tried(row, expert):
            continue
        error = SEASONAL_ERROR_SHARE * row["errors"][expert]
        is_better = has_profile & (error < least)
        expected[is_better] = predicted[is_better]
        scales[is_better] = _scale(row, expert, floor)
        least[is_better] = error
        is_seasonal |= is_better
    lower, upper = _usual_range(row, day_bin, days, needed)
    lower[~is_seasonal], upper[~is_seasonal] = 0.0, 0.0
    hour = ((seconds % DAY_SECONDS) / HOUR_SECONDS).astype(np.int64)
    return _Expected(expected + lower, expected + upper, scales * _hour_factors(row, floor)[hour])


def _usual_range(
    row: np.void, day_bin: Int64s, days: int, needed: int
) -> tuple[Float64s, Float64s]:
    """Return the ranges of `baseline.usual_range` at these bins of the day, float64 (n,) each."""
    profile, has_visits = row["day_profile"], row["day_visits"] >= needed

    def difference(by: int) -> Float64s:
        """Return how far the bins `by` bins later lie above these, NaN where one is not known."""
        other = (day_bin + by) % days
        above: Float64s = (profile[other] - profile[day_bin]).astype(np.float64)
        above[~has_visits[other]] = np.nan
        return above

    lower, upper = np.zeros(len(day_bin)), np.zeros(len(day_bin))
    for by in range(-FAR_NEIGHBOURS, FAR_NEIGHBOURS + 1):
        above = difference(by)
        if abs(by) > 1:
            above[~(np.abs(above) > EDGE_SCALES * row["slow_scale"])] = np.nan
        lower, upper = np.fmin(lower, above), np.fmax(upper, above)
    height = np.zeros(len(day_bin))
    hour = days // HOURS
    if hour >= LEAST_BINS_AN_HOUR:
        before, after = difference(-hour), difference(hour)
        is_job = before * after > 0.0
        height[is_job] = np.minimum(np.abs(before), np.abs(after))[is_job]
    return lower - HEIGHT_SHARE * height, upper + HEIGHT_SHARE * height


def _hour_factors(row: np.void, floor: float) -> Float64s:
    """Return the scale of each hour of the day relative to their mean, float64 (HOURS,)."""
    points = row["hour_points"].astype(np.float64)
    scales = row["hour_slow"].astype(np.float64)
    has_points = points > 0.0
    factors = np.ones(len(points))
    if has_points.any():
        trust = points / (points + HOUR_FACTOR_POINTS)
        raw = (scales + floor) / (scales[has_points].mean() + floor)
        bounded = np.clip(1.0 + trust * (raw - 1.0), LEAST_HOUR_FACTOR, MOST_HOUR_FACTOR)
        factors[has_points] = bounded[has_points]
    return factors


def _visits(
    row: np.void, of: str, bins: Int64s, seconds: Float64s, step: float, width: float
) -> Int64s:
    """Return the complete visits of each bin at those times; a bin is `width` seconds wide."""
    visits: Int64s = row[f"{of}_visits"][bins].astype(np.int64)
    if step < width and row[f"{of}_stay"] > 0:
        # The visit of the bin of the newest point is not complete until a point of another bin.
        is_current = (bins == row[f"{of}_bin"]) & (seconds - row["last_time"] / 1000.0 < width)
        visits -= is_current
    return visits


def _is_tried(row: np.void, expert: int) -> bool:
    return bool(row["error_points"][expert] > TRIAL_POINTS)


def _scale(row: np.void, expert: int, floor: float) -> float:
    return float(np.sqrt(row["powers"][expert] / max(row["power_weights"][expert], 1.0)) + floor)

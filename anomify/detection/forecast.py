"""The expected range of the time to come: what the engine would say if nothing changed.

The kernel's arithmetic of the range once more, in numpy: whoever answers requests has no compiler.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.detection.band import (
    BAND_SCALES,
    DAY_SECONDS,
    DAY_SLOW,
    DAY_VISITS_NEEDED,
    LEVEL,
    MONDAY_SECONDS,
    SMALL_SHARE_OF_LEVEL,
    SMALL_SHARE_OF_SPREAD,
    TINY,
    TRIAL_POINTS,
    WEEK_SECONDS,
    WEEK_SLOW,
    WEEK_VISITS_NEEDED,
)
from anomify.detection.state import DAY_BINS, WEEK_BINS, EngineState
from anomify.series import Float64s, Int64s

HORIZON_MS: Final = 86_400_000
"""So far ahead of now is said what is expected."""

REACH_MS: Final = 2 * HORIZON_MS
"""After the newest point there is no forecast for longer: who is silent may come back changed."""

MOST_POINTS: Final = 2880
"""A forecast has no more points: where a metric reports more often, every few steps have one."""

# How far the slow experts follow one point.
_RATE: Final = 1.0 / 600.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected range at some moments to come, as in `Verdicts`: of a counter, its rate.

    `times` are unix milliseconds, ascending, the first one a step after the newest point.
    """

    times: Int64s
    lowers: Float64s
    uppers: Float64s

    @classmethod
    def nothing(cls) -> "Forecast":
        """Return a forecast that says nothing."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0))

    def between(self, from_ms: int, until_ms: int) -> "Forecast":
        """Return what is said of the moments from `from_ms` up to but not including `until_ms`."""
        inside = (self.times >= from_ms) & (self.times < until_ms)
        return Forecast(self.times[inside], self.lowers[inside], self.uppers[inside])


def forecast(state: EngineState, slot: int) -> Forecast:
    """Say what is expected of a slot in the two days after its newest point; nothing of a learner.

    The next point's range is the one that its verdict will have. Later ones are wider, by what
    the level may move until then, and the more so the less of the past is known: from an hour
    nobody can tell a day.
    """
    row = state.slots[slot]
    if row["taught"] == 0 or row["learned"] == 0:
        return Forecast.nothing()
    resolution = max(int(row["resolution"]), 1000)
    steps_ahead = max(REACH_MS // resolution, 1)
    ahead = np.arange(1, steps_ahead + 1, -(-steps_ahead // MOST_POINTS))
    times = int(row["last_time"]) + ahead * resolution
    expected, scales = _expected(row, times / 1000.0, resolution / 1000.0)
    learned = float(row["learned"])
    # The expert's own steps add up like those of a random walk; what was never seen cannot be
    # told from what is rare, and that counts for as much as the horizon beside the past.
    until = ahead - 1.0
    widths = BAND_SCALES * scales * np.sqrt(1.0 + until / learned + until * _RATE**2)
    middles = expected + row["anchor"]
    lowers, uppers = middles - widths, middles + widths
    if row["low"] >= 0.0:
        lowers, uppers = np.maximum(lowers, 0.0), np.maximum(uppers, 0.0)
    return Forecast(times, lowers, uppers)


def _expected(row: np.void, seconds: Float64s, step: float) -> tuple[Float64s, Float64s]:
    """Return what the best slow expert expects at these times, and its scale."""
    days = min(DAY_BINS, max(1, int(DAY_SECONDS / step)))
    weeks = min(WEEK_BINS, max(7, int(WEEK_SECONDS / step)))
    day_bin = ((seconds % DAY_SECONDS) * days / DAY_SECONDS).astype(np.int64)
    week_bin = (((seconds + MONDAY_SECONDS) % WEEK_SECONDS) * weeks / WEEK_SECONDS).astype(np.int64)
    day = row["day_profile"][day_bin].astype(np.float64)
    week = day + row["week_profile"][week_bin]
    day_visits = _visits(row, "day", day_bin, seconds, step, DAY_SECONDS / days)
    week_visits = _visits(row, "week", week_bin, seconds, step, WEEK_SECONDS / weeks)
    knows_day = day_visits >= DAY_VISITS_NEEDED
    knows_week = knows_day & (week_visits >= WEEK_VISITS_NEEDED)
    about = abs(row["mean"] + row["anchor"])
    floor = TINY + SMALL_SHARE_OF_LEVEL * about + SMALL_SHARE_OF_SPREAD * row["spread"]
    expected = np.full(len(seconds), row["level"])
    scales = np.full(len(seconds), _scale(row, LEVEL, floor))
    least = np.full(len(seconds), row["errors"][LEVEL] if _is_tried(row, LEVEL) else np.inf)
    for expert, said, knows in (
        (DAY_SLOW, day + row["day_slow"], knows_day),
        (WEEK_SLOW, week + row["week_slow"], knows_week),
    ):
        if not _is_tried(row, expert):
            continue
        is_better = knows & (row["errors"][expert] < least)
        expected[is_better] = said[is_better]
        scales[is_better] = _scale(row, expert, floor)
        least[is_better] = row["errors"][expert]
    return expected, scales


def _visits(
    row: np.void, of: str, bins: Int64s, seconds: Float64s, step: float, width: float
) -> Int64s:
    """Return how many visits of each bin have ended by then; the bins are so many seconds wide."""
    visits: Int64s = row[f"{of}_visits"][bins].astype(np.int64)
    if step < width and row[f"{of}_stay"] > 0:
        # The visit of the newest point's bin goes on until the bin is left.
        goes_on = (bins == row[f"{of}_bin"]) & (seconds - row["last_time"] / 1000.0 < width)
        visits -= goes_on
    return visits


def _is_tried(row: np.void, expert: int) -> bool:
    return bool(row["error_points"][expert] > TRIAL_POINTS)


def _scale(row: np.void, expert: int, floor: float) -> float:
    return float(np.sqrt(row["powers"][expert] / max(row["power_weights"][expert], 1.0)) + floor)

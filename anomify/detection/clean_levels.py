"""Formulas of generated metrics that change between levels at times that no clock sets.

Their arguments and results are as in `clean_noise`.
"""

import math
from typing import Final

import numpy as np

from anomify.detection.generated_values import DAY_SECONDS, log_uniform, red_noise
from anomify.detection.time_grid import TimeGrid, daily_course, usual_level
from anomify.series import Float64s, Int64s

_HOUR_SECONDS: Final = 3600.0
_SHORTEST_PERIOD: Final = 8  # steps of a sawtooth
_BLIP_LENGTHS: Final = (0.8, 0.15, 0.05)  # of 1, 2 and 3 points


def _switch_numbers(
    rng: np.random.Generator, grid: TimeGrid, mean_durations: tuple[float, ...]
) -> Int64s:
    """Return how many switches lie before each time.

    The durations are exponential; their means, in seconds, are taken in turn.
    """
    turns = int(2.0 * grid.days * DAY_SECONDS / sum(mean_durations)) + 50
    durations = rng.standard_exponential((turns, len(mean_durations))) * np.array(mean_durations)
    passed = grid.seconds - grid.seconds[:1].sum()
    numbers: Int64s = np.searchsorted(np.cumsum(durations), passed, side="right")
    return numbers


# --- switching ---


def on_and_off(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return two levels in turn, each for 20 minutes to 8 hours on average; half are 0 when off."""
    durations = (log_uniform(rng, 1200.0, 28800.0), log_uniform(rng, 1200.0, 28800.0))
    is_on = _switch_numbers(rng, grid, durations) % 2 == 1
    off = 0.0 if rng.random() < 0.5 else rng.uniform(0.05, 0.5)  # noqa: PLR2004  (half)
    shape = np.where(is_on, 1.0, off)
    noise = 1.0 + log_uniform(rng, 0.005, 0.08) * rng.standard_normal(len(grid))
    made: Float64s = usual_level(rng) * shape * noise
    return made


def few_levels(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return three to five levels in random order, each for 1 to 10 hours on average."""
    numbers = _switch_numbers(rng, grid, (log_uniform(rng, 1.0, 10.0) * _HOUR_SECONDS,))
    levels = 1.0 + np.cumsum(rng.uniform(0.15, 0.8, int(rng.integers(3, 6))))
    order = rng.integers(len(levels), size=int(numbers[-1]) + 1 if len(numbers) else 0)
    noise = log_uniform(rng, 0.005, 0.04) * rng.standard_normal(len(grid))
    made: Float64s = usual_level(rng) * (levels[order][numbers] + noise)
    return made


def replicas(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a whole number from 1 to 12 that now and then rises or falls by one."""
    numbers = _switch_numbers(rng, grid, (log_uniform(rng, 0.5, 5.0) * _HOUR_SECONDS,))
    moves = rng.choice((-1, 1), int(numbers[-1]) + 1 if len(numbers) else 0)
    # A walk folded at its ends: 0 to 11 and back again.
    folded = (int(rng.integers(12)) + np.cumsum(moves)) % 22
    made: Float64s = (1 + np.minimum(folded, 22 - folded))[numbers].astype(np.float64)
    return made


# --- sawtooth ---


def _cycles(rng: np.random.Generator, grid: TimeGrid, jitter: float) -> tuple[Int64s, Float64s]:
    """Return the number of each time's cycle, and which part of the cycle has passed, 0 to 1.

    Cycles last 30 minutes to 14 hours; their lengths differ by `jitter`, a relative deviation.
    """
    period = max(log_uniform(rng, 1800.0, 50_400.0), _SHORTEST_PERIOD * grid.step)
    count = int(2.0 * grid.days * DAY_SECONDS / period) + 20
    lengths = period * np.clip(1.0 + jitter * rng.standard_normal(count), 0.3, 3.0)
    ends = np.cumsum(lengths)
    passed = grid.seconds - grid.seconds[:1].sum() + rng.uniform(0.0, period)
    cycle = np.searchsorted(ends, passed, side="right")
    part: Float64s = 1.0 - (ends[cycle] - passed) / lengths[cycle]
    return cycle, part


def _sawtooth(rng: np.random.Generator, part: Float64s, heights: Float64s | float) -> Float64s:
    base = rng.uniform(0.1, 2.0)
    noise = log_uniform(rng, 0.003, 0.03) * rng.standard_normal(len(part))
    made: Float64s = usual_level(rng) * (base + heights * part + noise)
    return made


def regular_sawtooth(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a line that rises to one height and falls at once, in cycles of one length."""
    _, part = _cycles(rng, grid, 0.0)
    return _sawtooth(rng, part, 1.0)


def jittered_sawtooth(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a line that rises and falls at once, in cycles of unequal length and height."""
    cycle, part = _cycles(rng, grid, rng.uniform(0.05, 0.25))
    count = int(cycle[-1]) + 1 if len(cycle) else 0
    heights = np.clip(1.0 + rng.uniform(0.03, 0.15) * rng.standard_normal(count), 0.4, 1.6)
    return _sawtooth(rng, part, heights[cycle])


def draining_sawtooth(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a line that falls and is filled up at once, as of a battery or a stock."""
    _, part = _cycles(rng, grid, rng.uniform(0.0, 0.2))
    return _sawtooth(rng, 1.0 - part, 1.0)


def collected_memory(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return the memory of a process whose garbage collections leave unequal rests."""
    cycle, part = _cycles(rng, grid, rng.uniform(0.1, 0.3))
    left = rng.uniform(0.0, 0.3, int(cycle[-1]) + 1 if len(cycle) else 0)[cycle]
    return _sawtooth(rng, left + (1.0 - left) * part, 1.0)


# --- retry blips ---


def _with_blips(
    rng: np.random.Generator, values: Float64s, starts: Int64s, heights: Float64s
) -> Float64s:
    lengths = rng.choice((1, 2, 3), len(starts), p=_BLIP_LENGTHS)
    for start, length, height in zip(starts, lengths, heights, strict=True):
        values[start : start + length] += height
    return values


def _blip_starts(rng: np.random.Generator, grid: TimeGrid) -> Int64s:
    """Return the places of 2 to 40 blips a day."""
    count = rng.poisson(grid.days * log_uniform(rng, 2.0, 40.0)) if len(grid) else 0
    return np.sort(rng.integers(max(len(grid), 1), size=count))


def _quiet_base(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    course = daily_course(rng, grid, rng.uniform(0.0, 0.3))
    made: Float64s = course * (1.0 + rng.uniform(0.01, 0.08) * rng.standard_normal(len(grid)))
    return made


def unequal_blips(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a latency with blips of one to three points, of unequal heights."""
    starts = _blip_starts(rng, grid)
    heights = rng.uniform(0.5, 6.0) * rng.lognormal(0.0, rng.uniform(0.15, 0.4), len(starts))
    return usual_level(rng) * _with_blips(rng, _quiet_base(rng, grid), starts, heights)


def timeout_blips(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a latency with blips of nearly one height, that of a time limit."""
    starts = _blip_starts(rng, grid)
    heights = rng.uniform(1.0, 12.0) * (1.0 + 0.03 * rng.standard_normal(len(starts)))
    return usual_level(rng) * _with_blips(rng, _quiet_base(rng, grid), starts, heights)


def blips_with_echoes(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return blips that come again lower 2, 6 and 14 points later: retries with longer waits."""
    starts = _blip_starts(rng, grid)
    height = rng.uniform(1.0, 8.0)
    values = _quiet_base(rng, grid)
    for wait, share in ((0, 1.0), (2, 0.6), (6, 0.4), (14, 0.2)):
        spread = rng.lognormal(0.0, 0.2, len(starts))
        values = _with_blips(rng, values, starts + wait, share * height * spread)
    return usual_level(rng) * values


# --- coarse gauges: few different values ---


def idle_percent(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return whole percents from 0 on that are mostly one to six."""
    waves = red_noise(rng, len(grid), rng.uniform(0.4, 0.9))
    made: Float64s = np.clip(rng.uniform(1.0, 5.0) + rng.uniform(0.3, 1.2) * waves, 0.0, 100.0)
    return made.round()


def busy_percent(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return whole percents with a daily course."""
    course = daily_course(rng, grid, rng.uniform(0.2, 0.6))
    noise = rng.uniform(1.0, 4.0) * rng.standard_normal(len(grid))
    made: Float64s = np.clip(rng.uniform(15.0, 55.0) * course + noise, 0.0, 100.0)
    return made.round()


def quarter_cores(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return quarters of a processor, mostly two or three different values."""
    waves = red_noise(rng, len(grid), rng.uniform(0.7, 0.97))
    made: Float64s = np.round(4.0 * (rng.uniform(0.8, 4.0) + rng.uniform(0.05, 0.2) * waves)) / 4.0
    return np.maximum(made, 0.0)


def tenths(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return tenths that lie above a bound, mostly by none to three tenths."""
    excess = rng.uniform(0.05, 0.2) * np.abs(rng.standard_normal(len(grid)))
    made: Float64s = np.round(rng.uniform(0.2, 2.0) + excess, 1)
    return made


# --- shares: percents that stay near an end of their range ---


def success_percent(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a percentage of successes: mostly 100, with small dips in some of the points."""
    dips = rng.random(len(grid)) < log_uniform(rng, 0.01, 0.3)
    depths = rng.uniform(0.05, 1.0) * rng.standard_exponential(len(grid))
    made: Float64s = np.clip(np.round(100.0 - np.where(dips, depths, 0.0), 2), 0.0, 100.0)
    return made


def failed_percent(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return the percentage of failures among few to some hundred requests a point."""
    mean = log_uniform(rng, 10.0, 400.0) * daily_course(rng, grid, rng.uniform(0.2, 0.7))
    requests = rng.poisson(mean)
    failures = rng.binomial(requests, log_uniform(rng, 0.002, 0.05))
    made: Float64s = 100.0 * failures / np.maximum(requests, 1)
    return made


def nearly_full(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a percentage that varies below 100 and is cut there."""
    waves = red_noise(rng, len(grid), rng.uniform(0.5, 0.95))
    spread = rng.uniform(0.5, 3.0)
    made: Float64s = np.minimum(100.0 - spread * (rng.uniform(0.0, 2.0) + waves), 100.0)
    return np.round(made, math.ceil(math.log10(10.0 / spread)))

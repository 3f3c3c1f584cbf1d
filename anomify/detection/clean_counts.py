"""Formulas of generated metrics that count: events of an interval, rare events, running totals.

Their arguments and results are as in `clean_noise`.
"""

from typing import Final

import numpy as np

from anomify.detection.generated_values import DAY_SECONDS, log_uniform
from anomify.detection.time_grid import TimeGrid, daily_course
from anomify.series import Float64s

COUNTER_END: Final = 2.0**32
"""The value at which a 32-bit counter starts from zero again."""


# --- counts of an interval ---


def small_counts(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return Poisson counts of 3 to 60 a minute with a daily course."""
    course = daily_course(rng, grid, rng.uniform(0.0, 0.7))
    made: Float64s = rng.poisson(log_uniform(rng, 3.0, 60.0) * grid.step / 60.0 * course).astype(
        np.float64
    )
    return made


def large_counts(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return Poisson counts of 60 to 1e6 a minute with a daily course."""
    course = daily_course(rng, grid, rng.uniform(0.1, 0.7))
    made: Float64s = rng.poisson(log_uniform(rng, 60.0, 1e6) * grid.step / 60.0 * course).astype(
        np.float64
    )
    return made


def overdispersed_counts(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return counts that vary more than Poisson counts: their mean is gamma distributed."""
    course = daily_course(rng, grid, rng.uniform(0.0, 0.6))
    shape = log_uniform(rng, 2.0, 50.0)
    mean = log_uniform(rng, 5.0, 2000.0) * grid.step / 60.0 * course
    made: Float64s = rng.poisson(mean * rng.standard_gamma(shape, len(grid)) / shape).astype(
        np.float64
    )
    return made


# --- rare events ---


def events_in_hours(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return single events, one in 1 to 8 hours."""
    rate = grid.step / (log_uniform(rng, 1.0, 8.0) * 3600.0)
    made: Float64s = rng.poisson(rate, len(grid)).astype(np.float64)
    return made


def events_an_hour(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return 2 to 40 events an hour with a daily course."""
    rate = log_uniform(rng, 2.0, 40.0) / 3600.0 * grid.step
    course = daily_course(rng, grid, rng.uniform(0.0, 0.7))
    made: Float64s = rng.poisson(rate * course).astype(np.float64)
    return made


def events_a_minute(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return 0.7 to 5 events a minute, without a daily course."""
    rate = log_uniform(rng, 0.7, 5.0) / 60.0 * grid.step
    made: Float64s = rng.poisson(rate, len(grid)).astype(np.float64)
    return made


def events_in_groups(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return 3 to 30 groups of events a day; one group holds one to some tens, in one point."""
    made = np.zeros(len(grid))
    count = rng.poisson(grid.days * log_uniform(rng, 3.0, 30.0))
    if len(grid):
        np.add.at(
            made,
            rng.integers(len(grid), size=count),
            rng.geometric(rng.uniform(0.1, 0.6), count),
        )
    return made


# --- running totals ---


def _increases(rng: np.random.Generator, grid: TimeGrid, low: float, high: float) -> Float64s:
    """Return what is added in each step: `low` to `high` a minute, with a daily course."""
    course = daily_course(rng, grid, rng.uniform(0.0, 0.6))
    made: Float64s = rng.poisson(log_uniform(rng, low, high) * grid.step / 60.0 * course).astype(
        np.float64
    )
    return made


def _restarted(
    rng: np.random.Generator, increases: Float64s, step: int, days_between: float
) -> Float64s:
    """Return the running total, restarted from zero at random times.

    The first reading after a restart holds a random part of what that step would have added.
    """
    total = np.cumsum(increases)
    for at in np.flatnonzero(rng.random(len(total)) < step / (days_between * DAY_SECONDS)):
        total[at:] -= total[at] - np.floor(rng.random() * increases[at])
    return total


def restarting_counter(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a running total of 5 to 1e6 a minute that restarts once in 1 to 8 days."""
    increases = _increases(rng, grid, 5.0, 1e6)
    return _restarted(rng, increases, grid.step, log_uniform(rng, 1.0, 8.0))


def rare_counter(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a running total of 0.02 to 2 a minute that restarts once in 2 to 8 days."""
    increases = _increases(rng, grid, 0.02, 2.0)
    return _restarted(rng, increases, grid.step, log_uniform(rng, 2.0, 8.0))


def wrapping_counter(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a 32-bit running total that passes its end once in 8 hours to 6 days."""
    each_second = COUNTER_END / (log_uniform(rng, 1.0 / 3.0, 6.0) * DAY_SECONDS)
    course = daily_course(rng, grid, rng.uniform(0.0, 0.6))
    noise = 1.0 + rng.uniform(0.01, 0.08) * rng.standard_normal(len(grid))
    increases = np.maximum(np.round(each_second * grid.step * course * noise), 0.0)
    total: Float64s = (rng.uniform(0.0, COUNTER_END) // 1.0 + np.cumsum(increases)) % COUNTER_END
    return total


def steady_counter(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a running total that never restarts and adds nearly as much in each step."""
    noise = 1.0 + rng.uniform(0.001, 0.03) * rng.standard_normal(len(grid))
    total: Float64s = np.cumsum(np.round(log_uniform(rng, 1e3, 1e7) * grid.step / 60.0 * noise))
    return total

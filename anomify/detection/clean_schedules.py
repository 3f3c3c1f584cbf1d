"""Formulas of generated metrics that follow the clock: scheduled jobs and office hours.

Their arguments and results are as in `clean_noise`. The formulas of weekly, new and moved jobs also
return the spans in which the job is not yet known.
"""

from typing import Final

import numpy as np

from anomify.detection.generated_values import DAY_SECONDS, log_uniform, red_noise
from anomify.detection.time_grid import (
    WEEKEND_DAY,
    TimeGrid,
    time_of_day,
    usual_level,
    weekday_of,
)
from anomify.series import Float64s

Spans = tuple[tuple[float, float], ...]

NIGHTS_TO_LEARN: Final = 3
"""So many nights a new nightly job may raise alerts before they count as false ones."""

WEEKS_TO_LEARN: Final = 2
"""So many weeks a weekly job may raise alerts before they count as false ones."""

_HOUR_SECONDS: Final = 3600.0
_MARGIN_SECONDS: Final = 1800.0  # that an alert may come after the end of a job that is new


def _idle_with_jobs(
    rng: np.random.Generator, grid: TimeGrid, starts: Float64s, length: float, spread: float
) -> Float64s:
    """Return noise around a level, with a job of `length` seconds at each start.

    `spread` is the relative standard deviation of the lengths and heights of its jobs.
    """
    starts = starts[starts >= grid.seconds[:1].sum()]
    waves = red_noise(rng, len(grid), rng.uniform(0.2, 0.8))
    values: Float64s = 1.0 + rng.uniform(0.02, 0.1) * waves
    height = rng.uniform(1.5, 8.0)
    heights = height * np.clip(1.0 + spread * rng.standard_normal(len(starts)), 0.5, 1.5)
    lengths = length * np.clip(1.0 + spread * rng.standard_normal(len(starts)), 0.5, 1.5)
    firsts = np.searchsorted(grid.seconds, starts)
    # A job shorter than a step is seen at one point.
    lasts = np.maximum(np.searchsorted(grid.seconds, starts + lengths), firsts + 1)
    for first, last, size in zip(firsts, lasts, heights, strict=True):
        job = values[first:last]
        job += size * (1.0 + 0.05 * rng.standard_normal(len(job)))
    return usual_level(rng) * values


def _nights(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return one time for each day, between midnight and 6 h and the same on all days."""
    midnight = grid.seconds[:1].sum() - time_of_day(grid.seconds[:1]).sum()
    at = rng.uniform(0.0, 6.0) * _HOUR_SECONDS
    made: Float64s = midnight + at + DAY_SECONDS * np.arange(int(grid.days))
    return made


def _jittered(rng: np.random.Generator, starts: Float64s, deviation: float) -> Float64s:
    """Return the starts moved by a random time, of this standard deviation in seconds."""
    made: Float64s = starts + deviation * rng.standard_normal(len(starts))
    return made


def _unknown_at(starts: Float64s, length: float) -> Spans:
    """Return the spans around jobs of about `length` seconds that are not yet known."""
    return tuple(
        (float(start) - _MARGIN_SECONDS, float(start) + 1.5 * length + _MARGIN_SECONDS)
        for start in starts
    )


# --- jobs that are there from the first day on ---


def exact_nightly_job(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a job of 6 to 70 minutes each night that starts at the same second."""
    return _idle_with_jobs(
        rng, grid, _nights(rng, grid), length=log_uniform(rng, 360.0, 4200.0), spread=0.03
    )


def nightly_job(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a job of 10 to 70 minutes each night, some minutes early or late."""
    starts = _jittered(rng, _nights(rng, grid), log_uniform(rng, 40.0, 480.0))
    length = log_uniform(rng, 600.0, 4200.0)
    return _idle_with_jobs(rng, grid, starts, length, spread=rng.uniform(0.03, 0.15))


def hourly_job(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a job of 2 to 10 minutes each hour, up to about two minutes early or late."""
    starts = (
        grid.seconds[:1].sum()
        + rng.uniform(0.0, 3000.0)
        + _HOUR_SECONDS * np.arange(int(grid.days * 24.0))
    )
    starts = _jittered(rng, starts, rng.uniform(0.0, 60.0))
    length = log_uniform(rng, 120.0, 600.0)
    return _idle_with_jobs(rng, grid, starts, length, spread=rng.uniform(0.02, 0.15))


def weekly_batch(rng: np.random.Generator, grid: TimeGrid) -> tuple[Float64s, Spans]:
    """Return a batch of 40 minutes to 4 hours in one night of each week."""
    nights = _nights(rng, grid)
    nights = nights[weekday_of(nights) == rng.integers(7)]
    starts = _jittered(rng, nights, rng.uniform(0.0, 240.0))
    length = log_uniform(rng, 2400.0, 14400.0)
    values = _idle_with_jobs(rng, grid, starts, length, spread=rng.uniform(0.02, 0.1))
    return values, _unknown_at(nights[:WEEKS_TO_LEARN], length)


def weekday_job(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a job of 15 minutes to 2 hours from Monday to Friday."""
    starts = _nights(rng, grid)
    starts = starts[weekday_of(starts) < WEEKEND_DAY]
    starts = _jittered(rng, starts, log_uniform(rng, 10.0, 240.0))
    length = log_uniform(rng, 900.0, 7200.0)
    return _idle_with_jobs(rng, grid, starts, length, spread=rng.uniform(0.02, 0.1))


# --- jobs that change ---


def new_nightly_job(rng: np.random.Generator, grid: TimeGrid) -> tuple[Float64s, Spans]:
    """Return a nightly job that runs from a day in the second quarter of the span on."""
    nights = _nights(rng, grid)
    nights = nights[int(rng.uniform(0.25, 0.5) * len(nights)) :]
    length = log_uniform(rng, 480.0, 4200.0)
    starts = _jittered(rng, nights, rng.uniform(0.0, 120.0))
    values = _idle_with_jobs(rng, grid, starts, length, spread=rng.uniform(0.02, 0.08))
    return values, _unknown_at(nights[:NIGHTS_TO_LEARN], length)


def moved_nightly_job(rng: np.random.Generator, grid: TimeGrid) -> tuple[Float64s, Spans]:
    """Return a nightly job that runs one to two hours later from the middle of the span on.

    The spans also hold its former time, in the nights in which its absence there is new.
    """
    nights = _nights(rng, grid)
    middle = len(nights) // 2
    length = log_uniform(rng, 600.0, 3000.0)
    moved = nights.copy()
    moved[middle:] += rng.uniform(1.0, 2.0) * _HOUR_SECONDS
    starts = _jittered(rng, moved, rng.uniform(0.0, 120.0))
    values = _idle_with_jobs(rng, grid, starts, length, spread=rng.uniform(0.02, 0.08))
    changed = slice(middle, middle + NIGHTS_TO_LEARN)
    return values, _unknown_at(nights[changed], length) + _unknown_at(moved[changed], length)


# --- office hours ---


def _working(rng: np.random.Generator, grid: TimeGrid, ramp: float) -> Float64s:
    """Return the share of people at work, 0 to 1: full from about 9 to 17 h, Monday to Friday.

    `ramp` in seconds is how long coming and going takes. At weekends a few percent are at work.
    """
    day = time_of_day(grid.seconds)
    opening, closing = _HOUR_SECONDS * rng.uniform((7.0, 16.0), (9.5, 19.0))
    coming = np.clip((day - opening) / ramp + 0.5, 0.0, 1.0)
    going = np.clip((closing - day) / ramp + 0.5, 0.0, 1.0)
    weekend = np.where(weekday_of(grid.seconds) >= WEEKEND_DAY, rng.uniform(0.0, 0.08), 1.0)
    made: Float64s = coming * going * weekend
    return made


def office_load(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a gauge that is high in office hours, with half an hour to two hours of coming."""
    shape = _working(rng, grid, rng.uniform(1800.0, 7200.0))
    noise = 1.0 + rng.uniform(0.02, 0.08) * red_noise(rng, len(grid), rng.uniform(0.3, 0.9))
    made: Float64s = usual_level(rng) * (rng.uniform(0.05, 0.3) + shape) * noise
    return made


def office_counts(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return counts of 5 to 400 a minute in office hours and few or none outside."""
    shape = _working(rng, grid, rng.uniform(1800.0, 7200.0))
    a_point = log_uniform(rng, 5.0, 400.0) * grid.step / 60.0
    made: Float64s = rng.poisson(a_point * (rng.uniform(0.0, 0.03) + shape)).astype(np.float64)
    return made


def switched_by_clock(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return two levels: one in office hours from Monday to Friday, another outside."""
    shape = _working(rng, grid, 1.0)
    noise = rng.uniform(0.01, 0.05) * rng.standard_normal(len(grid))
    made: Float64s = usual_level(rng) * (rng.uniform(0.05, 0.6) + shape + noise)
    return made


def weekly_peak(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return office hours of which one weekday is busier by a quarter to the double."""
    shape = _working(rng, grid, rng.uniform(1800.0, 7200.0))
    is_busiest = weekday_of(grid.seconds) == rng.integers(5)
    busier = np.where(is_busiest, rng.uniform(1.25, 2.0), 1.0)
    noise = 1.0 + rng.uniform(0.02, 0.06) * rng.standard_normal(len(grid))
    made: Float64s = usual_level(rng) * (0.1 + shape * busier) * noise
    return made

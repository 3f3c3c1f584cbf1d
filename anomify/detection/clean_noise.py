"""Formulas of generated metrics that differ in their noise: its distribution, sign and drift.

Each takes a random generator and the times of the metric, and returns its values float64 (n,).
"""

import math

import numpy as np

from anomify.detection.generated_values import DAY_SECONDS, WEEK_SECONDS, log_uniform, red_noise
from anomify.detection.time_grid import TimeGrid, daily_course, usual_level
from anomify.series import Float64s

# --- steady: symmetric noise around a constant level ---


def gaussian(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return independent normal noise with a standard deviation of 0.5 % to 25 % of the level."""
    made: Float64s = usual_level(rng) * (
        1.0 + log_uniform(rng, 0.005, 0.25) * rng.standard_normal(len(grid))
    )
    return made


def autoregressive(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return normal noise in which each point depends on the one before."""
    waves = red_noise(rng, len(grid), rng.uniform(0.5, 0.98))
    made: Float64s = usual_level(rng) * (1.0 + log_uniform(rng, 0.01, 0.15) * waves)
    return made


def daily_gaussian(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a daily course with noise in proportion to it."""
    course = daily_course(rng, grid, rng.uniform(0.2, 0.7))
    noise = log_uniform(rng, 0.01, 0.1) * rng.standard_normal(len(grid))
    made: Float64s = usual_level(rng) * course * (1.0 + noise)
    return made


# --- one-sided: all of the noise lies above a bound ---


def exponential(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return exponential noise above 0."""
    made: Float64s = usual_level(rng) * rng.standard_exponential(len(grid))
    return made


def daily_exponential(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return exponential noise above 0 whose mean follows a daily course."""
    course = daily_course(rng, grid, rng.uniform(0.3, 0.7))
    made: Float64s = usual_level(rng) * course * rng.standard_exponential(len(grid))
    return made


def above_base(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return exponential noise above a constant base, its mean 2 % to 50 % of the base."""
    share = log_uniform(rng, 0.02, 0.5)
    made: Float64s = usual_level(rng) * (1.0 + share * rng.standard_exponential(len(grid)))
    return made


def gamma(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return noise of a gamma distribution with a shape from 0.5 to 3."""
    made: Float64s = usual_level(rng) * rng.standard_gamma(rng.uniform(0.5, 3.0), len(grid))
    return made


# --- heavy-tailed: single points far from the rest belong to the metric ---


def student_t(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return noise of Student's t-distribution with 2.5 to 5 degrees of freedom."""
    noise = rng.standard_t(rng.uniform(2.5, 5.0), len(grid))
    made: Float64s = usual_level(rng) * (1.0 + log_uniform(rng, 0.01, 0.06) * noise)
    return made


def lognormal(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return noise whose logarithm has a standard deviation of 0.25 to 0.9."""
    made: Float64s = usual_level(rng) * rng.lognormal(0.0, rng.uniform(0.25, 0.9), len(grid))
    return made


def daily_lognormal(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return noise as that of `lognormal`, up to 0.6, on a daily course."""
    course = daily_course(rng, grid, rng.uniform(0.1, 0.5))
    tail = rng.lognormal(0.0, rng.uniform(0.2, 0.6), len(grid))
    made: Float64s = usual_level(rng) * course * tail
    return made


def pareto(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return noise of a Pareto distribution with an exponent from 2.2 to 4."""
    made: Float64s = usual_level(rng) * (1.0 + rng.pareto(rng.uniform(2.2, 4.0), len(grid)))
    return made


# --- zero-mean: values of both signs ---


def gaussian_around_zero(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return independent normal noise around 0."""
    made: Float64s = usual_level(rng) * rng.standard_normal(len(grid))
    return made


def autoregressive_around_zero(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return noise around 0 in which each point depends on the one before, as of a clock offset."""
    return usual_level(rng) * red_noise(rng, len(grid), rng.uniform(0.3, 0.97))


def season_around_zero(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a daily wave that is positive for half a day and negative for the other half."""
    wave = daily_course(rng, grid, 1.0) - 1.0
    noise = log_uniform(rng, 0.03, 0.4) * rng.standard_normal(len(grid))
    made: Float64s = usual_level(rng) * (wave + noise)
    return made


def signed_balance(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return arrivals minus departures: the difference of two Poisson counts of one mean."""
    mean = log_uniform(rng, 1.0, 3000.0)
    arrivals, departures = rng.poisson(mean, (2, len(grid)))
    made: Float64s = (arrivals - departures).astype(np.float64)
    return made


# --- drifting: the level moves ---


def random_walk(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a level that moves by 2 % to 10 % in a day, in independent steps."""
    size = log_uniform(rng, 0.02, 0.1) * math.sqrt(grid.step / DAY_SECONDS)
    walk = np.cumsum(rng.standard_normal(len(grid)))
    made: Float64s = usual_level(rng) * np.exp(size * walk)
    return made


def growing(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a daily course that shrinks by up to 8 % or grows by up to 25 % a week."""
    weeks = (grid.seconds - grid.seconds[:1].sum()) / WEEK_SECONDS
    course = daily_course(rng, grid, rng.uniform(0.1, 0.6))
    trend = np.exp(rng.uniform(-0.08, 0.22) * weeks)
    noise = 1.0 + log_uniform(rng, 0.01, 0.06) * rng.standard_normal(len(grid))
    made: Float64s = usual_level(rng) * course * trend * noise
    return made


def unequal_days(rng: np.random.Generator, grid: TimeGrid) -> Float64s:
    """Return a daily course of which each day is higher or lower by some percent."""
    days = grid.seconds / DAY_SECONDS
    first = math.floor(days[0]) if len(days) else 0
    count = (math.ceil(days[-1]) if len(days) else 0) - first + 1
    factors = 1.0 + rng.uniform(0.03, 0.12) * rng.standard_normal(count)
    course = daily_course(rng, grid, rng.uniform(0.2, 0.6))
    noise = 1.0 + log_uniform(rng, 0.01, 0.06) * rng.standard_normal(len(grid))
    made: Float64s = (
        usual_level(rng) * course * np.interp(days - first, np.arange(count), factors) * noise
    )
    return made

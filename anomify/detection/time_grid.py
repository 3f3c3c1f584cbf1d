"""The times of a generated metric, its course over the day and the week, and its usual level."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.detection.generated_values import DAY_SECONDS, log_uniform
from anomify.series import Float64s

WEEKEND_DAY: Final = 5  # Saturday, where Monday is 0


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """The times of a metric: `seconds` float64 (n,), unix time, `step` seconds apart."""

    seconds: Float64s
    step: int

    def __len__(self) -> int:
        """Return the number of times."""
        return len(self.seconds)

    @property
    def days(self) -> float:
        """The days that it spans."""
        return len(self.seconds) * self.step / DAY_SECONDS


def weekday_of(seconds: Float64s) -> Float64s:
    """Return the day of the week of unix seconds in UTC, 0 on Monday and 6 on Sunday.

    >>> weekday_of(np.array([0.0, 4 * 86400.0])).tolist()
    [3.0, 0.0]
    """
    return (seconds // DAY_SECONDS + 3.0) % 7.0


def time_of_day(seconds: Float64s) -> Float64s:
    """Return the seconds since midnight in UTC."""
    return seconds % DAY_SECONDS


def daily_course(rng: np.random.Generator, grid: TimeGrid, depth: float) -> Float64s:
    """Return a daily season around 1 with one peak, its lowest value near 1 - `depth`.

    Half of the courses are lower at weekends, by up to a half.
    """
    phase = 2.0 * math.pi * (time_of_day(grid.seconds) / DAY_SECONDS - rng.random())
    second = rng.uniform(0.0, 0.3)
    wave = (np.cos(phase) + second * np.cos(2.0 * phase)) / (1.0 + second)
    weekend = rng.uniform(0.5, 1.0) if rng.random() < 0.5 else 1.0  # noqa: PLR2004  (half)
    course: Float64s = (1.0 + depth * wave) * np.where(
        weekday_of(grid.seconds) >= WEEKEND_DAY, weekend, 1.0
    )
    return course


def usual_level(rng: np.random.Generator) -> float:
    """Return a random level of a metric, from fractions to hundreds of thousands."""
    return log_uniform(rng, 0.05, 5e5)

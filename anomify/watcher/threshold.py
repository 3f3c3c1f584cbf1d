"""Thresholds of watchers: which points are over one, and what is said of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomify.detection.explanation import human_number
from anomify.series import Float64s, Int64s
from anomify.watcher.model import Watcher

# Before a drop a value is the mean of so many points.
DROP_POINTS: Final = 10
TIMES_MAX: Final = 100
FUNCTION_SECONDS_MAX: Final = 6 * 3600
NO_DATA_LEAST_SECONDS: Final = 60
NO_DATA_MOST_SECONDS: Final = 31 * 86_400
PERCENT: Final = 100
# Significant digits of a number; a float has no more.
_DIGITS: Final = 3
_DIGITS_MOST: Final = 18


class Operator(StrEnum):
    """How a value is compared with a threshold."""

    GREATER = "greater"
    LESS = "less"
    # It is so many percent below the mean of the ten points before it.
    DROP_OFF = "drop_off"
    # No point has come for so many seconds.
    NO_DATA = "no_data"


FUNCTIONS: Final[dict[str, Callable[[Float64s], float]]] = {
    "last": lambda values: float(values[-1]),
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
    "mean": lambda values: float(values.mean()),
    "median": lambda values: float(np.median(values)),
    "sum": lambda values: float(values.sum()),
    "count": lambda values: float(len(values)),
    "range": lambda values: float(values.max() - values.min()),
}
LAST: Final = "last"


@dataclass(frozen=True, slots=True)
class Crossing:
    """A point at which a threshold is crossed, and the value that is compared there."""

    time_ms: int
    value: float
    # The value is over the threshold when it is beyond this one.
    limit: float
    # What the value had been, where a drop is looked for.
    before: float | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a watcher compares."""

    operator: Operator
    value: float
    times: int = 1
    function: str = LAST
    function_seconds: int = 0

    @classmethod
    def of(cls, watcher: Watcher) -> "Threshold | None":
        """Return the threshold of a watcher, None for one of anomalies."""
        if watcher.threshold_operator is None or watcher.threshold_value is None:
            return None
        return cls(
            Operator(watcher.threshold_operator),
            watcher.threshold_value,
            watcher.threshold_times,
            watcher.threshold_function,
            watcher.threshold_function_seconds,
        )

    @property
    def is_of_single_points(self) -> bool:
        """Return whether each point can be compared without the ones before it."""
        is_compared = self.operator in {Operator.GREATER, Operator.LESS}
        return is_compared and self.function == LAST and self.times == 1

    def values_of(self, times: Int64s, values: Float64s, first: int) -> Float64s:
        """Return the function's value at each point from the index `first` on."""
        if self.function == LAST:
            return values[first:]
        starts = np.searchsorted(times, times[first:] - 1000 * self.function_seconds, side="right")
        found = FUNCTIONS[self.function]
        return np.array(
            [
                found(values[start : first + place + 1])
                for place, start in enumerate(starts.tolist())
            ],
            np.float64,
        )

    def are_over(self, values: Float64s) -> NDArray[np.bool_]:
        """Return for each value whether it is over the threshold; not for drops."""
        over: NDArray[np.bool_]
        over = values > self.value if self.operator is Operator.GREATER else values < self.value
        return over

    def stretches(
        self, times: Int64s, values: Float64s, recover_ms: int
    ) -> list[tuple[int, int, bool]]:
        """Return from which point to which one the threshold is crossed, and whether it still is.

        The places are those at which something opens and is last over it; the same as following
        the points one by one. Not for drops and silences.
        """
        over = self.are_over(self.values_of(times, values, 0))
        places = np.flatnonzero(over)
        if not len(places):
            return []
        # Runs of neighbouring points; one opens at its point number `times`, if it has so many.
        cuts = np.flatnonzero(np.diff(places) > 1) + 1
        runs = [(int(run[0]), int(run[-1])) for run in np.split(places, cuts)]
        found: list[tuple[int, int, bool]] = []
        for first, last in runs:
            if found and found[-1][2]:
                opened, last_over, _ = found[-1]
                # It goes on until a point that is not over it comes later than the recover window.
                ended = first_after(times, last_over, first, recover_ms)
                if ended is None:
                    found[-1] = opened, last, True
                    continue
                found[-1] = opened, last_over, False
            if last - first + 1 >= self.times:
                found.append((first + self.times - 1, last, True))
        if found and found[-1][2]:
            opened, last_over, _ = found[-1]
            if first_after(times, last_over, len(times), recover_ms) is not None:
                found[-1] = opened, last_over, False
        return found

    def limit_of_drop(self, values: Float64s, until: int) -> tuple[float, float] | None:
        """Return the value below which a drop is found at a point, and the one before it.

        `until` is the index of that point among the values. None where there are too few points,
        or where they are not above zero: a share of zero or less is no drop.
        """
        if until < DROP_POINTS:
            return None
        before = float(values[until - DROP_POINTS : until].mean())
        if not math.isfinite(before) or before <= 0:
            return None
        return before * (1 - self.value / PERCENT), before

    def history_ms(self, step_ms: int) -> int:
        """Return how far back points are needed, for a metric with this time between points."""
        points = self.times + (DROP_POINTS if self.operator is Operator.DROP_OFF else 0)
        return 1000 * self.function_seconds + 2 * points * max(step_ms, 1)

    def sentence(self, found: Crossing, unit: str | None = None) -> str:
        """Return in one sentence what is over the threshold.

        >>> Threshold(Operator.GREATER, 90.0, times=3).sentence(Crossing(0, 97.5, 90.0))
        '97.5 is above the threshold of 90, for 3 points in a row.'
        """
        other = found.limit if found.before is None else found.before
        value, limit = _apart(found.value, other, unit)
        shown = self._shown(value, found.value)
        row = f", for {self.times} points in a row" if self.times > 1 else ""
        match self.operator:
            case Operator.GREATER:
                return f"{shown} is above the threshold of {limit}{row}."
            case Operator.LESS:
                return f"{shown} is below the threshold of {limit}{row}."
            case Operator.DROP_OFF:
                share = human_number(self.value)
                return f"{shown} is at least {share} % below the {limit} before it{row}."
            case Operator.NO_DATA:
                return f"No data has come for {_duration(self.value)}."

    def condition(self) -> str:
        """Return the condition in words, as a part of a sentence.

        >>> Threshold(Operator.LESS, 5.0, 3, "median", 600).condition()
        'the median of 10 minutes is below 5 for 3 points in a row'
        """
        what = "the value"
        if self.function != LAST:
            what = f"{_ARTICLES[self.function]} {_duration(self.function_seconds)}"
        row = f" for {self.times} points in a row" if self.times > 1 else ""
        match self.operator:
            case Operator.GREATER:
                return f"{what} is above {human_number(self.value)}{row}"
            case Operator.LESS:
                return f"{what} is below {human_number(self.value)}{row}"
            case Operator.DROP_OFF:
                share = human_number(self.value)
                return f"{what} is at least {share} % below the mean of the 10 points before{row}"
            case Operator.NO_DATA:
                return f"no data comes for {_duration(self.value)}"

    def _shown(self, written: str, value: float) -> str:
        if self.function == LAST:
            return written
        if self.function == "count":
            written = human_number(value)
        of = f"{_ARTICLES[self.function]} {_duration(self.function_seconds)}"
        return f"{of[:1].upper()}{of[1:]}, {written},"


_ARTICLES: Final = {
    "min": "the least value of",
    "max": "the greatest value of",
    "mean": "the mean of",
    "median": "the median of",
    "sum": "the sum of",
    "count": "the number of points of",
    "range": "the range of",
}


def first_after(times: Int64s, last_over: int, until: int, recover_ms: int) -> int | None:
    """Return the first point before `until` that is later than the recover window."""
    place = int(np.searchsorted(times, times[last_over] + recover_ms, side="right"))
    place = max(place, last_over + 1)
    return place if place < until else None


def _apart(one: float, other: float, unit: str | None) -> tuple[str, str]:
    """Return two numbers as they are written, with as many digits as tell them apart."""
    for digits in range(_DIGITS, _DIGITS_MOST):
        written = human_number(one, unit, digits), human_number(other, unit, digits)
        if one == other or written[0] != written[1]:
            break
    return written


def _duration(seconds: float) -> str:
    """Return a duration in the largest unit that has a whole number of it.

    >>> _duration(600), _duration(5400), _duration(60)
    ('10 minutes', '90 minutes', '1 minute')
    """
    for length, word in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        count = seconds / length
        if count >= 1 and count == int(count):
            return f"{int(count):,} {word}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"

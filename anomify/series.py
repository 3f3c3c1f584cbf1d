"""The arrays of points that the storage, the detection engine and the renderer exchange."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]
Float32s = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Points:
    """Datapoints of many metrics, one row each, in the order they were accepted.

    `metric_ids` int64 (n,), `times` int64 unix milliseconds (n,), `values` float64 (n,).

    >>> two = Points(np.array([1, 2]), np.array([0, 60_000]), np.array([0.5, 1.5]))
    >>> len(Points.joined([two, two.of(two.metric_ids == 2)]))
    3
    """

    metric_ids: Int64s
    times: Int64s
    values: Float64s

    def __len__(self) -> int:
        """Return how many datapoints there are."""
        return len(self.times)

    def of(self, rows: Bools | Int64s) -> Self:
        """Return only those rows, by mask or by position."""
        return type(self)(self.metric_ids[rows], self.times[rows], self.values[rows])

    @classmethod
    def empty(cls) -> Self:
        """Return no datapoints."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))

    @classmethod
    def joined(cls, parts: "list[Points]") -> Self:
        """Return the parts, one after the other."""
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.metric_ids for part in parts]),
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.values for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Judgements:
    """The display scores and expected ranges of n points of a `Points` or a `Series`, row by row.

    `scores` float32 (n,), the display score 0..1, NaN where the point was not judged;
    `lowers` and `uppers` float32 (n,), the expected range in the unit in which the metric is judged
    (of a counter: per second), NaN where there is none.

    >>> Judgements.none(2).scores.tolist()
    [nan, nan]
    """

    scores: Float32s
    lowers: Float32s
    uppers: Float32s

    def of(self, rows: Bools | Int64s) -> Self:
        """Return only those rows, by mask or by position."""
        return type(self)(self.scores[rows], self.lowers[rows], self.uppers[rows])

    @classmethod
    def none(cls, count: int) -> Self:
        """Return `count` rows of NaN, for points that were not judged."""
        empty = np.full(count, np.nan, np.float32)
        return cls(empty, empty.copy(), empty.copy())


@dataclass(frozen=True, slots=True)
class Series:
    """One metric's datapoints, oldest first, each time once, with their judgements.

    `times` int64 unix milliseconds (n,), strictly ascending; `values` float64 (n,).

    >>> len(Series.empty())
    0
    """

    times: Int64s
    values: Float64s
    judgements: Judgements

    def __len__(self) -> int:
        """Return how many datapoints there are."""
        return len(self.times)

    def of(self, rows: Bools | Int64s) -> Self:
        """Return only those rows, by mask or by position."""
        return type(self)(self.times[rows], self.values[rows], self.judgements.of(rows))

    @classmethod
    def empty(cls) -> Self:
        """Return a series without datapoints."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float64), Judgements.none(0))


def lengthened(numbers: Int64s, least: int, fill: int) -> Int64s:
    """Return the int64 array with at least `least` places, new places filled with `fill`.

    An array that is long enough is returned itself; a longer one has at least twice the length, so
    that repeated growth costs amortised constant time a place.

    >>> lengthened(np.array([7]), 3, 0)
    array([7, 0, 0])
    """
    if least <= len(numbers):
        return numbers
    longer = np.full(max(least, 2 * len(numbers)), fill, np.int64)
    longer[: len(numbers)] = numbers
    return longer

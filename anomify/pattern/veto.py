"""Decides whether an excursion is like one that a person has called unexpected. Pure.

An excursion is like it that goes to the same side at the same time of the day, and about as far.
It is told, whether the pattern that would explain it was made before or after, if that pattern
would explain the unexpected one, too, or is farther from the excursion in size than that one. One
that lasted longer than a pattern does not contradict what the pattern explains, which is shorter.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.detection.excursion import Excursion
from anomify.detection.pattern_limits import MINUTES_APART
from anomify.detection.pattern_match import minutes_apart
from anomify.series import Float64s

SIZE_RATIO: Final = 4 / 3
"""Two excursions are alike if neither has gone so many times as far from the level before it."""

NOTICED_LATE: Final = 3
"""One of them may have been found so many points later than the other."""


@dataclass(frozen=True, slots=True)
class Veto:
    """An excursion that a person has called unexpected, and the id of its pattern.

    It is compared with what patterns explain, by direction, time of the day, and size. The range
    has no part in it: while the engine learns a job, that is another one every night. That of a
    match which was called invalid counts against patterns that were made before, whatever these
    are; a person who trains its like later has changed their mind.
    """

    pattern_id: int
    excursion: Excursion
    is_of_match: bool = True

    def is_against(self, current: Excursion) -> bool:
        """Return whether an excursion, as far as it has run, is like the one of the match."""
        invalid = self.excursion
        apart = minutes_apart(current.local_seconds, invalid.local_seconds)
        if apart > MINUTES_APART or _side(current) != _side(invalid):
            return False
        ran = len(current.values) - current.context + NOTICED_LATE
        one, other = _size(_moves(current)), _size(_moves(invalid)[:ran])
        return bool(one <= SIZE_RATIO * other and other <= SIZE_RATIO * one)

    def is_nearer(self, current: Excursion, pattern: Excursion) -> bool:
        """Return whether an excursion, as far as it has run, is nearer in size than a pattern."""
        ran = len(current.values) - current.context + NOTICED_LATE
        size = _size(_moves(current))
        unexpected = _size(_moves(self.excursion)[:ran])
        return abs(size - unexpected) < abs(size - _size(_moves(pattern)[:ran]))


def are_same(one: Excursion, other: Excursion) -> bool:
    """Return whether two excursions are the same one, which may have run on."""
    return (one.started_ms, one.lower, one.upper) == (other.started_ms, other.lower, other.upper)


def _moves(excursion: Excursion) -> Float64s:
    """Return how far the values are from the level before the excursion."""
    before = excursion.values[: excursion.context]
    before = before[np.isfinite(before)]
    level = np.median(before) if len(before) else 0.5 * (excursion.lower + excursion.upper)
    moves: Float64s = np.nan_to_num(excursion.values[excursion.context :] - level)
    return moves


def _size(moves: Float64s) -> float:
    return float(np.abs(moves).max(initial=0.0))


def _side(excursion: Excursion) -> bool:
    """Return whether the farthest value is above the level before the excursion."""
    moves = _moves(excursion)
    return bool(moves.max(initial=0.0) >= -moves.min(initial=0.0))

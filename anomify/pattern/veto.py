"""Decides whether an excursion is like one that a person has called wrongly explained. Pure."""

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
    """The excursion of a match that a person has called invalid, and the id of its pattern.

    It is compared with what patterns explain, by direction, time of the day, and size. The range
    has no part in it: while the engine learns a job, that is another one every night.
    """

    pattern_id: int
    excursion: Excursion

    def is_against(self, current: Excursion) -> bool:
        """Return whether an excursion, as far as it has run, is like the one of the match."""
        invalid = self.excursion
        apart = minutes_apart(current.local_seconds, invalid.local_seconds)
        if apart > MINUTES_APART or _side(current) != _side(invalid):
            return False
        ran = len(current.values) - current.context + NOTICED_LATE
        one, other = _size(_moves(current)), _size(_moves(invalid)[:ran])
        return bool(one <= SIZE_RATIO * other and other <= SIZE_RATIO * one)


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

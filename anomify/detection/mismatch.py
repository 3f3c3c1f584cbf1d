"""Why a pattern does not explain an excursion."""

from dataclasses import dataclass
from enum import StrEnum


class MismatchReason(StrEnum):
    """Why a pattern does not explain an excursion."""

    LARGER = "larger"
    LONGER = "longer"
    OTHER_DIRECTION = "other_direction"
    OTHER_TIME = "other_time"
    OTHER_SHAPE = "other_shape"
    LIKE_UNEXPECTED = "like_unexpected"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a pattern does not explain an excursion, with the two numbers that decide.

    `current` is the excursion's and `allowed` the most that the pattern explains: a height in the
    metric's unit (LARGER, OTHER_DIRECTION), milliseconds (LONGER), minutes (OTHER_TIME), a distance
    of shapes (OTHER_SHAPE), or a number of unexpected excursions (LIKE_UNEXPECTED).
    """

    reason: MismatchReason
    current: float
    allowed: float

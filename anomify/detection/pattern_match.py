"""Decides whether an excursion is explained by one that a person has called expected."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from anomify.detection.excursion import CONTEXT, Excursion
from anomify.detection.similarity import UNRELATED, shape_distance

DAY_SECONDS: Final = 86_400

MINUTES_APART: Final = 45.0
MOST_DISTANCE: Final = 0.9
HEIGHT_SHARE: Final = 0.10
MOST_HEIGHT_SHARE: Final = 0.25
RANGE_SCALES: Final = 8.0  # the width of an expected range in scales of noise
LENGTH_SHARE: Final = 0.10
LENGTH_STEPS: Final = 2


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
    metric's unit (LARGER, OTHER_DIRECTION), milliseconds (LONGER), minutes (OTHER_TIME), or a
    distance of shapes (OTHER_SHAPE, LIKE_UNEXPECTED).
    """

    reason: MismatchReason
    current: float
    allowed: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The pattern that explains an excursion, and how much they are alike.

    `index` is its place in the expected patterns. `kind` is "shape", "motif" or "usual".
    `distance` is that of the shapes and `similarity` the same for people, 0 to 100.
    `height_ratio` and `length_ratio` are the excursion's height and length so far by the pattern's,
    `minutes_apart` how far the times of the day of their onsets are apart. `motif_index` and
    `motif_size` are the stretch of the pattern's points that was compared, and `area_percent_diff`
    the difference of the areas outside of the range, in percent of the pattern's.
    """

    index: int
    kind: str
    distance: float
    similarity: float
    height_ratio: float
    length_ratio: float
    minutes_apart: float
    motif_index: int
    motif_size: int
    area_percent_diff: float


class Patterns:
    """The excursions that people have called expected or unexpected, to be asked often."""

    def __init__(self, expected: Sequence[Excursion], unexpected: Sequence[Excursion] = ()) -> None:
        """Prepare the patterns; they stay as they are."""
        self._expected = tuple(expected)
        self._unexpected = tuple(unexpected)

    def explain(self, current: Excursion) -> Explanation | None:
        """Return what explains the excursion as far as it has run, the nearest one; else None."""
        best: Explanation | None = None
        for index in range(len(self._expected)):
            if self.mismatch(index, current) is not None:
                continue
            found = self._explanation(index, current)
            if best is None or found.distance < best.distance:
                best = found
        return best

    def mismatch(self, index: int, current: Excursion) -> Mismatch | None:
        """Return why that expected pattern does not explain the excursion; None if it does."""
        pattern = self._expected[index]
        wrong = _limits(pattern, current)
        if wrong is not None:
            return wrong
        distance = _distance(pattern, current)
        if distance > MOST_DISTANCE:
            return Mismatch(MismatchReason.OTHER_SHAPE, distance, MOST_DISTANCE)
        contrary = min((_distance(one, current) for one in self._unexpected), default=np.inf)
        if contrary < distance:
            return Mismatch(MismatchReason.LIKE_UNEXPECTED, distance, contrary)
        return None

    def _explanation(self, index: int, current: Excursion) -> Explanation:
        pattern = self._expected[index]
        distance = _distance(pattern, current)
        ran = len(current.values) - current.context
        return Explanation(
            index=index,
            kind="shape",
            distance=distance,
            similarity=100.0 * max(0.0, 1.0 - distance / UNRELATED),
            height_ratio=current.height / max(pattern.height, 1e-300),
            length_ratio=current.length_ms / max(pattern.length_ms, pattern.step_ms),
            minutes_apart=minutes_apart(pattern.local_seconds, current.local_seconds),
            motif_index=0,
            motif_size=min(len(pattern.values), pattern.context + ran),
            area_percent_diff=0.0,
        )


def minutes_apart(first_seconds: int, second_seconds: int) -> float:
    """Return how far two times of the day are apart, at most 720 minutes.

    >>> minutes_apart(86_100, 600)
    15.0
    """
    apart = abs(first_seconds - second_seconds) % DAY_SECONDS
    return min(apart, DAY_SECONDS - apart) / 60.0


def _limits(pattern: Excursion, current: Excursion) -> Mismatch | None:
    """Return which limit of the pattern the excursion exceeds: direction, size, length, time."""
    noise = max((pattern.upper - pattern.lower) / RANGE_SCALES, 0.0)
    # An excursion may go to both sides, as one that overshoots on its way back: each has its limit.
    for own, other in zip(current.heights, pattern.heights, strict=True):
        allowed = other + min(HEIGHT_SHARE * other + noise, MOST_HEIGHT_SHARE * pattern.height)
        if own > allowed:
            is_other = pattern.direction != current.direction
            return Mismatch(
                MismatchReason.OTHER_DIRECTION if is_other else MismatchReason.LARGER, own, allowed
            )
    longest = pattern.length_ms * (1.0 + LENGTH_SHARE) + LENGTH_STEPS * pattern.step_ms
    if current.length_ms > longest:
        return Mismatch(MismatchReason.LONGER, current.length_ms, longest)
    apart = minutes_apart(pattern.local_seconds, current.local_seconds)
    if apart > MINUTES_APART:
        return Mismatch(MismatchReason.OTHER_TIME, apart, MINUTES_APART)
    return None


def _distance(pattern: Excursion, current: Excursion) -> float:
    """Return the distance of the shapes, aligned at their onsets, as far as `current` has run."""
    before = min(pattern.context, current.context, CONTEXT)
    after = min(len(pattern.values) - pattern.context, len(current.values) - current.context)
    left = pattern.values[pattern.context - before : pattern.context + after]
    right = current.values[current.context - before : current.context + after]
    return shape_distance(left, right)

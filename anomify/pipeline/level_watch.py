"""Follows an open anomaly of level: whether the value is back, or the engine took the new level.

The strength of a point measures how surprising it is. It adapts: a value that stays at ten times
its range is no surprise after some minutes, though it has not come back. So an anomaly at which the
value has left its range ends when the value is back in the range that it left, as far as the season
has moved that since; or when the engine has expected the new values for `accepted_after_ms`.
"""

import math
from dataclasses import astuple, dataclass, replace
from typing import Any, Final, Self

from anomify.anomaly.recording import CLOSING_STEPS
from anomify.detection.evidence import Evidence
from anomify.pipeline.candidates import PointVerdict

# A new level must have been expected for so long: shorter is an incident in which the engine has
# only widened its range, longer would hide the next anomaly of the metric behind this one.
ACCEPTED_LEAST_MS: Final = 6 * 3_600_000
# And at so many points, for metrics that report seldom: a few points are no level.
ACCEPTED_STEPS: Final = 12

# One point of another kind counts as so many of the other: a return, or a new level, is one if at
# least four of five points agree. Many metrics leave their range now and then.
STRAY_STEPS: Final = 4

# A value is at the level of the values before where it differs by at most half the range that was
# left, or by this share of the distance from it.
SAME_LEVEL_SHARE: Final = 0.1
# The level is the mean of so many points, and another one after three points away from it in a row.
LEVEL_POINTS: Final = 200
AWAY_MOST: Final = 6
AWAY_STEP: Final = 2

# The range that was left is wider where the season has raised the level, and narrower where it has
# lowered that, but only so far; the engine has such limits for the hours of a day, too.
LEAST_WIDENED: Final = 0.35
MOST_WIDENED: Final = 6.0


@dataclass(frozen=True, slots=True)
class LeftRange:
    """The expected range that a value left, and what its season added to the forecast then."""

    lower: float
    upper: float
    # NaN where no season was learnt.
    season: float

    def holds(self, value: float) -> bool:
        """Return whether a value is in the range."""
        return not value < self.lower and not value > self.upper

    def moved_to(self, season: float) -> Self:
        """Return the range where the season has moved it.

        >>> night = LeftRange(10.0, 20.0, -40.0)
        >>> night.moved_to(0.0).holds(15.0), night.moved_to(0.0).holds(60.0)
        (False, True)
        >>> night.moved_to(math.nan) == night
        True
        """
        moved = season - self.season
        if math.isnan(moved):
            return self
        lower, upper = self.lower + moved, self.upper + moved
        middle, before = (lower + upper) / 2, (self.lower + self.upper) / 2
        if self.lower >= 0.0 and before > 0.0:
            # The noise of a metric that is never negative grows with its level.
            wider = min(max(middle / before, LEAST_WIDENED), MOST_WIDENED)
            half = (upper - lower) / 2 * wider
            lower, upper = middle - half, middle + half
        return replace(self, lower=lower, upper=upper)


@dataclass(slots=True)
class Level:
    """The level that the newest values are at, and since when."""

    value: float
    since_ms: int
    points: int = 1
    # How far the newest points speak for another level, and when they began to.
    away: int = 0
    away_ms: int = 0

    def take(self, time_ms: int, value: float, most: float) -> None:
        """Take a value, which is at the level where it differs by at most `most`."""
        if abs(value - self.value) <= most:
            self.away = max(self.away - 1, 0)
            self.points += 1
            self.value += (value - self.value) / min(self.points, LEVEL_POINTS)
            return
        if self.away == 0:
            self.away_ms = time_ms
        self.away += AWAY_STEP
        if self.away >= AWAY_MOST:
            self.value, self.since_ms, self.points, self.away = value, self.away_ms, 1, 0


@dataclass(slots=True)
class Agreement:
    """Since when the points agree with something, but for strays, and how many have."""

    since_ms: int
    points: int = 0

    def take(self, time_ms: int, step_ms: int, *, agrees: bool) -> bool:
        """Take a point; return whether points still agree after it, strays left out."""
        if agrees:
            self.points += 1
            return True
        self.points = max(self.points - STRAY_STEPS, 0)
        self.since_ms = min(self.since_ms + STRAY_STEPS * step_ms, time_ms)
        if self.points == 0:
            self.since_ms = time_ms
        return self.points > 0


Stored = list[Any]
"""The state of a `LevelWatch` as JSON."""


@dataclass(slots=True)
class LevelWatch:
    """What closing an open anomaly needs of the points since it began.

    `is_level` is whether the value has left its expected range at a point over the threshold; other
    anomalies (a jump within the range, a constant value, noise, a trend) end with their strength.
    """

    left: LeftRange
    is_level: bool
    back: Agreement
    expected: Agreement
    level: Level
    # When a point was last over the threshold only because the value had come back.
    aftermath_ms: int = 0

    @classmethod
    def at(cls, point: PointVerdict) -> Self:
        """Return the watch of an anomaly that begins at this point."""
        left = LeftRange(point.lower, point.upper, point.season)
        return cls._new(point.time_ms, point.value, left, is_level=point.distance > 0.0)

    @classmethod
    def of_excursion(cls, started_ms: int, value: float, lower: float, upper: float) -> Self:
        """Return the watch of an excursion that left this range before it became an anomaly."""
        return cls._new(started_ms, value, LeftRange(lower, upper, math.nan), is_level=True)

    @classmethod
    def of_stored(cls, lower: float, upper: float, stored: Stored) -> Self:
        """Return the watch that had this state; the range is stored apart."""
        season, is_level, aftermath_ms, back, expected, level = stored
        left = LeftRange(lower, upper, math.nan if season is None else season)
        parts = Agreement(*back), Agreement(*expected), Level(*level)
        return cls(left, is_level, *parts, aftermath_ms)

    @classmethod
    def _new(cls, time_ms: int, value: float, left: LeftRange, *, is_level: bool) -> Self:
        return cls(left, is_level, Agreement(time_ms), Agreement(time_ms), Level(value, time_ms))

    @property
    def stored(self) -> Stored:
        """Its state without the range."""
        season = None if math.isnan(self.left.season) else self.left.season
        parts = (self.back, self.expected, self.level)
        return [season, self.is_level, self.aftermath_ms, *(list(astuple(part)) for part in parts)]

    def take(self, point: PointVerdict, step_ms: int) -> bool:
        """Take the next point; return whether the anomaly continues at it, strong or not.

        It does where the value is outside the range that it left, unless it was back before.
        """
        self.is_level |= point.extends and point.distance > 0.0
        is_back = self.left.holds(point.value) or self._is_usual(point)
        is_expected = not point.extends and point.lower <= point.value <= point.upper
        self.expected.take(point.time_ms, step_ms, agrees=is_expected)
        self.level.take(point.time_ms, point.value, self._same_level)
        is_out = not self.back.take(point.time_ms, step_ms, agrees=is_back)
        if point.extends and self.is_aftermath(point):
            self.aftermath_ms = point.time_ms
        return is_out and self.is_level

    def is_aftermath(self, point: PointVerdict) -> bool:
        """Return whether a point over the threshold is so only because the value has come back.

        A return is as large a change as the one before it, and the means of the newest points hold
        both. Evidence that has nothing to do with the level is none of that. The anomaly stays open
        meanwhile, so that no other one opens for it, but it has ended before.
        """
        if not self.is_level:
            return False
        match point.evidence:
            case Evidence.ABOVE | Evidence.BELOW:
                return self._is_usual(point)
            case Evidence.FLAT | Evidence.DRIFTING:
                return False
            case _:
                return self.back.points > 0

    def _is_usual(self, point: PointVerdict) -> bool:
        return self.left.moved_to(point.season).holds(point.value)

    def has_recovered(self, time_ms: int, last_over_ms: int, closing_ms: int) -> bool:
        """Return whether the anomaly has ended before a point at this time, by the value.

        `last_over_ms` is when it last continued.
        """
        if time_ms - max(last_over_ms, self.aftermath_ms) <= closing_ms:
            return False
        if not self.is_level:
            return True
        return self.back.points >= CLOSING_STEPS and time_ms - self.back.since_ms > closing_ms

    def has_settled(self, time_ms: int, step_ms: int) -> bool:
        """Return whether the engine has accepted the level of the points up to this time."""
        lasted_ms = time_ms - self.expected.since_ms
        is_long = self.expected.points >= ACCEPTED_STEPS and lasted_ms > accepted_after_ms(step_ms)
        return self.is_level and is_long

    @property
    def _same_level(self) -> float:
        """How far values at one level may differ."""
        half = (self.left.upper - self.left.lower) / 2
        distance = abs(self.level.value - self.left.lower - half)
        return max(half, distance * SAME_LEVEL_SHARE) if math.isfinite(distance) else math.inf


def accepted_after_ms(step_ms: int) -> int:
    """Return for how long the engine must have expected a new level until that is accepted.

    >>> accepted_after_ms(1_000) // 60_000, accepted_after_ms(86_400_000) // 86_400_000
    (360, 12)
    """
    return max(ACCEPTED_LEAST_MS, ACCEPTED_STEPS * step_ms)

"""What is shown of a pattern: its maker, window, side, height, and how often it matched."""

from enum import StrEnum
from typing import Final, NamedTuple

from anomify.pattern.model import CreatorType, Pattern

# What people read as the creator of a pattern that the product itself has found.
MACHINE_IN_WORDS: Final = "Anomify AI"
_HOUR_SECONDS: Final = 3_600
_DAY_SECONDS: Final = 86_400


class PatternSide(StrEnum):
    """To which side the value of a pattern left its expected range."""

    UP = "up"
    DOWN = "down"
    INSIDE = "inside"


class MatchRate(NamedTuple):
    """The share of the compared excursions that a pattern explained."""

    short: str
    long: str


def window_in_words(seconds: int) -> str:
    """Return the length of a window in words: a day in hours, a longer one in days.

    >>> window_in_words(86_400), window_in_words(604_800), window_in_words(2_592_000)
    ('24 hours', '7 days', '30 days')
    """
    if seconds <= _DAY_SECONDS:
        return f"{seconds // _HOUR_SECONDS} hours"
    return f"{seconds // _DAY_SECONDS} days"


def match_rate(matches: int, checks: int) -> MatchRate:
    """Return the share of matches among the checks as a percentage, and with the numbers.

    >>> match_rate(12, 36)
    MatchRate(short='33%', long='33% (12/36)')
    >>> match_rate(0, 0).long
    '0% (0/0)'
    """
    share = f"{round(100 * matches / checks) if checks else 0}%"
    return MatchRate(share, f"{share} ({matches}/{checks})")


def creator_in_words(pattern: Pattern) -> str:
    """Return who made a pattern, as people read it."""
    is_machine = pattern.creator_type == CreatorType.MACHINE
    return MACHINE_IN_WORDS if is_machine else pattern.created_by


def direction_of(pattern: Pattern) -> PatternSide:
    """Return to which side the farthest value of a pattern left the range."""
    if pattern.value > pattern.expected_upper:
        return PatternSide.UP
    if pattern.value < pattern.expected_lower:
        return PatternSide.DOWN
    return PatternSide.INSIDE


def height_of(pattern: Pattern) -> float:
    """Return how far the farthest value of a pattern was from the range, 0 inside."""
    return max(pattern.value - pattern.expected_upper, pattern.expected_lower - pattern.value, 0.0)

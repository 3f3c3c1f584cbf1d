"""Sentences about patterns: which one it is, and how an excursion has outgrown it."""

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from anomify.clock import datetime_from_ms
from anomify.detection.explanation import human_number
from anomify.detection.mismatch import Mismatch, MismatchReason
from anomify.metric.status import duration_in_words
from anomify.pattern.model import ECHO_LABEL, CreatorType, Pattern

# A smaller ratio is stated as "larger".
_LEAST_TIMES: Final = 1.5


@dataclass(frozen=True, slots=True)
class NamedPattern:
    """What identifies a pattern for people: its label or its time, and who made it."""

    label: str
    at: str
    maker: str

    def __str__(self) -> str:
        """Return it as a part of a sentence: `"Nightly job", marked as expected by Alice`."""
        name = f"“{self.label}”" if self.label else f"what happened {self.at}"
        return f"{name}, {self.maker}"


def named(pattern: Pattern, zone: ZoneInfo) -> NamedPattern:
    """Return what identifies a pattern; its time is in this zone."""
    at = datetime_from_ms(pattern.started_ms).astimezone(zone)
    is_machine = pattern.creator_type == CreatorType.MACHINE
    said = "unexpected" if pattern.positive else "expected"
    return NamedPattern(
        label="" if pattern.label == ECHO_LABEL else pattern.label,
        at=f"on {at:%Y-%m-%d} at {at:%H:%M}",
        maker="found to recur" if is_machine else f"marked as {said} by {pattern.created_by}",
    )


def outgrown_in_words(name: NamedPattern, mismatch: Mismatch | None, unit: str = "") -> str:
    """Return in a sentence what an anomaly was like at first and how it differs now.

    Without a mismatch the pattern is not in use any more.
    """
    if mismatch is None:
        return f"It was like {name}, which is not in use any more."
    return f"Like {name}, but {_difference(mismatch, unit)}."


def contradicted_in_words(name: NamedPattern) -> str:
    """Return in a sentence why an anomaly is told that a pattern would explain."""
    return f"Like {name}, but also like what was marked as unexpected."


def _difference(mismatch: Mismatch, unit: str) -> str:
    current, allowed = mismatch.current, mismatch.allowed
    match mismatch.reason:
        case MismatchReason.LARGER:
            times = _times(current, allowed)
            return (
                f"{times}: {human_number(current, unit or None)} outside of the expected range,"
                f" where at most {human_number(allowed, unit or None)} were expected"
            )
        case MismatchReason.LONGER:
            return (
                f"longer: {duration_in_words(round(current))} so far,"
                f" where at most {duration_in_words(round(allowed))} were expected"
            )
        case MismatchReason.OTHER_DIRECTION:
            return "in the other direction"
        case MismatchReason.OTHER_TIME:
            return f"{current:.0f} minutes from its usual time"
        case MismatchReason.OTHER_SHAPE:
            return "of another shape"
        case MismatchReason.LIKE_UNEXPECTED:
            return "also like what was marked as unexpected"
        case _:
            return "different"


def _times(current: float, allowed: float) -> str:
    """Return how much larger something is in words."""
    if allowed > 0 and current / allowed >= _LEAST_TIMES:
        return f"{current / allowed:.1f} times as large"
    return "larger"

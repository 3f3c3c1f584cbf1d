"""Matches in words: in what a deviation is like its pattern, and in what it differs."""

from typing import Final
from zoneinfo import ZoneInfo

from anomify.match.model import Match
from anomify.pattern.wording import named

# Differences of less than these are not worth a word.
_LEAST_PERCENT: Final = 1.0
_LEAST_MINUTES: Final = 1.0
_HEIGHT: Final = (
    "less far outside of the range",
    "as far outside of the range",
    "farther outside of the range",
)


def explanation_of(match: Match, timezone: str) -> str:
    """Return why a match is no anomaly; its pattern has to be loaded.

    Like “nightly job”, marked as expected by Alice: 97 % similar, 4 % less far outside of the
    range, as long, 2 minutes apart in the day.

    Where it is not alike but usual: how often people have called deviations as strong expected.
    """
    name = named(match.pattern, ZoneInfo(timezone))
    if match.kind == "usual" and match.labels is not None:
        times = "once" if match.labels == 1 else f"{match.labels} times"
        return (
            f"Deviations as strong as this one were called expected {times}, most like it {name}:"
            f" {', '.join(differences_of(match))}."
        )
    alike = f"{match.similarity:.0f} % similar"
    return f"Like {name}: {', '.join((alike, *differences_of(match)))}."


def differences_of(match: Match) -> list[str]:
    """Return in what a match differs from its pattern: height, length and time of the day."""
    found = []
    if match.height_ratio is not None:
        found.append(_compared(match.height_ratio, *_HEIGHT))
    if match.length_ratio is not None:
        found.append(_compared(match.length_ratio, "shorter", "as long", "longer"))
    if match.minutes_apart is not None:
        found.append(_apart(match.minutes_apart))
    return found


def motif_notes(match: Match) -> tuple[str, ...]:
    """Return what a picture of the compared part states: the distance and the area."""
    notes = [
        f"{match.similarity:.0f} % similar: the shapes are {match.distance:.2f} apart; 0 is equal."
    ]
    if match.area_percent_diff is not None:
        area = _compared(1 + match.area_percent_diff / 100, "smaller", "as large", "larger")
        notes.append(f"The area outside of the expected range is {area}.")
    return tuple(notes)


def _compared(ratio: float, less: str, equal: str, more: str) -> str:
    """Return a ratio in words.

    >>> _compared(0.96, "shorter", "as long", "longer"), _compared(1.0, "shorter", "as long", "")
    ('4 % shorter', 'as long')
    """
    percent = 100 * (ratio - 1)
    if abs(percent) < _LEAST_PERCENT:
        return equal
    return f"{abs(percent):.0f} % {more if percent > 0 else less}"


def _apart(minutes: float) -> str:
    """Return how far the times of the day of two onsets are apart, in words."""
    if minutes < _LEAST_MINUTES:
        return "at the same time of the day"
    whole = round(minutes)
    return f"{whole} minute{'' if whole == 1 else 's'} apart in the day"

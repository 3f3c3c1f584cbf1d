"""The minutes by which page events are counted, in unix milliseconds."""

from typing import Final

MINUTE_MS: Final = 60_000
# A request that started within a minute may still write its counts this long after the minute.
SETTLES_AFTER_MS: Final = 5_000


def minute_of(at_ms: int) -> int:
    """Return the start of the minute that holds this time."""
    return at_ms // MINUTE_MS * MINUTE_MS


def last_complete_minute(at_ms: int) -> int:
    """Return the start of the last minute for which no counts are being written any more."""
    return minute_of(at_ms - SETTLES_AFTER_MS) - MINUTE_MS

"""When a failed delivery is tried again, and when never."""

from datetime import datetime, timedelta

FIRST_DELAY_SECONDS = 10.0
DELAY_MAX_SECONDS = 3600.0
# Retries of many deliveries to one receiver are spread, so that they do not arrive as a wave.
SPREAD = 0.2
GIVE_UP_AFTER = timedelta(hours=24)
_DOUBLINGS_MAX = 16


def delay_seconds(attempts: int, chance: float) -> float:
    """Return the pause after so many failed attempts: 10 s doubled each time, to one hour.

    `chance` from 0 to 1 moves it by up to 20 % either way.

    >>> [delay_seconds(attempts, 0.5) for attempts in (1, 2, 3, 20)]
    [10.0, 20.0, 40.0, 3600.0]
    """
    doubled: float = FIRST_DELAY_SECONDS * 2.0 ** min(max(attempts - 1, 0), _DOUBLINGS_MAX)
    return min(doubled, DELAY_MAX_SECONDS) * (1 + SPREAD * (2 * chance - 1))


def next_attempt_at(
    created_at: datetime,
    failed_at: datetime,
    attempts: int,
    chance: float,
    retry_after_seconds: float | None = None,
) -> datetime | None:
    """Return when to try again, or None when a day of trying is over.

    The receiver's own Retry-After is honoured when it is longer, but never past the end of that
    day: the last attempt is made then.
    """
    gives_up_at = created_at + GIVE_UP_AFTER
    if failed_at >= gives_up_at:
        return None
    pause = max(delay_seconds(attempts, chance), retry_after_seconds or 0.0)
    left = (gives_up_at - failed_at).total_seconds()
    return failed_at + timedelta(seconds=min(pause, left))

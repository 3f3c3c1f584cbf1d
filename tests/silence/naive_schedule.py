"""What a schedule means, computed by looking at every minute of the clocks of a place."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@lru_cache(maxsize=200)
def _minutes(day: date, timezone: str) -> dict[tuple[date, int], datetime]:
    """Return when the clocks first show each time of this day and those beside it."""
    place, found = ZoneInfo(timezone), {}
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    for _ in range(3 * 24 * 60):
        local = moment.astimezone(place)
        found.setdefault((local.date(), 60 * local.hour + local.minute), moment)
        moment += MINUTE
    return found


def naive_moment(day: date, minute: int, timezone: str) -> datetime:
    """Return when the clocks first show this time, or would, had they not been put forward."""
    shown = _minutes(day, timezone)
    skipped = 0
    # Clocks that skip a time are put forward by as much as is skipped.
    while (day, minute) not in shown:
        day, minute = (day, minute - 1) if minute else (day - DAY, 24 * 60 - 1)
        skipped += 1
    return shown[day, minute] + skipped * MINUTE


def naive_occurrence(
    day: date, from_minute: int, until_minute: int, timezone: str
) -> tuple[datetime, datetime]:
    """Return the beginning and end of the times that begin on a day."""
    start = naive_moment(day, from_minute, timezone)
    last = day if until_minute > from_minute else day + DAY
    end = naive_moment(last, until_minute, timezone)
    lasting = (until_minute - from_minute) % (24 * 60) or 24 * 60
    return start, end if end > start else start + lasting * MINUTE

"""Times from one local time to another that come back on some days, also where clocks change."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

DAY_MINUTES: Final = 24 * 60
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# The last day of a month, however many it has.
LAST_DAY: Final = -1
# Days before the one of a moment on which an occurrence that reaches it may begin: one that crosses
# midnight, and one more for days that clocks make longer.
DAYS_BACK: Final = 2
_ABBREVIATED: Final = 3
_TIME: Final = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])", re.ASCII)


class Occurrence(NamedTuple):
    """A time from `start`, inclusive, to `end`, exclusive."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class DailyTimes:
    """From one local time to another on some days; until the next day if `until` is not later."""

    from_minute: int
    until_minute: int
    timezone: str
    # A day is one of them if it is in any of these; with all three empty, every day is. Weekdays
    # count from 0 for Monday.
    weekdays: frozenset[int] = field(default_factory=frozenset)
    month_days: frozenset[int] = field(default_factory=frozenset)
    dates: frozenset[date] = field(default_factory=frozenset)

    @property
    def minutes(self) -> int:
        """Return how long an occurrence is on a day of 24 hours."""
        return (self.until_minute - self.from_minute) % DAY_MINUTES or DAY_MINUTES

    def is_on(self, day: date) -> bool:
        """Return whether an occurrence begins on this day."""
        if not (self.weekdays or self.month_days or self.dates):
            return True
        if day.weekday() in self.weekdays or day in self.dates or day.day in self.month_days:
            return True
        return LAST_DAY in self.month_days and (day + timedelta(days=1)).day == 1

    def on(self, day: date) -> Occurrence:
        """Return the occurrence that begins on this day; it is never empty.

        A local time that a day does not have is as much later as clocks are put forward, and of one
        that a day has twice the first is meant.
        """
        start = _moment(day, self.from_minute, self.timezone)
        end = _moment(day, self.from_minute + self.minutes, self.timezone)
        if end <= start:
            # It begins at a time that the day does not have, and would end when clocks changed.
            end = start + timedelta(minutes=self.minutes)
        return Occurrence(start, end)

    def near(self, moment: datetime) -> list[Occurrence]:
        """Return the occurrences that may be in force at a moment, in order."""
        today = moment.astimezone(zone(self.timezone)).date()
        days = (today - timedelta(days=back) for back in range(DAYS_BACK, -1, -1))
        return [self.on(day) for day in days if self.is_on(day)]


@lru_cache(maxsize=600)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of this IANA name."""
    return ZoneInfo(name)


def minute_of_day(text: str) -> int | None:
    """Return the minute of the day of a local time; None for a text that is no such time.

    >>> minute_of_day("22:30"), minute_of_day("24:00"), minute_of_day("25:00")
    (1350, 0, None)
    """
    found = _TIME.fullmatch(text.strip())
    minute = 60 * int(found[1]) + int(found[2]) if found else DAY_MINUTES + 1
    return None if minute > DAY_MINUTES else minute % DAY_MINUTES


def clock_time(minute: int) -> str:
    """Return a minute of the day as people write it.

    >>> clock_time(90)
    '01:30'
    """
    return f"{minute // 60:02}:{minute % 60:02}"


def weekday_number(name: str) -> int | None:
    """Return the number of a weekday from its name or its first three letters, 0 for Monday."""
    word = name.strip().casefold()
    for number, weekday in enumerate(WEEKDAYS):
        if word in {weekday, weekday[:_ABBREVIATED]}:
            return number
    return None


def _moment(day: date, minute: int, timezone: str) -> datetime:
    days, minute = divmod(minute, DAY_MINUTES)
    local = datetime.combine(
        day + timedelta(days=days), time(minute // 60, minute % 60), tzinfo=zone(timezone)
    )
    return local.astimezone(UTC)

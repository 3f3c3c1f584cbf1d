"""When a watcher's summary is due: daily-10:00, weekly-monday or monthly-17 in the org's zone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from anomify.org.daily_times import (
    WEEKDAYS,
    DailyTimes,
    clock_time,
    minute_of_day,
    weekday_number,
    zone,
)

# When a summary without a time of its own is sent.
DEFAULT_MINUTE: Final = 9 * 60
MONTH_DAYS: Final = 31
# The longest time between two summaries is less.
LOOKED_AHEAD_DAYS: Final = 64
HOW: Final = (
    "Write daily-10:00, weekly-monday or monthly-17; a time may follow a day, as in"
    " weekly-monday-08:30."
)
_SCHEDULE: Final = re.compile(
    r"(?:daily-(?P<time>[0-9:]+)|weekly-(?P<weekday>[a-z]+)(?:-(?P<weekly_time>[0-9:]+))?"
    r"|monthly-(?P<day>[0-9]{1,2})(?:-(?P<monthly_time>[0-9:]+))?)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ReportSchedule:
    """The days and the local time of a summary."""

    minute: int
    # 0 for Monday; or a day of the month; every day without either.
    weekday: int | None = None
    month_day: int | None = None

    @property
    def text(self) -> str:
        """Return the schedule as people write it."""
        time = "" if self.minute == DEFAULT_MINUTE else f"-{clock_time(self.minute)}"
        if self.weekday is not None:
            return f"weekly-{WEEKDAYS[self.weekday]}{time}"
        if self.month_day is not None:
            return f"monthly-{self.month_day}{time}"
        return f"daily-{clock_time(self.minute)}"

    @property
    def period(self) -> str:
        """Return what one summary covers: day, week or month."""
        if self.weekday is not None:
            return "week"
        return "day" if self.month_day is None else "month"

    def due_after(self, moment: datetime, timezone: str) -> datetime:
        """Return the first time after a moment at which a summary is due."""
        return next(due for due in self._due_from(moment, timezone) if due > moment)

    def due_through(self, after: datetime, moment: datetime, timezone: str) -> datetime | None:
        """Return the last due time after one moment and not after another; None without any."""
        last = None
        begin = max(after, moment - timedelta(days=LOOKED_AHEAD_DAYS))
        for due in self._due_from(begin, timezone):
            if due > moment:
                break
            if due > after:
                last = due
        return last

    def _due_from(self, moment: datetime, timezone: str) -> Iterator[datetime]:
        """Yield the due times of the days around a moment and after it, in order."""
        times = DailyTimes(self.minute, self.minute + 1, timezone)
        day = moment.astimezone(zone(timezone)).date() - timedelta(days=1)
        for _ in range(2 * LOOKED_AHEAD_DAYS):
            if self._is_on(day):
                yield times.on(day).start
            day += timedelta(days=1)

    def _is_on(self, day: date) -> bool:
        if self.weekday is not None:
            return day.weekday() == self.weekday
        if self.month_day is None or day.day == self.month_day:
            return True
        is_last = (day + timedelta(days=1)).day == 1
        return is_last and day.day < self.month_day


def read_schedule(text: str) -> ReportSchedule | None:
    """Return the schedule that a text describes; None for a text that is none.

    >>> read_schedule("weekly-monday").text
    'weekly-monday'
    >>> read_schedule("monthly-32") is None
    True
    """
    found = _SCHEDULE.fullmatch(text.strip().lower())
    if found is None:
        return None
    time = found["time"] or found["weekly_time"] or found["monthly_time"]
    minute = DEFAULT_MINUTE if time is None else minute_of_day(time)
    if minute is None:
        return None
    if found["weekday"] is not None:
        weekday = weekday_number(found["weekday"])
        return None if weekday is None else ReportSchedule(minute, weekday=weekday)
    if found["day"] is not None:
        day = int(found["day"])
        is_day = 1 <= day <= MONTH_DAYS
        return ReportSchedule(minute, month_day=day) if is_day else None
    return ReportSchedule(minute)

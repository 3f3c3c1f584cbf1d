"""When a silence is in force: once from one moment to another, or on some days at a local time."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

DAY_MINUTES: Final = 24 * 60
# The last day of a month, however many it has.
LAST_DAY: Final = -1
# The end of a schedule that has none.
FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
# Days before the one of a moment on which an occurrence that reaches it may begin: one that crosses
# midnight, and one more for days that clocks make longer.
_DAYS_BACK: Final = 2


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


@dataclass(frozen=True, slots=True)
class Schedule:
    """From `begins_at` to `ends_at`; with daily times only at these, within that period.

    Only a schedule with daily times may have no end.
    """

    begins_at: datetime
    ends_at: datetime | None
    daily: DailyTimes | None = None

    def at(self, moment: datetime) -> Occurrence | None:
        """Return the occurrence in force at a moment; of several the one that ends last."""
        if not self.begins_at <= moment < self._last:
            return None
        if self.daily is None:
            return Occurrence(self.begins_at, self._last)
        today = moment.astimezone(zone(self.daily.timezone)).date()
        running = None
        for back in range(_DAYS_BACK, -1, -1):
            found = self._on(_later(today, -back))
            if found is not None and found.start <= moment < found.end:
                running = found if running is None or found.end >= running.end else running
        return running

    def following(self, moment: datetime, most: int, within: timedelta) -> list[Occurrence]:
        """Return the next occurrences that have not ended at a moment, at most so many.

        Only those are looked for that begin within so much time of it, or of the beginning.
        """
        if moment >= self._last:
            return []
        if self.daily is None:
            return [Occurrence(self.begins_at, self._last)][:most]
        found: list[Occurrence] = []
        first = max(moment, self.begins_at)
        day = _later(first.astimezone(zone(self.daily.timezone)).date(), -_DAYS_BACK)
        for ahead in range(within.days + 2 * _DAYS_BACK):
            occurrence = self._on(_later(day, ahead))
            if occurrence is not None and occurrence.end > moment:
                found.append(occurrence)
            if len(found) == most:
                break
        return found

    @property
    def _last(self) -> datetime:
        return FOREVER if self.ends_at is None else self.ends_at

    def _on(self, day: date) -> Occurrence | None:
        """Return what of the day's occurrence lies within the period."""
        if self.daily is None or not self.daily.is_on(day):
            return None
        start, end = self.daily.on(day)
        within = Occurrence(max(start, self.begins_at), min(end, self._last))
        return within if within.start < within.end else None


@lru_cache(maxsize=600)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of this IANA name."""
    return ZoneInfo(name)


def _moment(day: date, minute: int, timezone: str) -> datetime:
    days, minute = divmod(minute, DAY_MINUTES)
    local = datetime.combine(
        _later(day, days), time(minute // 60, minute % 60), tzinfo=zone(timezone)
    )
    return local.astimezone(UTC)


def _later(day: date, days: int) -> date:
    return day + timedelta(days=days)

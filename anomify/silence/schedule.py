"""When a silence is in force: once from one moment to another, or on some days at a local time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from anomify.org.daily_times import DAYS_BACK, DailyTimes, Occurrence, zone

# The end of a schedule that has none.
FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


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
        running = [
            within
            for found in self.daily.near(moment)
            if (within := self._within(found)) and within.start <= moment < within.end
        ]
        return max(running, key=lambda found: found.end, default=None)

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
        day = first.astimezone(zone(self.daily.timezone)).date() - timedelta(days=DAYS_BACK)
        for _ in range(within.days + 2 * DAYS_BACK):
            occurrence = self._within(self.daily.on(day)) if self.daily.is_on(day) else None
            if occurrence is not None and occurrence.end > moment:
                found.append(occurrence)
            if len(found) == most:
                break
            day += timedelta(days=1)
        return found

    @property
    def _last(self) -> datetime:
        return FOREVER if self.ends_at is None else self.ends_at

    def _within(self, found: Occurrence) -> Occurrence | None:
        """Return what of an occurrence lies within the period."""
        within = Occurrence(max(found.start, self.begins_at), min(found.end, self._last))
        return within if within.start < within.end else None

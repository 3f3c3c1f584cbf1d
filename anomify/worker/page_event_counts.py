"""The duty of counting: minutes of events on web pages become datapoints, none lost or doubled."""

from anomify.clock import now_ms
from anomify.db import Database
from anomify.metric.store import PointStore
from anomify.page_event.counts import (
    MINUTE_MS,
    SETTLES_AFTER_MS,
    add_noughts,
    forget_counted,
    list_unstored,
    mark_stored,
    missing_minutes,
)
from anomify.series import Points
from anomify.storage.log import Entry


class PageEventWriter:
    """Stores what was counted; it remembers only which minute it has looked through."""

    def __init__(self, database: Database, points: PointStore) -> None:
        """Know where counts are, and where datapoints go to."""
        self._database = database
        self._points = points
        self._filled_ms = 0

    def run_once(self) -> int:
        """Store what was counted in minutes that are over; return how many minutes that was.

        First the datapoints, which may be written twice, then the word that they are written. A
        minute to which something is added after all is stored again with its whole count. Raises
        `Unavailable` where nothing can be stored now; then nothing is lost.
        """
        at_ms = now_ms()
        if at_ms >= self._filled_ms + MINUTE_MS:
            self._fill(at_ms)
        with self._database.unit_of_work(write=False):
            counted = list_unstored(at_ms)
        if not len(counted):
            return 0
        with self._database.unit_of_work():
            # Inside, so that no other worker stores a later count before this one.
            self._points.append(Entry(counted, Points.empty()))
            mark_stored(counted)
            forget_counted(at_ms)
        return len(counted)

    def _fill(self, at_ms: int) -> None:
        with self._database.unit_of_work(write=False):
            missing = missing_minutes(at_ms)
        if missing:
            with self._database.unit_of_work():
                add_noughts(missing)
        # At the pace of minutes: the next look is when another one is over and has settled.
        self._filled_ms = (at_ms - SETTLES_AFTER_MS) // MINUTE_MS * MINUTE_MS + SETTLES_AFTER_MS

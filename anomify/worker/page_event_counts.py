"""The periodic task that stores the counts of page events as datapoints."""

from anomify.clock import now_ms
from anomify.db import Database
from anomify.metric.store import PointStore
from anomify.page_event.counts import add_zeros, delete_old_counts, mark_stored
from anomify.page_event.minutes import MINUTE_MS, SETTLES_AFTER_MS
from anomify.page_event.queries import list_unstored, minutes_without_count
from anomify.series import Points
from anomify.storage.log import Entry


class PageEventWriter:
    """Store complete minutes of page events as datapoints, each exactly once per count."""

    def __init__(self, database: Database, points: PointStore) -> None:
        """Read counts from `database` and append datapoints to `points`."""
        self._database = database
        self._points = points
        self._zeros_added_ms = 0

    def run_once(self) -> int:
        """Store the counts of complete minutes; return how many minutes were stored.

        Datapoints are appended before their minutes are marked as stored, so a crash in between
        writes them again with the same values. A minute whose count grows after it was stored is
        stored again with its whole count. Raises `Unavailable` if nothing can be stored now; the
        counts are then stored by a later call.
        """
        at_ms = now_ms()
        if at_ms >= self._zeros_added_ms + MINUTE_MS:
            self._add_zeros(at_ms)
        with self._database.unit_of_work(write=False):
            unstored = list_unstored(at_ms)
        if not len(unstored):
            return 0
        with self._database.unit_of_work():
            # Within the transaction, so that no other worker stores a later count before this one.
            self._points.append(Entry(unstored, Points.empty()))
            mark_stored(unstored)
            delete_old_counts(at_ms)
        return len(unstored)

    def _add_zeros(self, at_ms: int) -> None:
        with self._database.unit_of_work(write=False):
            missing = minutes_without_count(at_ms)
        if missing:
            with self._database.unit_of_work():
                add_zeros(missing)
        # The next call that finds a new complete minute is a minute after the last one settled.
        self._zeros_added_ms = (
            at_ms - SETTLES_AFTER_MS
        ) // MINUTE_MS * MINUTE_MS + SETTLES_AFTER_MS

"""The thread that tells what became due: updates, reminders, and what was held back."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from anomify.clock import now
from anomify.db import Database, batches
from anomify.delivery.changed_watchers import ChangedWatchers
from anomify.delivery.notify import due_incidents, is_any_due, notify, notify_due, put_off
from anomify.delivery.silence_notices import enqueue_notices
from anomify.silence.notices import is_any_notice_due
from anomify.worker.writing import write

log = logging.getLogger(__name__)

NOTIFY_EVERY_SECONDS: Final = 1.0
# How often it is looked whether watchers were changed, and how many incidents one transaction
# decides on then.
CHANGES_EVERY: Final = timedelta(seconds=10)
INCIDENTS_MOST: Final = 100
# When it is tried again to decide about an incident that cannot be decided.
PUT_OFF_FOR: Final = timedelta(minutes=1)


class DueNotifier:
    """Decides on notifications whose time has come, beside the thread that judges."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        """Take where rows are."""
        self._database = database
        self._clock = clock
        self._changed_watchers = ChangedWatchers()
        self._changes_due_at = clock()

    def run_until(self, stopping: threading.Event) -> None:
        """Work until the event is set."""
        while not stopping.wait(NOTIFY_EVERY_SECONDS):
            try:
                self.run_once()
                if self._clock() >= self._changes_due_at:
                    self.tell_after_changes()
                    self._changes_due_at = self._clock() + CHANGES_EVERY
            except SQLAlchemyError as problem:
                log.warning("notifications cannot be decided now: %s", problem)

    def run_once(self) -> int:
        """Decide on what is due; return how many incidents and silences were looked at."""
        count = self._tell_of_silences()
        while True:
            with self._database.unit_of_work(write=False):
                # Read first: there is seldom one, and a write transaction blocks others.
                if not is_any_due(self._clock()):
                    return count
            looked_at = self._notify_due()
            if not looked_at:
                return count
            count += looked_at

    def tell_after_changes(self) -> None:
        """Tell new or changed watchers of what goes on."""
        with self._database.unit_of_work(write=False):
            incident_ids = self._changed_watchers.find_incidents(self._clock())
        for some in batches(incident_ids, INCIDENTS_MOST):
            try:
                write(self._database, partial(notify, some, self._clock()))
            except Exception:
                log.exception("a change of watchers cannot be told of all at once")
                self._notify_each(list(some))

    def _notify_due(self) -> int:
        """Decide on what is due; what one incident fails with must not hold up the others."""
        try:
            return write(self._database, lambda: notify_due(self._clock()))
        except Exception:
            log.exception("what is due cannot be decided all at once")
        with self._database.unit_of_work(write=False):
            incident_ids = due_incidents(self._clock())
        self._notify_each(incident_ids)
        return len(incident_ids)

    def _notify_each(self, incident_ids: Sequence[int]) -> None:
        for incident_id in incident_ids:
            try:
                write(self._database, partial(notify, [incident_id], self._clock()))
            except Exception:
                log.exception("incident %d cannot be decided; it is tried again", incident_id)
                write(self._database, partial(put_off, incident_id, self._clock() + PUT_OFF_FOR))

    def _tell_of_silences(self) -> int:
        with self._database.unit_of_work(write=False):
            if not is_any_notice_due(self._clock()):
                return 0
        try:
            return write(self._database, lambda: enqueue_notices(self._clock()))
        except Exception:
            # Incidents that are due must not wait for it.
            log.exception("the notices of silences cannot be sent; they are tried again")
            return 0

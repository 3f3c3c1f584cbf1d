"""The thread that sends the summaries of watchers when they are due."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from anomify.clock import now
from anomify.config import Settings
from anomify.contact_point.editing import ContactEditor
from anomify.db import Database
from anomify.delivery.report import list_due_reports, send_report
from anomify.watcher.contacts import WatcherContacts
from anomify.worker.writing import write

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS: Final = 20.0


class ReportSender:
    """Enqueues summaries, beside the thread that judges.

    The time of the last one is stored in the transaction of its messages, with the watcher's row
    locked: each is sent once, however many workers run and whenever one is killed.
    """

    def __init__(
        self, database: Database, settings: Settings, clock: Callable[[], datetime] = now
    ) -> None:
        """Take where rows are, and the key of the contact points' settings."""
        self._database = database
        self._contacts = WatcherContacts(ContactEditor(settings))
        self._clock = clock

    def run_until(self, stopping: threading.Event) -> None:
        """Work until the event is set."""
        while not stopping.wait(LOOK_EVERY_SECONDS):
            try:
                self.run_once()
            except SQLAlchemyError as problem:
                log.warning("summaries cannot be sent now: %s", problem)

    def run_once(self) -> int:
        """Send the summaries that are due; return how many messages were enqueued."""
        at = self._clock()
        with self._database.unit_of_work(write=False):
            # Read first: there is seldom one, and a write transaction blocks others.
            due = list_due_reports(at)
        return sum(self._send(each.watcher_id, at) for each in due)

    def _send(self, watcher_id: int, at: datetime) -> int:
        """Enqueue one summary; what it fails with must not hold up the others."""
        try:
            return write(self._database, partial(send_report, watcher_id, at, self._contacts))
        except Exception:
            log.exception("the summary of watcher %d cannot be sent; it is tried again", watcher_id)
            return 0

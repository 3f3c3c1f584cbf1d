"""The duty of warning admins: of metrics that have stopped, and of a quota that is used up."""

import logging

from anomify.admin_alert.alerts import outages, update_alerts, waits_of
from anomify.admin_alert.reporting import ReportingWatch
from anomify.clock import now, now_ms
from anomify.db import Database
from anomify.org.queries import list_worker_heartbeats

log = logging.getLogger(__name__)


class AdminAlertMonitor:
    """Looks every few seconds; what it remembers is only how long it has listened already."""

    def __init__(self, database: Database, base_url: str) -> None:
        """Find out until when a worker was there before; links in letters begin with `base_url`."""
        self._database = database
        self._base_url = base_url
        with database.unit_of_work(write=False):
            heartbeats = list_worker_heartbeats()
        last = heartbeats[0].beaten_at if heartbeats else now()
        self._supply = ReportingWatch(int(last.timestamp() * 1000))

    def look(self) -> None:
        """Warn where something has stopped, tell where it is back; seldom changes anything."""
        at = now()
        with self._database.unit_of_work(write=False):
            stopped = self._supply.look(now_ms(), waits_of)
            is_needed = bool(outages(stopped, at))
        if not is_needed:
            return
        with self._database.unit_of_work():
            left = update_alerts(stopped, at, self._base_url)
        if left:
            log.info("%d metrics have been silent for a day and left the pipeline", len(left))
            self._supply.leave(left)

"""The periodic task that alerts admins to metrics that stopped and to a quota that is used up."""

import logging

from anomify.admin_alert.reporting import ReportingTracker
from anomify.admin_alert.update_alerts import (
    read_alert_inputs,
    reporting_waits_of,
    update_alerts,
)
from anomify.clock import now, now_ms, to_ms
from anomify.db import Database
from anomify.org.queries import list_worker_heartbeats

log = logging.getLogger(__name__)


class AdminAlertMonitor:
    """Find stopped metrics every few seconds and keep the admin alerts up to date.

    Alerts are stored in the database; the object itself remembers only when metrics last reported.
    """

    def __init__(self, database: Database, base_url: str) -> None:
        """Read when a worker last ran; links in letters begin with `base_url`."""
        self._database = database
        self._base_url = base_url
        with database.unit_of_work(write=False):
            heartbeats = list_worker_heartbeats()
        last = heartbeats[0].beaten_at if heartbeats else now()
        self._reporting = ReportingTracker(to_ms(last))

    def run_once(self) -> None:
        """Raise, extend and close alerts; write to the database only if there is something to."""
        at = now()
        with self._database.unit_of_work(write=False):
            stopped = self._reporting.find_stopped(now_ms(), reporting_waits_of)
            is_needed = bool(read_alert_inputs(stopped, at))
        if not is_needed:
            return
        with self._database.unit_of_work():
            left = update_alerts(stopped, at, self._base_url)
        if left:
            log.info(
                "%d metrics have not reported for a day and are no longer expected to", len(left)
            )
            self._reporting.stop_expecting(left)

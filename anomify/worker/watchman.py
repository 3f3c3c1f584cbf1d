"""The duty of warning admins: of metrics that have stopped, and of a quota that is used up."""

import logging

from anomify.clock import now, now_ms
from anomify.db import Database
from anomify.metric.outage import outages, see_to, waits_of
from anomify.metric.supply import Supply
from anomify.org.queries import list_worker_beats

log = logging.getLogger(__name__)


class Watchman:
    """Looks every few seconds; what it remembers is only how long it has listened already."""

    def __init__(self, database: Database, base_url: str) -> None:
        """Find out until when a worker was there before; links in letters begin with `base_url`."""
        self._database = database
        self._base_url = base_url
        with database.unit_of_work(write=False):
            beats = list_worker_beats()
        last = beats[0].beaten_at if beats else now()
        self._supply = Supply(int(last.timestamp() * 1000))

    def look(self) -> None:
        """Warn where something has stopped, tell where it is back; seldom changes anything."""
        at = now()
        with self._database.unit_of_work(write=False):
            stopped = self._supply.look(now_ms(), waits_of)
            is_needed = bool(outages(stopped, at))
        if not is_needed:
            return
        with self._database.unit_of_work():
            left = see_to(stopped, at, self._base_url)
        if left:
            log.info("%d metrics have been silent for a day and left the pipeline", len(left))
            self._supply.leave(left)

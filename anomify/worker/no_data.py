"""Find metrics that have stopped reporting, and record it."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from anomify.anomaly.queries import list_stale_with_open_anomaly
from anomify.clock import now, now_ms
from anomify.db import Database, batches
from anomify.metric.progress import take_overdue
from anomify.pipeline.announce import announcing
from anomify.pipeline.no_data import close_all_of_silent, open_no_data
from anomify.pipeline.observe import log_excluded
from anomify.pipeline.screen import Screen
from anomify.pipeline.verdict import Anomalous, Excluded
from anomify.worker.current_settings import CurrentSettings
from anomify.worker.overdue import OverdueTracker
from anomify.worker.received import LastReceived
from anomify.worker.writing import write

# Overdue metrics that one look records; the next look follows within seconds.
MOST_OVERDUE = 500


class NoDataMonitor:
    """Opens anomalies for metrics that should have reported, and closes the ones they had."""

    def __init__(
        self,
        database: Database,
        screen: Screen,
        settings: CurrentSettings,
        overdue: OverdueTracker,
        received: LastReceived,
    ) -> None:
        """Take what the thread that judges works with."""
        self._database = database
        self._screen = screen
        self._settings = settings
        self._overdue = overdue
        self._received = received

    def look(self) -> None:
        """Record which metrics are silent; call it when all points in the log are judged."""
        self._close_silent()
        overdue = self._overdue.overdue(now_ms(), MOST_OVERDUE).tolist()
        if not overdue:
            return
        anomalous = []
        with self._database.unit_of_work(write=False):
            results = self._screen.screen(overdue)
        for metric_id, result in zip(overdue, results, strict=True):
            match result:
                case Excluded(by):
                    log_excluded(metric_id, by)
                case Anomalous():
                    anomalous.append(metric_id)
        write(self._database, partial(self._open, anomalous), overdue)
        self._overdue.note((metric_id, None) for metric_id in overdue)

    def _open(self, overdue: list[int]) -> None:
        silent = [
            progress
            for progress in take_overdue(overdue)
            if not self._settings.of(progress.metric_id).may_be_silent
        ]
        with announcing(now()) as notifier:
            close_all_of_silent([progress.metric_id for progress in silent], notifier)
            open_no_data(silent, notifier)

    def _close_silent(self) -> None:
        """Close the anomalies of metrics that have been silent for several of their steps."""
        with self._database.unit_of_work(write=False):
            # Read first: there is seldom one to close, and a write transaction blocks others.
            stale = list_stale_with_open_anomaly(now_ms())
        at_ms = now_ms()
        received = self._received.of(np.array([row.metric_id for row in stale], np.int64))
        silent = [
            row.metric_id
            for row, received_ms in zip(stale, received.tolist(), strict=True)
            if at_ms - max(received_ms, row.last_ms) > row.stale_after_ms
        ]
        for some in batches(silent, MOST_OVERDUE):
            write(self._database, partial(_close_all, some), some)


def _close_all(metric_ids: Sequence[int]) -> None:
    with announcing(now()) as notifier:
        close_all_of_silent(metric_ids, notifier)

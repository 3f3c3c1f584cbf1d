"""The thresholds of watchers: applied to each tick, and to metrics that send nothing."""

from functools import partial

import numpy as np

from anomify.anomaly.queries import open_threshold_spans
from anomify.clock import now, now_ms
from anomify.db import Database
from anomify.pipeline.announce import announcing
from anomify.pipeline.score import Scored
from anomify.pipeline.threshold_rules import (
    MetricWithoutPoints,
    NewPoints,
    ThresholdRule,
    ThresholdRules,
)
from anomify.pipeline.thresholds import close_without_rule, open_silent
from anomify.worker.received import LastReceived
from anomify.worker.recent_points import RecentPoints
from anomify.worker.writing import write


class ThresholdWatch:
    """Finds what is over the threshold of a watcher, for the thread that judges."""

    def __init__(self, database: Database, points: RecentPoints, received: LastReceived) -> None:
        """Take what that thread works with; call `apply` before the first tick."""
        self._database = database
        self._rules = ThresholdRules(points)
        self._received = received
        self._started_ms = now_ms()
        # An earlier worker may have left something open whose threshold has gone since.
        self._is_checked = False

    def apply(self) -> None:
        """Apply changed thresholds from the next point on; close what none of them finds now."""
        with self._database.unit_of_work(write=False):
            has_changed = self._rules.reload() or not self._is_checked
            is_any_open = has_changed and bool(open_threshold_spans())
        self._is_checked = True
        if is_any_open:
            write(self._database, self._close_without_rule)

    def find(self, scored: Scored) -> list[NewPoints]:
        """Return the metrics of a tick that are over a threshold, or may be."""
        if not self._rules.by_watcher:
            return []
        with self._database.unit_of_work(write=False):
            return self._rules.find(scored)

    def note(self, found: list[NewPoints]) -> None:
        """Keep what later points of a recorded tick need."""
        self._rules.note(found)

    def look_for_silent(self) -> None:
        """Open anomalies of metrics that have sent nothing for as long as a watcher allows.

        Call it when all points in the log are judged. While no worker ran, nothing could come.
        """
        at_ms = now_ms()
        if not self._rules.by_watcher:
            return
        with self._database.unit_of_work(write=False):
            found = self._rules.find_silent(at_ms)
        if not found:
            return
        metric_ids = np.array([silent.metric_id for _, silent in found], np.int64)
        received = np.maximum(self._received.of(metric_ids), self._started_ms).tolist()
        silent = [
            each
            for each, received_ms in zip(found, received, strict=True)
            if at_ms - received_ms >= 1000 * each[0].threshold.value
        ]
        if silent:
            concerned = [each.metric_id for _, each in silent]
            write(self._database, partial(_open_silent, silent), concerned)

    def _close_without_rule(self) -> None:
        with announcing(now()) as notifier:
            close_without_rule(self._rules, notifier)


def _open_silent(silent: list[tuple[ThresholdRule, MetricWithoutPoints]]) -> None:
    with announcing(now()) as notifier:
        for rule, each in silent:
            open_silent(rule, each, notifier)

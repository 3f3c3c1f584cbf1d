"""From which moment on each metric is overdue, so that its silence is an anomaly."""

from collections.abc import Iterable

import numpy as np

from anomify.series import Int64s, lengthened

NEVER = np.iinfo(np.int64).max


class OverdueTracker:
    """Holds the moments in an array by metric id: one comparison finds all overdue metrics."""

    def __init__(self) -> None:
        """Start with no metric tracked."""
        self._from_ms = np.full(0, NEVER, np.int64)

    def track_all(self, moments: Iterable[tuple[int, int, int]], at_ms: int) -> None:
        """Track these metrics; where the moment has passed, wait as long again from `at_ms`.

        While no worker ran, no metric could report. A row is a metric, its moment, and the time of
        its newest point.
        """
        self.note(
            (metric_id, from_ms if from_ms > at_ms else at_ms + from_ms - last_ms)
            for metric_id, from_ms, last_ms in moments
        )

    def note(self, moments: Iterable[tuple[int, int | None]]) -> None:
        """Set from which moment on each metric is overdue; None means never."""
        for metric_id, from_ms in moments:
            self._from_ms = lengthened(self._from_ms, metric_id + 1, NEVER)
            self._from_ms[metric_id] = NEVER if from_ms is None else from_ms

    def overdue(self, at_ms: int, most: int) -> Int64s:
        """Return the metrics that are overdue at a time, at most `most`, the lowest ids first."""
        overdue: Int64s = np.flatnonzero(self._from_ms <= at_ms)[:most]
        return overdue

"""Who is overdue: from which moment on the silence of each metric would be an anomaly."""

from collections.abc import Iterable

import numpy as np

from anomify.series import Int64s, lengthened

NEVER = np.iinfo(np.int64).max


class OverdueTracker:
    """The moments by metric id, so that one look at all metrics costs next to nothing."""

    def __init__(self) -> None:
        """Await nobody yet."""
        self._from_ms = np.full(0, NEVER, np.int64)

    def track_all(self, moments: Iterable[tuple[int, int, int]], at_ms: int) -> None:
        """Await each metric from its moment on; where that is over, from now on as long again.

        While nobody was there to listen, nobody could report. A row is a metric, its moment, and
        when its newest point was.
        """
        self.note(
            (metric_id, from_ms if from_ms > at_ms else at_ms + from_ms - last_ms)
            for metric_id, from_ms, last_ms in moments
        )

    def note(self, moments: Iterable[tuple[int, int | None]]) -> None:
        """Await metrics from these moments on, or no more where there is none."""
        for metric_id, from_ms in moments:
            self._from_ms = lengthened(self._from_ms, metric_id + 1, NEVER)
            self._from_ms[metric_id] = NEVER if from_ms is None else from_ms

    def overdue(self, at_ms: int, most: int) -> Int64s:
        """Return the metrics whose moment has come, at most so many, the lowest ids first."""
        overdue: Int64s = np.flatnonzero(self._from_ms <= at_ms)[:most]
        return overdue

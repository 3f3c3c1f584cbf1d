"""Selects the points that the index of unusual metrics holds."""

from typing import Final

import numpy as np

from anomify.detection.detector import Verdicts
from anomify.metric.moved import LEAST_STRENGTH, UnusualPoints
from anomify.series import Float32s, Int64s, lengthened

# A move is found late where it is small: it began at the first of the points up to there that were
# all at least so strong.
BEGAN_STRENGTH: Final = 4.0
NONE: Final = -1


class UnusualFinder:
    """Finds unusual points and since when each metric has moved, tick by tick."""

    def __init__(self) -> None:
        """Start with no metric that moves."""
        # By metric id: the first point of the present stretch of points that are strong enough.
        self._began_ms = np.zeros(0, np.int64)

    def find(self, metric_ids: Int64s, times: Int64s, verdicts: Verdicts) -> UnusualPoints:
        """Return the judged points that are unusual.

        `metric_ids` and `times` have a row for each verdict; the rows of a metric are side by side,
        in the order in which they were judged.
        """
        judged = np.flatnonzero(verdicts.judged)
        began = self._began(metric_ids[judged], times[judged], verdicts.strengths[judged])
        chosen = verdicts.strengths[judged] >= LEAST_STRENGTH
        rows = judged[chosen]
        return UnusualPoints(
            metric_ids[rows],
            times[rows],
            began[chosen],
            verdicts.strengths[rows].astype(np.float64),
            verdicts.values[rows],
            verdicts.lowers[rows].astype(np.float64),
            verdicts.uppers[rows].astype(np.float64),
        )

    def _began(self, metric_ids: Int64s, times: Int64s, strengths: Float32s) -> Int64s:
        """Return for each row the first point of its stretch, or its own time."""
        if not len(times):
            return times
        self._began_ms = lengthened(self._began_ms, int(metric_ids.max()) + 1, NONE)
        places = np.arange(len(times))
        is_first = np.append(True, metric_ids[1:] != metric_ids[:-1])
        starts = np.maximum.accumulate(np.where(is_first, places, 0))
        is_weak = strengths < BEGAN_STRENGTH
        weak = np.maximum.accumulate(np.where(is_weak, places, NONE))
        has_weak = weak >= starts
        began = times[np.minimum(np.where(has_weak, weak + 1, starts), places)]
        before = self._began_ms[metric_ids]
        began = np.where(~has_weak & (before != NONE), before, began)
        is_last = np.append(is_first[1:], True)
        self._began_ms[metric_ids[is_last]] = np.where(is_weak, NONE, began)[is_last]
        return began

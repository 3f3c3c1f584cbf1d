"""Selects the points that the index of unusual metrics holds."""

from typing import Final

import numpy as np

from anomify.detection.detector import Verdicts
from anomify.metric.moved import SILENCE_STRENGTH, UnusualPoints
from anomify.metric.moved_order import LEAST_STRENGTH
from anomify.series import Bools, Float32s, Int64s, lengthened

# A move is found late where it is small: it began at the first of the points up to there that were
# all at least so strong.
BEGAN_STRENGTH: Final = 4.0
NONE: Final = -1
# A gap is a silence where it is longer than this, and than so many times the longest of the
# last gaps.
LEAST_SILENCE_MS: Final = 300_000
SILENCE_GAPS: Final = 4
GAPS: Final = 3
# How much of the longest gap is remembered after each batch.
GAP_KEPT: Final = 0.9


class UnusualFinder:
    """Finds unusual points and since when each metric has moved, tick by tick."""

    def __init__(self) -> None:
        """Start with no metric that moves."""
        # By metric id: the first point of the present stretch of points that are strong enough.
        self._began_ms = np.zeros(0, np.int64)
        # Its newest point, and the longest of its last gaps, 0 while it is not known.
        self._last_ms = np.zeros(0, np.int64)
        self._longest_ms = np.zeros(0, np.int64)

    def find(self, metric_ids: Int64s, times: Int64s, verdicts: Verdicts) -> UnusualPoints:
        """Return the judged points that are unusual.

        `metric_ids` and `times` have a row for each verdict; the rows of a metric are side by side,
        in the order in which they were judged.
        """
        judged = np.flatnonzero(verdicts.judged)
        began = self._began(metric_ids[judged], times[judged], verdicts.strengths[judged])
        chosen = verdicts.strengths[judged] >= LEAST_STRENGTH
        rows = judged[chosen]
        silent, due_ms = self._silences(metric_ids[judged], times[judged])
        nothing = np.zeros(len(due_ms))
        unknown = np.full(len(due_ms), np.nan)
        return UnusualPoints(
            np.concatenate([metric_ids[rows], metric_ids[judged][silent]]),
            np.concatenate([times[rows], due_ms]),
            np.concatenate([began[chosen], due_ms]),
            np.concatenate([verdicts.strengths[rows], nothing + SILENCE_STRENGTH]),
            np.concatenate([verdicts.values[rows], nothing]),
            np.concatenate([verdicts.lowers[rows], unknown]),
            np.concatenate([verdicts.uppers[rows], unknown]),
            np.concatenate([np.zeros(len(rows), bool), np.ones(len(due_ms), bool)]),
        )

    def _silences(self, metric_ids: Int64s, times: Int64s) -> tuple[Bools, Int64s]:
        """Return which rows end a silence, a mask, and of those when a point had been due."""
        if not len(times):
            return np.zeros(0, bool), times
        for each in ("_last_ms", "_longest_ms"):
            known = getattr(self, each)
            setattr(self, each, lengthened(known, int(metric_ids.max()) + 1, 0))
        is_first = np.append(True, metric_ids[1:] != metric_ids[:-1])
        places = np.arange(len(times))
        within = places - np.maximum.accumulate(np.where(is_first, places, 0))
        before = np.where(is_first, self._last_ms[metric_ids], np.append(0, times[:-1]))
        gaps = np.where(before == 0, 0, times - before)
        # The longest of the last gaps, each row's own one included.
        longest = gaps.copy()
        for back in range(1, GAPS):
            longest[back:] = np.maximum(
                longest[back:], np.where(within[back:] >= back, gaps[:-back], 0)
            )
        remembered = self._longest_ms[metric_ids]
        longest = np.where(
            within >= GAPS, longest, np.maximum(longest, (GAP_KEPT * remembered).astype(np.int64))
        )
        usual = np.where(is_first, remembered, np.append(0, longest[:-1]))
        is_silence = (usual > 0) & (gaps > np.maximum(LEAST_SILENCE_MS, SILENCE_GAPS * usual))
        is_last = np.append(is_first[1:], True)
        self._last_ms[metric_ids[is_last]] = times[is_last]
        self._longest_ms[metric_ids[is_last]] = longest[is_last]
        return is_silence, before[is_silence] + usual[is_silence]

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

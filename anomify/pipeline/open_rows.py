"""Selects the points of a long series at which an anomaly would be open, part by part. Pure."""

from collections.abc import Iterable

import numpy as np

from anomify.anomaly.recording import closing_after_ms
from anomify.detection.detector import Verdicts
from anomify.pipeline.candidates import PointVerdict, point_verdicts_of
from anomify.pipeline.level_watch import LevelWatch
from anomify.series import Int64s


class OpenRows:
    """Finds the rows from each point at which an anomaly opens until it closes.

    It follows the rules of `record`, for a metric without patterns: all of these rows decide when
    an anomaly ends, not only those over the threshold.
    """

    def __init__(self, least_alert: float) -> None:
        """Start with no anomaly; one opens at an alert of at least this."""
        self._least_alert = least_alert
        self._watch: LevelWatch | None = None
        self._last_over_ms = 0
        self._farthest = 0.0

    def find(self, times: Int64s, verdicts: Verdicts, judged: Int64s, step_ms: int) -> Int64s:
        """Return those of the judged rows at which an anomaly is open or closes, in order.

        `times` and `verdicts` are of the next part of the series.
        """
        opening = np.flatnonzero(verdicts.alerts[judged] >= self._least_alert)
        closing_ms = closing_after_ms(step_ms)
        found: list[int] = []
        at = 0
        while at < len(judged):
            if self._watch is None:
                following = np.searchsorted(opening, at)
                if following == len(opening):
                    break
                at = int(opening[following])
            first = at
            for verdict in self._verdicts(times, verdicts, judged[at:]):
                self._take(verdict, step_ms, closing_ms)
                at += 1
                if self._watch is None:
                    break
            found += range(first, at)
        return judged[found]

    def _verdicts(self, times: Int64s, verdicts: Verdicts, rows: Int64s) -> Iterable[PointVerdict]:
        return point_verdicts_of(times, verdicts, rows, least_alert=self._least_alert, unit="")

    def _take(self, verdict: PointVerdict, step_ms: int, closing_ms: int) -> None:
        time_ms = verdict.time_ms
        watch = self._watch
        if watch is not None and watch.has_recovered(time_ms, self._last_over_ms, closing_ms):
            watch = self._watch = None
        if watch is None:
            if verdict.opens:
                self._watch = LevelWatch.at(verdict)
                self._last_over_ms, self._farthest = time_ms, verdict.distance
            return
        is_out = watch.take(verdict, step_ms)
        is_over = verdict.extends or (verdict.is_outside and verdict.distance > self._farthest)
        is_over = is_over and not watch.is_aftermath(verdict)
        if is_over:
            self._farthest = max(self._farthest, verdict.distance)
        if is_over or is_out:
            self._last_over_ms = time_ms
        if is_out and watch.has_settled(time_ms, step_ms):
            self._watch = None

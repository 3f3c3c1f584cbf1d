"""Selects the points of a long series that excursions consist of, part by part. Pure."""

import math
from typing import Final

import numpy as np

from anomify.anomaly.recording import closing_after_ms
from anomify.detection.detector import Verdicts
from anomify.detection.excursion import CALM_POINTS, MOST_POINTS
from anomify.series import Int64s

# An excursion is followed for so many points after the last one at which an anomaly could begin.
MOST_FOLLOWED: Final = MOST_POINTS + CALM_POINTS


class ExcursionRows:
    """Finds the rows from each point at which an anomaly could begin until its excursion is over.

    It returns some more rows than needed, never fewer: an excursion lasts until the points are back
    in all ranges that were left meanwhile, and for the longest time that may end it.
    """

    def __init__(self, least_alert: float, least_ms: int = 0) -> None:
        """Start with no excursion; an anomaly could begin at an alert of at least this.

        Each excursion is followed for `least_ms`, even if its values are back in the range.
        """
        self._least_alert = least_alert
        self._least_ms = least_ms
        self._until_ms = 0
        self._lower, self._upper = -math.inf, math.inf
        self._last_ms: int | None = None
        self._left = 0

    def find(self, times: Int64s, verdicts: Verdicts, judged: Int64s, step_ms: int) -> Int64s:
        """Return those of the judged rows that belong to an excursion, in order.

        `times` and `verdicts` are of the next part of the series.
        """
        opening = verdicts.alerts[judged] >= self._least_alert
        starts = np.flatnonzero(opening)
        closing_ms = 2 * max(closing_after_ms(step_ms), CALM_POINTS * step_ms)
        found = []
        at = 0
        while at < len(judged):
            if self._last_ms is None:
                following = np.searchsorted(starts, at)
                if following == len(starts):
                    break
                at = int(starts[following])
            row = int(judged[at])
            # The row at which an excursion is over is returned too: it closes what is open.
            self._follow(int(times[row]), row, verdicts, closing_ms, opens=bool(opening[at]))
            found.append(row)
            at += 1
        return np.array(found, np.int64)

    def _follow(
        self, time_ms: int, row: int, verdicts: Verdicts, closing_ms: int, *, opens: bool
    ) -> None:
        """Take a row into the excursion, or end that, and begin another one where one begins."""
        is_over = self._last_ms is not None and time_ms - self._last_ms > closing_ms
        is_over = is_over and time_ms > self._until_ms
        if is_over or self._left == 0:
            self._last_ms = None
            self._lower, self._upper = -math.inf, math.inf
        if opens:
            self._lower = max(self._lower, float(verdicts.lowers[row]))
            self._upper = min(self._upper, float(verdicts.uppers[row]))
            self._left = MOST_FOLLOWED
            self._until_ms = time_ms + self._least_ms
        elif self._last_ms is None:
            return
        else:
            self._left -= 1
        value = float(verdicts.values[row])
        is_strong = verdicts.strengths[row] >= self._least_alert
        if opens or is_strong or not self._lower <= value <= self._upper:
            self._last_ms = time_ms

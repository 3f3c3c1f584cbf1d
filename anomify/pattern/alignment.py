"""Finds where an excursion began that is noticed late: at the time of the day of a pattern. Pure.

While the engine learns a recurring event, its expected range widens: the event is not found at its
first point any more but minutes later, or only when it ends. Measured from there it has another
shape, size and direction than the pattern, although it is the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import CONTEXT, Excursion, excess_of
from anomify.detection.pattern_limits import LENGTH_SHARE, LENGTH_STEPS, MINUTES_APART
from anomify.pattern.points import local_time
from anomify.series import Float64s, Int64s

TOLERANCE_MS: Final = round(MINUTES_APART * 60_000)
DAY_MS: Final = 86_400_000

LEAST_CONTEXT: Final = 12
"""The level before an excursion is known from so many points on."""

MOST_ALIGNED: Final = 8
"""So many patterns are tried, the newest first."""

MOST_ONSETS: Final = 5
"""So many points at which the range is left are tried for each, nearest to its time first."""

LATE_STEPS: Final = 3
"""An onset may have been noticed so many points late when the pattern was made."""

# Unusual in itself, whatever the values have done before.
_OF_ITSELF: Final = (Evidence.FLAT, Evidence.NOISIER, Evidence.SILENT)


def longest_ms(pattern: Excursion, after_ms: int) -> int:
    """Return how long after its onset evidence may come that belongs to a like of a pattern."""
    ran_ms = int(pattern.times[-1]) - pattern.started_ms
    return round(ran_ms * (1 + LENGTH_SHARE)) + LENGTH_STEPS * pattern.step_ms + after_ms


def list_earlier_onsets(
    patterns: Sequence[Excursion],
    found: Excursion,
    times: Int64s,
    values: Float64s,
    zone: ZoneInfo,
    after_ms: int,
) -> Iterator[tuple[int, Excursion]]:
    """Yield excursions that may have led to one that was found, and the place of their pattern.

    `found` is what the engine has found at its onset; `times` and `values` are the points up to
    there, and those for as long before as `longest_ms` and `MINUTES_APART` last. Each excursion
    begins where the values leave the range of the pattern, moved to the level before, near to its
    time of the day, and lasts to within `after_ms` of what was found.
    """
    if found.evidence in _OF_ITSELF:
        return
    count = 0
    for place in reversed(range(len(patterns))):
        pattern = patterns[place]
        usual_ms = _usual_onset(pattern, found)
        if found.started_ms - usual_ms > TOLERANCE_MS + longest_ms(pattern, after_ms):
            continue
        if count == MOST_ALIGNED:
            return
        count += 1
        for row in _onsets(pattern, usual_ms, times, values):
            moved = _moved(pattern, times, values, row)
            if moved is None:
                continue
            lower, upper = moved
            current = Excursion.at(
                row,
                found.step_ms,
                times,
                values,
                lower,
                upper,
                found.evidence,
                found.alert,
                *local_time(int(times[row]), zone),
            )
            if found.started_ms - int(current.times[-1]) <= after_ms + current.step_ms:
                yield place, replace(current, is_complete=False)


def _usual_onset(pattern: Excursion, found: Excursion) -> int:
    """Return the last time before what was found, or little later, at which it would begin."""
    since_ms = (found.local_seconds - pattern.local_seconds) * 1000 % DAY_MS
    if since_ms > DAY_MS - TOLERANCE_MS:
        since_ms -= DAY_MS
    return found.started_ms - since_ms


def _onsets(pattern: Excursion, usual_ms: int, times: Int64s, values: Float64s) -> list[int]:
    """Return the rows at which an excursion may begin, the likeliest first."""
    first = int(np.searchsorted(times, usual_ms - TOLERANCE_MS))
    last = int(np.searchsorted(times, usual_ms + TOLERANCE_MS, side="right"))
    moved = _moved(pattern, times, values, first)
    if moved is None or first >= last:
        return []
    is_outside = excess_of(values[first:last], *moved) != 0.0
    crossings = first + np.flatnonzero(is_outside & ~np.append(False, is_outside[:-1]))
    nearest = crossings[np.argsort(np.abs(times[crossings] - usual_ms), kind="stable")]
    rows = [
        int(crossing) + late
        for crossing in nearest[:MOST_ONSETS]
        for late in range(LATE_STEPS)
        if crossing + late < len(times)
    ]
    return list(dict.fromkeys(rows))


def _moved(
    pattern: Excursion, times: Int64s, values: Float64s, row: int
) -> tuple[float, float] | None:
    """Return the range that a pattern left, moved to the level before a row; None if unknown."""
    since_ms = int(times[min(row, len(times) - 1)]) - 2 * CONTEXT * pattern.step_ms
    before = values[max(row - CONTEXT, int(np.searchsorted(times, since_ms)), 0) : row]
    before = before[np.isfinite(before)]
    then = pattern.values[: pattern.context]
    then = then[np.isfinite(then)]
    if min(len(before), len(then)) < LEAST_CONTEXT:
        return None
    by = float(np.median(before)) - float(np.median(then))
    return pattern.lower + by, pattern.upper + by

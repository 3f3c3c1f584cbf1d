"""Fewer points for the same picture: what a column of pixels can show, and where time has holes."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.series import Bools, Float64s, Int64s

# One or two missing points are a hiccup and are bridged; more are a gap and stay one.
GAP_STEPS: Final = 3
# Of how many distances, itself in the middle, the median is what is usual around a distance.
NEIGHBOURS: Final = 5


@dataclass(frozen=True, slots=True)
class Runs:
    """Points that are joined by a line as long as their run is the same, in order of time."""

    rows: Int64s
    runs: Int64s

    def begins(self) -> Bools:
        """Return True for each row with which a run begins."""
        return np.concatenate(([True], self.runs[1:] != self.runs[:-1]))[: len(self.runs)]


def run_numbers(times: Int64s, step: int | None) -> Int64s:
    """Give each point the number of its run; between the points of a run lies no gap.

    A distance is a gap if it is over three usual steps, and also over three times what is usual
    around it: a part that was measured less often is no row of gaps.
    """
    distances = np.diff(times)
    if not len(distances):
        return np.zeros(len(times), np.int64)
    usual = float(step) if step else float(np.median(distances))
    gaps = distances > GAP_STEPS * usual
    if len(distances) >= NEIGHBOURS and gaps.any():
        wide = np.flatnonzero(gaps)
        firsts = np.clip(wide - NEIGHBOURS // 2, 0, len(distances) - NEIGHBOURS)
        around = np.median(distances[firsts[:, None] + np.arange(NEIGHBOURS)], axis=1)
        gaps[wide] = distances[wide] > GAP_STEPS * around
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(gaps)))


def extremes_by_column(columns: Int64s, values: Float64s, runs: Int64s) -> Runs:
    """Keep the least and the greatest point of each column of pixels and run, in order of time.

    No spike is lost: the picture of what is kept covers every value of the picture of all.
    """
    starts = group_starts(columns, runs)
    sizes = np.diff(np.append(starts, len(values)))
    group = np.repeat(np.arange(len(starts)), sizes)
    kept = np.zeros(len(values), np.bool_)
    for reduce in (np.minimum, np.maximum):
        at_extreme = np.flatnonzero(values == reduce.reduceat(values, starts)[group])[::-1]
        first = np.empty(len(starts), np.int64)
        first[group[at_extreme]] = at_extreme
        kept[first] = True
    rows = np.flatnonzero(kept)
    return Runs(rows, runs[rows])


def group_starts(columns: Int64s, runs: Int64s) -> Int64s:
    """Return where a new column of pixels or a new run begins; there must be a point at least."""
    changes = (columns[1:] != columns[:-1]) | (runs[1:] != runs[:-1])
    return np.concatenate(([0], np.flatnonzero(changes) + 1))

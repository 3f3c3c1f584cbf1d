"""Selects the points that a picture can show, and finds the gaps between points.

Keeping the least and the greatest value of each column of pixels gives the same line as all points;
source: U. Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.series import Bools, Float64s, Int64s

# The line is drawn across one or two missing points; more missing points are a gap.
GAP_STEPS: Final = 3
# A distance is compared with the median of so many distances, itself in the middle.
NEIGHBOURS: Final = 5


@dataclass(frozen=True, slots=True)
class Runs:
    """Positions of n points in order of time, int64 (n,), and the number of the run of each.

    Points of one run are joined by a line.
    """

    rows: Int64s
    runs: Int64s

    def begins(self) -> Bools:
        """Return True for each point that is the first of its run, bool (n,)."""
        return np.concatenate(([True], self.runs[1:] != self.runs[:-1]))[: len(self.runs)]


def run_numbers(times: Int64s, step: int | None) -> Int64s:
    """Return the number of the run of each point, int64 (n,); a gap separates two runs.

    `times` int64 (n,), unix milliseconds, ascending; `step` is the usual distance in milliseconds,
    None for the median distance. A distance is a gap if it is longer than three steps and also
    longer than three times the median of the distances around it, so that a part with a longer
    step is no series of gaps.

    >>> run_numbers(np.array([0, 60_000, 120_000, 600_000]), 60_000)
    array([0, 0, 0, 1])
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
    """Return the points with the least and the greatest value of each column of pixels and run.

    `columns` int64 (n,), ascending; `values` float64 (n,), finite; `runs` int64 (n,); n >= 1.

    >>> column = np.zeros(4, np.int64)
    >>> extremes_by_column(column, np.array([1.0, 5.0, 2.0, 0.0]), column).rows
    array([1, 3])
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
    """Return the positions at which a column of pixels or a run begins; n must be at least 1."""
    changes = (columns[1:] != columns[:-1]) | (runs[1:] != runs[:-1])
    return np.concatenate(([0], np.flatnonzero(changes) + 1))

"""The order of metrics that moved together: the probable first mover comes first. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.series import Float64s, Int64s

# A metric that was not unusual for so long has come back: what follows is another move.
RUN_GAP_MS: Final = 900_000

# Effects follow their cause within minutes: one that follows so much later counts by 1/e.
FOLLOWS_WITHIN_MS: Final = 420_000.0
# Metrics that begin to move so close together are in no order: their points come at other moments.
TOGETHER_MS: Final = 60_000.0
# Beyond these a higher strength says nothing about which metric was first, nor about those near it.
MOST_STRENGTH: Final = 14.0
MOST_NEAR_STRENGTH: Final = 7.0
# A metric that is unusual in this share of all intervals counts by half.
USUAL_SHARE: Final = 0.02
# How much the strength, the followers and those that moved before count: the best ones of a grid,
# on generated incidents (`benchmarks/moved.py` measures others).
STRENGTH_POWER: Final = 0.25
FOLLOWERS_POWER: Final = 2.0
BEFORE_POWER: Final = 0.25


@dataclass(frozen=True, slots=True)
class Moves:
    """The moves of metrics, a row each: stretches in which a metric was unusual again and again.

    `peaks` are the places, in the rows that they were made of, of the most unusual interval.
    """

    metric_ids: Int64s
    started_ms: Int64s
    strengths: Float64s
    peaks: Int64s

    def of(self, rows: Int64s) -> "Moves":
        """Return some of the rows."""
        return Moves(
            self.metric_ids[rows], self.started_ms[rows], self.strengths[rows], self.peaks[rows]
        )


def moves_of(metric_ids: Int64s, first_ms: Int64s, last_ms: Int64s, strengths: Float64s) -> Moves:
    """Return the moves that rows of the index make up; they are in order of metric and time.

    >>> minute = 60_000
    >>> first = np.array([0, 5, 60]) * minute
    >>> moves = moves_of(np.ones(3, int), first, first + minute, np.array([6.0, 9.0, 7.0]))
    >>> (moves.started_ms // minute).tolist(), moves.peaks.tolist()
    ([0, 60], [1, 2])
    """
    gaps = first_ms[1:] - last_ms[:-1]
    begins = np.append(True, (np.diff(metric_ids) != 0) | (gaps > RUN_GAP_MS))[: len(metric_ids)]
    starts = np.flatnonzero(begins)
    if not len(starts):
        none = np.empty(0, np.int64)
        return Moves(none, none, np.empty(0), none)
    of_run = np.cumsum(begins) - 1
    # The strongest row of each run comes first, the earliest of equal ones.
    order = np.lexsort((first_ms, -strengths, of_run))
    peaks = order[np.append(0, np.flatnonzero(np.diff(of_run[order])) + 1)]
    return Moves(metric_ids[starts], first_ms[starts], strengths[peaks], peaks)


def first_of_each(metric_ids: Int64s, order: Int64s) -> Int64s:
    """Return the places in this order, of each metric only the first one.

    >>> first_of_each(np.array([7, 8, 7]), np.array([2, 1, 0])).tolist()
    [2, 1]
    """
    _, first = np.unique(metric_ids[order], return_index=True)
    places: Int64s = order[np.sort(first)]
    return places


def order_of_moves(started_ms: Int64s, strengths: Float64s, usual_shares: Float64s) -> Int64s:
    """Return the places of n metrics in the order in which to show them, int64 (n,).

    `started_ms` int64 (n,) is when each one moved first, `strengths` float64 (n,) how unusual it
    was, and `usual_shares` float64 (n,) in which share of all time it is as unusual. What counts is
    the strength, limited, and less for a metric that is often unusual; and how many others began to
    move within minutes after it, compared with those that began before it.

    >>> minute = 60_000
    >>> order_of_moves(
    ...     np.array([0, 30, 33, 34]) * minute, np.array([9.0, 7.0, 9.0, 9.0]), np.zeros(4)
    ... ).tolist()
    [1, 0, 3, 2]
    """
    weights = np.minimum(strengths, MOST_STRENGTH) / (1.0 + usual_shares / USUAL_SHARE)
    later = (started_ms[None, :] - started_ms[:, None]).astype(np.float64)
    of_others = np.minimum(weights, MOST_NEAR_STRENGTH)
    near = np.exp(-np.abs(later) / FOLLOWS_WITHIN_MS) * (of_others / np.median(of_others))
    followers = np.where(later > TOGETHER_MS, near, 0.0).sum(axis=1)
    before = np.where(later < -TOGETHER_MS, near, 0.0).sum(axis=1)
    values = (
        weights**STRENGTH_POWER
        * (1.0 + followers) ** FOLLOWERS_POWER
        / (1.0 + before) ** BEFORE_POWER
    )
    order: Int64s = np.lexsort((started_ms, -values))
    return order

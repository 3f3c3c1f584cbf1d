"""The order of metrics that moved together: the probable first mover comes first. Pure."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomify.series import Bools, Float64s, Int64s

# A metric that was not unusual for so long has come back: what follows is another move.
RUN_GAP_MS: Final = 900_000

LEAST_STRENGTH: Final = 5.25
"""A point is in the index from this strength on, somewhat below the lowest threshold: clean metrics
reach it in one of a thousand intervals, a tenth lower in one of fifty."""

# The natural logarithm of the odds that a move is no chance: a sum of how seldom the metric is
# unusual, by how much it exceeds what it usually reaches then, of how many intervals it is made,
# and of what its points prove. Fitted by logistic regression to generated incidents.
ODDS: Final = -9.7
RARITY_WEIGHT: Final = 1.4
EXCESS_WEIGHT: Final = 0.55
MOST_EXCESS: Final = 12.0
LENGTH_WEIGHT: Final = 1.0
MOST_LENGTH: Final = 6
PROOF_WEIGHT: Final = 0.12
MOST_PROOF: Final = 30.0
NO_PROOF: Final = 8.0
# In a longer window more moves are chance.
WINDOW_WEIGHT: Final = 0.6
SILENCE_ODDS: Final = 3.0
# Beyond these odds one move is as good as another: unrelated ones are real, too.
ENOUGH_ODDS: Final = 3.0
# Metrics of which little is known count as those of `benchmarks/moved.py`: unusual so often a week,
# and then by so much over the least strength.
USUAL_COUNT: Final = 0.8
USUAL_EXCESS: Final = 1.0
EXCESS_COUNT: Final = 3.0

# A burst: so many metrics follow, with delays that have these means. Its cause moves up to ten
# minutes before, which is likelier than no relation by this factor.
FOLLOWERS: Final = (4.0, 12.0, 40.0, 120.0)
DELAYS_MINUTES: Final = (1.0, 4.0)
LEAD_MINUTES: Final = 10.0
LEAD_FACTOR: Final = 15.0
# The begins of moves are known that exactly.
JITTER_MINUTES: Final = 0.5
# One follower proves no more than this about a burst.
MOST_OF_ONE: Final = 6.0
# So much of the moves are taken to be spread over the window.
SPREAD_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Moves:
    """The moves of metrics, a row each: stretches in which a metric was unusual again and again.

    `lengths` int64 says in how many intervals, `peaks` int64 are the places, in the rows that they
    were made of, of the most unusual one. `proofs` float64 is what the points around the begin
    prove, NaN where they were not read.
    """

    metric_ids: Int64s
    started_ms: Int64s
    strengths: Float64s
    peaks: Int64s
    lengths: Int64s
    is_silence: Bools
    proofs: Float64s

    def of(self, rows: Int64s) -> "Moves":
        """Return some of the rows."""
        return Moves(*(getattr(self, each.name)[rows] for each in fields(self)))

    def found_at(self, started_ms: Int64s, proofs: Float64s) -> "Moves":
        """Return the same moves with other begins and proofs."""
        return replace(self, started_ms=started_ms, proofs=proofs)


def moves_of(
    metric_ids: Int64s, first_ms: Int64s, last_ms: Int64s, strengths: Float64s, is_silence: Bools
) -> Moves:
    """Return the moves that rows of the index make up; they are in order of metric and time.

    >>> minute = 60_000
    >>> first = np.array([0, 5, 60]) * minute
    >>> moves = moves_of(
    ...     np.ones(3, int), first, first + minute, np.array([6.0, 9.0, 7.0]), np.zeros(3, bool)
    ... )
    >>> (moves.started_ms // minute).tolist(), moves.peaks.tolist(), moves.lengths.tolist()
    ([0, 60], [1, 2], [2, 1])
    """
    gaps = first_ms[1:] - last_ms[:-1]
    begins = np.append(True, (np.diff(metric_ids) != 0) | (gaps > RUN_GAP_MS))[: len(metric_ids)]
    # The end of a silence is no part of it, and what was before is another move.
    begins[1:] |= is_silence[1:] | is_silence[:-1]
    starts = np.flatnonzero(begins)
    of_run = np.cumsum(begins) - 1
    # The strongest row of each run comes first, the earliest of equal ones.
    order = np.lexsort((first_ms, -strengths, of_run))
    peaks = order[np.flatnonzero(np.append(True, np.diff(of_run[order]) != 0)[: len(order)])]
    return Moves(
        metric_ids[starts],
        first_ms[starts],
        strengths[peaks],
        peaks,
        np.diff(np.append(starts, len(metric_ids))),
        is_silence[starts],
        np.full(len(starts), np.nan),
    )


def first_of_each(metric_ids: Int64s, order: Int64s) -> Int64s:
    """Return the places in this order, of each metric only the first one.

    >>> first_of_each(np.array([7, 8, 7]), np.array([2, 1, 0])).tolist()
    [2, 1]
    """
    _, first = np.unique(metric_ids[order], return_index=True)
    places: Int64s = order[np.sort(first)]
    return places


def odds_of(
    moves: Moves, counts: Float64s, excesses: Float64s, intervals: float, window: float
) -> Float64s:
    """Return the logarithm of the odds that each move is no chance, float64 (n,).

    `counts` float64 (n,) says in how many intervals each metric was unusual before, of `intervals`,
    and `excesses` float64 (n,) by how much it exceeded the least strength then, summed up. `window`
    is the length of the window, in intervals.
    """
    rarity = np.log((counts + USUAL_COUNT) / (intervals + EXCESS_COUNT))
    seldom = np.log(USUAL_COUNT / (intervals + EXCESS_COUNT))
    scale = (excesses + USUAL_EXCESS * EXCESS_COUNT) / (counts + EXCESS_COUNT)
    proofs = np.where(np.isnan(moves.proofs), NO_PROOF, np.minimum(moves.proofs, MOST_PROOF))
    found: Float64s = np.where(
        moves.is_silence,
        SILENCE_ODDS - RARITY_WEIGHT * (rarity - seldom),
        ODDS
        - RARITY_WEIGHT * rarity
        + EXCESS_WEIGHT * np.minimum((moves.strengths - LEAST_STRENGTH) / scale, MOST_EXCESS)
        + LENGTH_WEIGHT * np.minimum(moves.lengths - 1, MOST_LENGTH)
        + PROOF_WEIGHT * (proofs - NO_PROOF)
        - WINDOW_WEIGHT * np.log(max(window, 1.0)),
    )
    return found


def order_of_moves(started_ms: Int64s, odds: Float64s, minutes: float) -> Int64s:
    """Return the places of n moves in the order in which to show them, int64 (n,).

    `started_ms` int64 (n,) is when each one began, `odds` float64 (n,) are those of `odds_of`, and
    `minutes` is the length of the window. The moves that began close together are compared with
    what a burst of effects looks like that begins at each of them. A move is the probable cause if
    it is no chance itself and a likely burst begins with it or within minutes after it.

    >>> minute = 60_000
    >>> started = np.array([0, 40, 43, 43, 44, 44, 45]) * minute
    >>> order_of_moves(started, np.array([2.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0]), 60.0)[0]
    np.int64(1)
    """
    real = 1.0 / (1.0 + np.exp(-odds))
    own = -np.log(np.exp(-odds) + np.exp(-ENOUGH_ODDS))
    per_minute = (real.sum() * SPREAD_SHARE + 1.0) / max(minutes, 1.0)
    begins = started_ms / 60_000.0
    later = begins[None, :] - begins[:, None]
    follows = later >= -JITTER_MINUTES
    is_near = np.abs(later) <= JITTER_MINUTES
    bursts, of_itself = [], []
    for delay in DELAYS_MINUTES:
        density = np.exp(-np.maximum(later, 0.0) / delay) / (delay + JITTER_MINUTES) * follows
        for followers in FOLLOWERS:
            ratio = np.log1p(followers / per_minute * density)
            gains = real[None, :] * np.minimum(ratio, MOST_OF_ONE)
            bursts.append(gains.sum(axis=1) - followers)
            of_itself.append(np.diag(gains))
    # Begins close to each other are one burst, so that each of them counts by its share.
    crowd = np.log((np.abs(later) <= 1.0).sum(axis=0))
    burst = _log_of_sum(np.array(bursts), 0) - crowd
    # A cause that is the first one of its burst is no follower of itself.
    relation = np.where(
        is_near, -np.median(of_itself, axis=0)[None, :], np.log(LEAD_FACTOR / LEAD_MINUTES)
    )
    causes = follows & (later <= LEAD_MINUTES)
    values = own + _log_of_sum(np.where(causes, burst[None, :] + relation, -np.inf), 1)
    order: Int64s = np.lexsort((started_ms, -values))
    return order


def _log_of_sum(logarithms: NDArray[Any], axis: int) -> Float64s:
    """Return the logarithm of the sum of numbers that are given as logarithms."""
    largest = logarithms.max(axis=axis, keepdims=True)
    total: Float64s = np.log(np.exp(logarithms - largest).sum(axis=axis)) + largest.squeeze(axis)
    return total

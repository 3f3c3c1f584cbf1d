"""Learns the gaps between a metric's points, and after how long without one it is stale."""

import math
from typing import Any, Final

import numpy as np

from anomify.detection.jit import Slot, compiled, compiled_entry
from anomify.detection.state import GAP_BINS, EngineState
from anomify.series import Int64s

STEPS: Final = 5
LEAST_MS: Final = 300_000
"""A metric with a short step is not stale before this, so that a sender has time to restart."""

UNKNOWN_MS: Final = 900_000
"""The limit while the step of a metric is not known."""

_RARE_SHARE: Final = 0.001
# The histogram of gaps has bins from one second on, each 1.4 times as long as the one before; the
# last one begins at about a hundred days.
_FIRST_MS: Final = 1000.0
_RATIO: Final = 1.4
_LOG_RATIO: Final = math.log(_RATIO)
_MOST_GAPS: Final = 20_000.0  # at so many, all counts are halved, so that old gaps are forgotten
_EDGES_MS: Final = np.array([_FIRST_MS * _RATIO**bin_ for bin_ in range(GAP_BINS)])


@compiled
def learn_gap(slot: Slot, gap: int) -> None:
    """Add the time between two points, in milliseconds, to the slot's histogram of gaps."""
    bin_ = 0
    if gap > _FIRST_MS:
        bin_ = min(int(math.log(gap / _FIRST_MS) / _LOG_RATIO) + 1, GAP_BINS - 1)
    slot.gaps[bin_] += 1.0
    slot.gap_total += 1.0
    if slot.gap_total >= _MOST_GAPS:
        slot.gap_total *= 0.5
        for index in range(GAP_BINS):
            slot.gaps[index] *= 0.5


def stale_after_ms(state: EngineState, slots: Int64s) -> Int64s:
    """Return after how many milliseconds without a point each slot is stale, int64 (n,).

    `slots` int64 (n,) are positions in `state`. The limit is the largest of three: five steps; the
    0.999 quantile of the gaps seen so far (the longest gap while there are fewer than a thousand);
    and five minutes. A slot whose step is not known yet gets 15 minutes.

    >>> state = EngineState.new(1)
    >>> stale_after_ms(state, np.array([0]))
    array([900000])
    """
    found = np.empty(len(slots), np.int64)
    _stale_after(state.slots, np.ascontiguousarray(slots, np.int64), found)
    return found


@compiled_entry
def _stale_after(state: Any, slots: Any, found: Any) -> None:
    for row in range(len(slots)):
        slot = state[slots[row]]
        if slot.resolution == 0:
            found[row] = UNKNOWN_MS
            continue
        rare = _RARE_SHARE * slot.gap_total
        longer = 0.0
        usual = GAP_BINS - 1
        while usual > 0 and longer + slot.gaps[usual] <= rare:
            longer += slot.gaps[usual]
            usual -= 1
        longest = int(_EDGES_MS[usual]) if slot.gap_total > 0.0 else 0
        found[row] = max(STEPS * slot.resolution, longest, LEAST_MS)

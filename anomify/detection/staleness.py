"""How long a metric is usually silent, and after how long its silence means something."""

import math
from typing import Any, Final

import numpy as np

from anomify.detection.jit import Slot, compiled, compiled_entry
from anomify.detection.state import GAP_BINS, EngineState
from anomify.series import Int64s

STEPS: Final = 5
LEAST_MS: Final = 300_000
"""Whatever reports often may restart in peace."""

UNKNOWN_MS: Final = 900_000
"""Before the step of a metric is known."""

_RARE_SHARE: Final = 0.001
# Bins of gaps from one second on, each 1.4 times as long as the one before: the last ends after
# about a hundred days.
_FIRST_MS: Final = 1000.0
_RATIO: Final = 1.4
_LOG_RATIO: Final = math.log(_RATIO)
_MOST_GAPS: Final = 20_000.0  # beyond, all that was counted is halved: a memory of so many points
_EDGES_MS: Final = np.array([_FIRST_MS * _RATIO**bin_ for bin_ in range(GAP_BINS)])


@compiled
def learn_gap(slot: Slot, gap: int) -> None:
    """Count the time between two points, in ms."""
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
    """Return after how much silence each slot is stale.

    That is five of its steps, or the gap that only one in a thousand of its gaps is longer than
    (the longest one, while there are fewer), and never less than five minutes.
    """
    found = np.empty(len(slots), np.int64)
    _look_at(state.slots, np.ascontiguousarray(slots, np.int64), found)
    return found


@compiled_entry
def _look_at(state: Any, slots: Any, found: Any) -> None:
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

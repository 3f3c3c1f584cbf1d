"""Has normal moved: shifts of level and noise, values never seen, standing still, a new normal."""

import math
from typing import Final

from anomify.detection.baseline import clip
from anomify.detection.jit import Slot, compiled

SHORT: Final = 8.0  # points
LONG: Final = 48.0
LEAST_POWER: Final = 1e-12
_POWER_MEMORY: Final = 10000.0
_RANGE_DAYS: Final = 20.0
_MOVES_NEEDED: Final = 200.0  # what has hardly ever moved may stand still
_FLAT_LIMIT: Final = 24.0
_STILLNESS_MEMORY: Final = 1000.0
_MOST: Final = 8.0  # scales that one point may add
_PRESSURE_MEMORY: Final = 100.0
_PRESSURE_SCALES: Final = 4.0
_PRESSURE_LIMIT: Final = 0.75


@compiled
def learn_shift(slot: Slot, fast: float, slow: float) -> None:
    """Learn from signed residuals in robust scales; the shifts contain the newest point."""
    slot.shift_short += (clip(slow, _MOST) - slot.shift_short) / SHORT
    slot.shift_long += (clip(slow, _MOST) - slot.shift_long) / LONG
    slot.noise_short += (min(abs(fast), _MOST) - slot.noise_short) / SHORT
    sign = clip(slow / _PRESSURE_SCALES, 1.0)
    slot.pressure += (sign - slot.pressure) / _PRESSURE_MEMORY


@compiled
def learn_shift_powers(slot: Slot) -> None:
    """Learn what shifts are usual here, after they were looked at."""
    memory = min(slot.learned + 5.0, _POWER_MEMORY)
    slot.shift_short_power = _learn_power(slot.shift_short_power, slot.shift_short, memory)
    slot.shift_long_power = _learn_power(slot.shift_long_power, slot.shift_long, memory)
    slot.noise_short_power = _learn_power(slot.noise_short_power, slot.noise_short, memory)


@compiled
def _learn_power(power: float, size: float, memory: float) -> float:
    """Return the mean square with one more size; years of standing still do not make it zero."""
    return max(power + (size**2 - power) / memory, LEAST_POWER)


@compiled
def is_settling(slot: Slot) -> bool:
    """Return whether the metric settles at a new level, which the baseline should adopt quickly.

    A level that has been left to one side for more than about a hundred points is not coming back;
    an incident rarely lasts so long, and clipped learning alone would never arrive.
    """
    return bool(abs(slot.pressure) > _PRESSURE_LIMIT)


@compiled
def novelty(slot: Slot, value: float, floor: float) -> float:
    """Return how far the value lies beyond all recent ones, in ranges."""
    reach = slot.range_high - slot.range_low + floor
    beyond: float = max(value - slot.range_high, slot.range_low - value, 0.0)
    ranges: float = beyond / reach
    return ranges


@compiled
def learn_range(slot: Slot, value: float, points_a_day: float) -> None:
    """Widen the range of values seen; it forgets within weeks."""
    high = max(slot.range_high, value)
    low = min(slot.range_low, value)
    forget = 0.5 / (_RANGE_DAYS * points_a_day)
    slot.range_high = high - forget * (high - slot.value_mean)
    slot.range_low = low + forget * (slot.value_mean - low)


@compiled
def learn_flat(slot: Slot, value: float) -> None:
    """Count how long the value has stood still, and the longest time it did so before."""
    still = 1.0 if value == slot.previous else 0.0
    slot.stillness += (still - slot.stillness) / min(slot.learned, _STILLNESS_MEMORY)
    if value == slot.previous:
        slot.flat_run += 1.0
        if slot.flat_run > _FLAT_LIMIT * (slot.longest_flat_run + 2.0):
            slot.longest_flat_run = slot.flat_run  # it has been said; standing still is normal now
    else:
        slot.moves += 1.0
        slot.longest_flat_run = max(slot.longest_flat_run, slot.flat_run)
        slot.flat_run = 0.0


@compiled
def flatness(slot: Slot) -> float:
    """Return how much longer than ever before the value has stood still, as a logarithm."""
    if slot.moves < _MOVES_NEEDED:
        return 0.0
    excess = max(slot.flat_run - slot.longest_flat_run, 0.0)
    return math.log1p(excess / (slot.longest_flat_run + 2.0))

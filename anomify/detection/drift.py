"""Measures slow changes: shifts of level and noise, values outside the usual range, repeats.

Shifts are exponential moving averages of the residuals in robust scales, as in the control chart of
S. W. Roberts, "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1 (1959); the
cumulative form is that of E. S. Page, "Continuous Inspection Schemes", Biometrika 41 (1954).
`pressure` is the tracking signal of D. W. Trigg, "Monitoring a Forecasting System", Operational
Research Quarterly 15 (1964), with the residual clipped instead of divided by its mean size.
"""

import math
from typing import Final

from anomify.detection.baseline import clip
from anomify.detection.jit import Slot, compiled

SHORT: Final = 8.0  # points
LONG: Final = 48.0
LEAST_POWER: Final = 1e-12
_POWER_MEMORY: Final = 10000.0
_RANGE_DAYS: Final = 20.0
_MOVES_NEEDED: Final = 200.0  # with fewer changes of value, repeated values are no evidence
_FLAT_LIMIT: Final = 24.0
_REPEAT_MEMORY: Final = 1000.0
# Repeated values are compared with the longest run before: this many times as long is as rare where
# runs end by chance, and so many where they are of any length.
_FLAT_BY_CHANCE: Final = 3.0
_FLAT_OF_ANY_LENGTH: Final = 12.0
_FLAT_LEAST_POINTS: Final = 6.0
_LEAST_REPEAT_SHARE: Final = 0.01
_MOST: Final = 8.0  # scales at which a residual is clipped
_PRESSURE_MEMORY: Final = 100.0
_PRESSURE_SCALES: Final = 4.0
_PRESSURE_LIMIT: Final = 0.75


@compiled
def learn_shift(slot: Slot, fast: float, slow: float) -> None:
    """Update the moving averages of the residuals with the newest point.

    `fast` and `slow` are the signed residuals of the fast and slow expert, in robust scales.
    """
    slot.shift_short += (clip(slow, _MOST) - slot.shift_short) / SHORT
    slot.shift_long += (clip(slow, _MOST) - slot.shift_long) / LONG
    slot.noise_short += (min(abs(fast), _MOST) - slot.noise_short) / SHORT
    sign = clip(slow / _PRESSURE_SCALES, 1.0)
    slot.pressure += (sign - slot.pressure) / _PRESSURE_MEMORY


@compiled
def learn_shift_powers(slot: Slot) -> None:
    """Update the mean squares of the moving averages; call after the features are computed."""
    memory = min(slot.learned + 5.0, _POWER_MEMORY)
    slot.shift_short_power = _learn_power(slot.shift_short_power, slot.shift_short, memory)
    slot.shift_long_power = _learn_power(slot.shift_long_power, slot.shift_long, memory)
    slot.noise_short_power = _learn_power(slot.noise_short_power, slot.noise_short, memory)


@compiled
def _learn_power(power: float, size: float, memory: float) -> float:
    """Return the mean square updated with one more size, never below `LEAST_POWER`."""
    return max(power + (size**2 - power) / memory, LEAST_POWER)


@compiled
def is_settling(slot: Slot) -> bool:
    """Return whether the metric settles at a new level, which the baseline should adopt quickly.

    That is so when the slow residuals have been large and of one sign for more than about a hundred
    points. Few incidents last so long, and a baseline that only learns clipped residuals would take
    very long to reach the new level.
    """
    return bool(abs(slot.pressure) > _PRESSURE_LIMIT)


@compiled
def novelty(slot: Slot, value: float, floor: float) -> float:
    """Return the distance of the value outside the range of recent values, in widths of the range.

    `value` and `floor` are in the unit of the metric, relative to the slot's anchor.
    """
    reach = slot.range_high - slot.range_low + floor
    beyond: float = max(value - slot.range_high, slot.range_low - value, 0.0)
    ranges: float = beyond / reach
    return ranges


@compiled
def learn_range(slot: Slot, value: float, points_a_day: float) -> None:
    """Widen the range of values to include this one; it shrinks to the mean within weeks."""
    high = max(slot.range_high, value)
    low = min(slot.range_low, value)
    forget = 0.5 / (_RANGE_DAYS * points_a_day)
    slot.range_high = high - forget * (high - slot.value_mean)
    slot.range_low = low + forget * (slot.value_mean - low)


@compiled
def learn_flat(slot: Slot, value: float) -> None:
    """Update the length of the current run of equal values, and the longest run before it."""
    repeats = 1.0 if value == slot.previous else 0.0
    slot.repeat_share += (repeats - slot.repeat_share) / min(slot.learned, _REPEAT_MEMORY)
    if value == slot.previous:
        slot.flat_run += 1.0
        if slot.flat_run > _FLAT_LIMIT * (slot.longest_flat_run + 2.0):
            # The alert for this run has been raised by now; such a run becomes usual.
            slot.longest_flat_run = slot.flat_run
    else:
        slot.share_before_run = slot.repeat_share
        slot.moves += 1.0
        slot.longest_flat_run = max(slot.longest_flat_run, slot.flat_run)
        slot.flat_run = 0.0


@compiled
def flatness(slot: Slot) -> float:
    """Return log(1 + x), x the excess of the run of equal values over the longest one before.

    The excess is in twelfths of the runs that would be as rare as a run of twelve times the longest
    one is for a metric with runs of any length. Where the longest run is as long as chance alone
    makes one, three times that is as rare.
    """
    excess = slot.flat_run - slot.longest_flat_run
    if slot.moves < _MOVES_NEEDED or excess <= 0.0:
        return 0.0
    share = min(max(slot.share_before_run, _LEAST_REPEAT_SHARE), 1.0 - _LEAST_REPEAT_SHARE)
    by_chance = math.log(slot.moves + 2.0) / -math.log(share)
    times = _FLAT_BY_CHANCE * max(slot.longest_flat_run / by_chance, 1.0)
    weight = _FLAT_OF_ANY_LENGTH / min(times, _FLAT_OF_ANY_LENGTH)
    return math.log1p(
        weight * excess / max(slot.longest_flat_run + 2.0, _FLAT_LEAST_POINTS / weight)
    )

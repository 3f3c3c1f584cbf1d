"""Detects the resolution of a metric, and whether it is a counter."""

import math
from typing import Final

import numpy as np

from anomify.detection.counter import RESTART_SHARE, WRAP, WRAP_INCREASES
from anomify.detection.jit import Slot, compiled
from anomify.detection.staleness import learn_gap
from anomify.detection.state import (
    DELTAS,
    LEARNING_MS,
    LEARNING_POINTS,
    LEAST_LEARNING_POINTS,
)
from anomify.detection.tuning import AS_COUNTER, AS_GAUGE

# A counter has at least so many rises, and each of its falls lands near zero and is rare.
_RISES_NEEDED: Final = 10
_MOVING_POINTS: Final = 90  # from its first rise on; constant values decide nothing
_RISES_A_RESET: Final = 10  # the least ratio of rises to falls
_NEAR_ZERO: Final = 0.03  # of the highest value so far

_STEPS_MS: Final = np.array(
    [1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800, 3600,
     7200, 10800, 14400, 21600, 28800, 43200, 86400, 604800],
    np.int64,
) * 1000  # fmt: skip
_STEP_TOLERANCE: Final = 0.02
_OFF_STEP: Final = 0.25  # a gap that differs by a larger share contradicts the resolution


@compiled
def rate(earlier_time: int, earlier_value: float, time: int, value: float, usual: float) -> float:
    """Return the rate of a counter between two points, per second; times are in milliseconds.

    `usual` is the rate before. A fall of a 32-bit counter is the end of its range (see
    `counter.WRAP`) if the rate is then at most some times the usual one. Any other fall to less
    than a share of the value before (see `counter.RESTART_SHARE`) is a restart: its rate is NaN,
    because the new reading has been counted for a part of the interval only.

    >>> rate(0, 50.0, 10_000, 70.0, 2.0), rate(0, 4294967290.0, 1000, 4.0, 8.0)
    (2.0, 10.0)
    >>> math.isnan(rate(0, 70.0, 10_000, 5.0, 2.0))
    True
    """
    seconds = (time - earlier_time) / 1000.0
    increase = value - earlier_value
    if 0.0 <= value < RESTART_SHARE * earlier_value:
        increase += WRAP
        if increase <= 0.0 or increase > WRAP_INCREASES * usual * seconds:
            return math.nan
    return increase / seconds


@compiled
def accept(slot: Slot, time: int, value: float) -> None:
    """Store a point as the newest of its slot, and update the resolution and the gaps with it."""
    if slot.points > 0:
        slot.constant_run = slot.constant_run + 1 if value == slot.last_value else 0
        learn_gap(slot, time - slot.last_time)
    place = slot.points % LEARNING_POINTS
    slot.recent_times[place] = time
    slot.recent_values[place] = value
    slot.points += 1
    _learn_resolution(slot, time)
    slot.last_time = time
    slot.newest_time = time
    slot.last_value = value


@compiled
def has_learnt(slot: Slot) -> bool:
    """Return whether a slot that learns has enough points: four weeks of them, within 28 to 100."""
    in_four_weeks = LEARNING_MS // max(slot.resolution, 1)
    return bool(slot.points >= min(max(in_four_weeks, LEAST_LEARNING_POINTS), LEARNING_POINTS))


@compiled
def _learn_resolution(slot: Slot, time: int) -> None:
    """Set the resolution to the median gap; after learning, only when the gaps contradict it."""
    if slot.set_step > 0:
        slot.resolution = slot.set_step
        return
    if slot.points < 2:  # noqa: PLR2004  (a gap takes two points)
        return
    if slot.points <= DELTAS or (slot.trained_points == 0 and has_learnt(slot)):
        slot.resolution = _snap(_median_delta(slot, slot.points - 1))
    elif slot.trained_points > 0:
        delta = time - slot.last_time
        if abs(delta - slot.resolution) > _OFF_STEP * slot.resolution:
            slot.off_step += 1
        elif slot.off_step > 0:
            slot.off_step -= 1
        if slot.off_step >= DELTAS:
            slot.off_step = 0
            slot.resolution = _snap(_median_delta(slot, DELTAS))


@compiled
def _median_delta(slot: Slot, count: int) -> int:
    """Return the lower median of the newest `count` gaps between points, in milliseconds."""
    deltas = np.empty(count, np.int64)
    for back in range(count):
        newer = slot.recent_times[(slot.points - 1 - back) % LEARNING_POINTS]
        older = slot.recent_times[(slot.points - 2 - back) % LEARNING_POINTS]
        deltas[back] = newer - older
    deltas.sort()
    median: int = deltas[(count - 1) // 2]
    return median


@compiled
def _snap(delta: int) -> int:
    """Return the usual step within 2 % of `delta`, else `delta` in whole seconds, at least one."""
    for step in _STEPS_MS:
        if abs(delta - step) <= _STEP_TOLERANCE * step:
            return int(step)
    return max(1000, math.floor(delta / 1000.0 + 0.5) * 1000)


@compiled
def learn_kind(slot: Slot, value: float) -> bool:
    """Update with the next value whether this is a counter; return True where that has changed."""
    if slot.set_kind != 0:
        was_counter = slot.is_counter
        slot.is_counter = 1 if slot.set_kind == AS_COUNTER else 0
        slot.is_gauge = 1 if slot.set_kind == AS_GAUGE else 0
        return bool(slot.is_counter != was_counter)
    if slot.is_gauge == 1 or slot.is_counter == 1:
        return False
    if value < 0.0:
        slot.is_gauge = 1
        return False
    if slot.points > 0:
        if value > slot.last_value:
            slot.rises += 1
        elif value < slot.last_value:
            slot.resets += 1
            if value > _NEAR_ZERO * slot.highest:
                slot.is_gauge = 1
                return False
    slot.highest = max(slot.highest, value)
    slot.moving_for += 1 if slot.rises > 0 else 0
    if slot.moving_for < _MOVING_POINTS or slot.points + 1 < LEARNING_POINTS:
        return False
    if slot.resets > 1 + slot.rises // _RISES_A_RESET:
        slot.is_gauge = 1
    elif slot.rises >= _RISES_NEEDED and slot.resets * _RISES_A_RESET <= slot.rises:
        slot.is_counter = 1
    return bool(slot.is_counter == 1)

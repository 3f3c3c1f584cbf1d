"""Finds metrics that move away from last week's values day by day.

A leak of some percent a day stays inside a range that follows the metric. Here the mean of each day
is compared with that of the same weekday a week before, and the difference with the usual one.
"""

import math
from typing import Final

from anomify.detection.band import DAY_SECONDS
from anomify.detection.jit import Slot, compiled

_DAYS_A_WEEK: Final = 7
_LEAST_DAY: Final = 0.5  # the share of a day that must have points
_LONGEST_STEP: Final = 7200.0  # seconds
_DIFFERENCES_NEEDED: Final = 7.0
_DIFFERENCES_KEPT: Final = 28.0
_RISES_NEEDED: Final = 2  # a difference has grown on so many days in a row
_WINSOR: Final = 3.0
_LEAST_SHARE: Final = 0.03  # the least usual difference, as a share of the size of the metric


@compiled
def growing_difference(slot: Slot, seconds: float, value: float, step: float, size: float) -> float:
    """Return by how many usual differences the metric has moved away from last week, 0 for none.

    `value` is relative to the slot's anchor, at `seconds` (unix); `step` is the time from point to
    point in seconds and `size` that of the metric, in its unit. The result is not 0 only at the
    first point of a day (UTC), if the day that has ended was the third in a row to lie farther from
    the same weekday a week before than the day before it, to the same side.
    """
    result = 0.0
    day = int(seconds // DAY_SECONDS)
    if day != slot.day_number:
        is_whole = slot.day_points * step >= _LEAST_DAY * DAY_SECONDS and step <= _LONGEST_STEP
        if is_whole and day == slot.day_number + 1:
            result = _end_day(slot, size)
        else:
            slot.days_in_a_row = 0
        slot.day_number = day
        slot.day_points = 0.0
        slot.day_sum = 0.0
    slot.day_points += 1.0
    slot.day_sum += value
    return result


@compiled
def _end_day(slot: Slot, size: float) -> float:
    """Store the mean of the day that has ended; return its difference, as above."""
    result = 0.0
    mean = slot.day_sum / slot.day_points
    place = slot.day_number % _DAYS_A_WEEK
    if slot.days_in_a_row >= _DAYS_A_WEEK:
        difference = mean - slot.day_means[place]
        mean_square = slot.difference_power / max(slot.differences, 1.0)
        usual = max(math.sqrt(mean_square), _LEAST_SHARE * size)
        is_growing = (
            slot.differences >= _DIFFERENCES_NEEDED
            and difference * slot.last_difference > 0.0
            and abs(difference) - abs(slot.last_difference) > usual
        )
        slot.rises_in_a_row = slot.rises_in_a_row + 1 if is_growing else 0
        if slot.rises_in_a_row >= _RISES_NEEDED:
            result = abs(difference) / usual
        if slot.differences >= _DIFFERENCES_KEPT:
            slot.difference_power -= mean_square
            slot.differences -= 1.0
        slot.difference_power += min(abs(difference), _WINSOR * usual) ** 2
        slot.differences += 1.0
        slot.last_difference = difference
    slot.day_means[place] = mean
    slot.days_in_a_row += 1
    return result

"""The expected value: simple experts and seasonal profiles, of which the best so far speaks."""

import math
from typing import Final

from anomify.detection.band import (
    DAY_SECONDS,
    DAY_SLOW,
    DAY_VISITS_NEEDED,
    LEVEL,
    MONDAY_SECONDS,
    TRIAL_POINTS,
    WEEK_SECONDS,
    WEEK_SLOW,
    WEEK_VISITS_NEEDED,
)
from anomify.detection.jit import Slot, compiled
from anomify.detection.state import DAY_BINS, WEEK_BINS
from anomify.series import Float64s

# The experts, in the order of the fields `errors` and `error_points`. The fast ones follow a change
# at once and say what the next value would be; the slow ones say what is normal at this hour.
QUICK: Final = 0
SMOOTH: Final = 1
DAY_FAST: Final = 2
WEEK_FAST: Final = 3
FIRST_SLOW: Final = LEVEL

_MOST_VISITS: Final = 255
_ERROR_MEMORY: Final = 1000.0
_LEAST_DAY_RATE: Final = 0.1  # of a new visit in a bin's value
_LEAST_WEEK_RATE: Final = 0.25
_SETTLING_RATE: Final = 0.02


@compiled
def day_bins(step: float) -> int:
    """Return into how many bins the day is cut at this step in seconds."""
    return min(DAY_BINS, max(1, int(DAY_SECONDS / step)))


@compiled
def week_bins(step: float) -> int:
    """Return into how many bins the week is cut at this step in seconds."""
    return min(WEEK_BINS, max(7, int(WEEK_SECONDS / step)))


@compiled
def enter_bins(slot: Slot, seconds: float, step: float) -> None:
    """Move to the bins of this time; coming into another bin is a new visit there."""
    day_bin = int((seconds % DAY_SECONDS) * day_bins(step) / DAY_SECONDS)
    week_bin = int(((seconds + MONDAY_SECONDS) % WEEK_SECONDS) * week_bins(step) / WEEK_SECONDS)
    # With one bin a day each point is a visit of its own.
    if day_bin != slot.day_bin or step >= DAY_SECONDS / day_bins(step):
        slot.day_bin = day_bin
        slot.day_stay = 0
    if week_bin != slot.week_bin or step >= WEEK_SECONDS / week_bins(step):
        slot.week_bin = week_bin
        slot.week_stay = 0


@compiled
def predict(slot: Slot, predictions: Float64s) -> None:
    """Let each expert say what comes now; NaN from one that has not seen enough."""
    day = slot.day_profile[slot.day_bin]
    week = day + slot.week_profile[slot.week_bin]
    # A visit that is going on counts only when it has ended: else the first point of each bin
    # would be expected otherwise than the rest of it, and the range would look like a comb.
    day_visits = slot.day_visits[slot.day_bin] - (1 if slot.day_stay > 0 else 0)
    week_visits = slot.week_visits[slot.week_bin] - (1 if slot.week_stay > 0 else 0)
    knows_day = day_visits >= DAY_VISITS_NEEDED
    knows_week = knows_day and week_visits >= WEEK_VISITS_NEEDED
    predictions[QUICK] = slot.quick
    predictions[SMOOTH] = slot.smooth
    predictions[DAY_FAST] = day + slot.day_fast if knows_day else math.nan
    predictions[WEEK_FAST] = week + slot.week_fast if knows_week else math.nan
    predictions[LEVEL] = slot.level
    predictions[DAY_SLOW] = day + slot.day_slow if knows_day else math.nan
    predictions[WEEK_SLOW] = week + slot.week_slow if knows_week else math.nan


@compiled
def best_expert(slot: Slot, predictions: Float64s, first: int, last: int, fallback: int) -> int:
    """Return which of the experts from `first` to `last` has erred least so far."""
    best = fallback
    least = math.inf
    for expert in range(first, last + 1):
        if is_trusted(slot, expert, predictions[expert]) and slot.errors[expert] < least:
            least = slot.errors[expert]
            best = expert
    return best


@compiled
def least_surprise(
    slot: Slot, value: float, predictions: Float64s, residual: float, step: float
) -> float:
    """Return the smallest residual: the best expert's, or what a day's or week's habit leaves.

    What happens every day at about this time is no surprise, even if another expert is better on
    the whole. The bins beside this one count too: a nightly job does not start on the edge of one.
    """
    least = residual
    for expert in (DAY_FAST, WEEK_FAST):
        if is_trusted(slot, expert, predictions[expert]):
            other = value - predictions[expert]
            least = other if abs(other) < abs(least) else least
    if is_trusted(slot, DAY_FAST, predictions[DAY_FAST]):
        for beside in (-1, 1):
            day_bin = (slot.day_bin + beside) % day_bins(step)
            if slot.day_visits[day_bin] >= DAY_VISITS_NEEDED:
                other = value - slot.day_profile[day_bin] - slot.day_fast
                least = other if abs(other) < abs(least) else least
    return least


@compiled
def is_trusted(slot: Slot, expert: int, prediction: float) -> bool:
    """Return whether an expert speaks now and has been tried out."""
    return bool(slot.error_points[expert] > TRIAL_POINTS and not math.isnan(prediction))


@compiled
def clip(value: float, most: float) -> float:
    """Return the value, or the limit of its sign if it is beyond."""
    return min(max(value, -most), most)


@compiled
def learn_errors(slot: Slot, predictions: Float64s, value: float, floor: float) -> None:
    """Remember how far off each expert was; one giant miss counts as a moderate one."""
    for expert in range(len(predictions)):
        if math.isnan(predictions[expert]):
            continue
        error = abs(value - predictions[expert])
        slot.error_points[expert] += 1.0
        if slot.error_points[expert] > TRIAL_POINTS:
            error = min(error, 6.0 * (slot.errors[expert] + floor))
        memory = min(slot.error_points[expert], _ERROR_MEMORY)
        slot.errors[expert] += (error - slot.errors[expert]) / memory


@compiled
def learn_baseline(
    slot: Slot,
    value: float,
    floor: float,
    step: float,
    settling: bool,  # noqa: FBT001  (a kernel has no keywords)
) -> None:
    """Move what is expected towards the value; `settling` while a new normal is being adopted."""
    trusted = slot.learned >= TRIAL_POINTS
    far = math.inf
    quick_far = math.inf
    if trusted:
        far = 4.0 * (slot.slow_scale + floor)
        quick_far = 8.0 * max(slot.errors[QUICK] + floor, slot.errors[SMOOTH])
    slow_far = far
    offset_rate = 1.0 / 600.0
    level_rate = max(1.0 / 3000.0, 1.0 / (slot.learned + 1.0))
    if settling:
        slow_far = math.inf
        offset_rate = _SETTLING_RATE
        level_rate = max(level_rate, _SETTLING_RATE)
    slot.quick += 0.5 * (value - slot.quick)
    slot.smooth += 0.1 * clip(value - slot.smooth, quick_far)
    slot.level += level_rate * clip(value - slot.level, max(slow_far, 4.0 * slot.errors[LEVEL]))

    bin_ = slot.day_bin
    _learn_bin(
        slot.day_profile,
        slot.day_visits,
        bin_,
        slot.day_stay,
        value - slot.day_slow,
        far,
        step * day_bins(step) / DAY_SECONDS,
        _LEAST_DAY_RATE,
    )
    slot.day_stay += 1
    day = slot.day_profile[bin_]
    slot.day_fast += 0.08 * clip(value - day - slot.day_fast, 2.0 * far)
    slot.day_slow += offset_rate * clip(value - day - slot.day_slow, slow_far)

    bin_ = slot.week_bin
    _learn_bin(
        slot.week_profile,
        slot.week_visits,
        bin_,
        slot.week_stay,
        value - day - slot.week_slow,
        far,
        step * week_bins(step) / WEEK_SECONDS,
        _LEAST_WEEK_RATE,
    )
    slot.week_stay += 1
    week = day + slot.week_profile[bin_]
    slot.week_fast += 0.08 * clip(value - week - slot.week_fast, 2.0 * far)
    slot.week_slow += offset_rate * clip(value - week - slot.week_slow, slow_far)


@compiled
def _learn_bin(
    profile: Float64s,
    visits: Float64s,
    bin_: int,
    stay: int,
    value: float,
    far: float,
    visits_a_point: float,
    least_rate: float,
) -> None:
    """Move one bin towards the value: a plain mean at first, an ewma over visits later."""
    share = min(1.0, visits_a_point)
    if stay == 0 and visits[bin_] < _MOST_VISITS:
        visits[bin_] += 1
    points_before = (visits[bin_] - 1.0) / share + stay
    if points_before < 1.0:
        profile[bin_] = value
        return
    rate = max(1.0 / (points_before + 1.0), least_rate * share)
    profile[bin_] += rate * clip(value - profile[bin_], far)

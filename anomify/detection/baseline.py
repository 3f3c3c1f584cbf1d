"""Forecasts the next value with seven experts and uses the one with the least error so far.

The experts are exponential moving averages (R. G. Brown, "Statistical Forecasting for Inventory
Control", 1959), some of them over additive seasonal profiles of a day and a week (P. R. Winters,
Management Science 6 (1960); J. W. Taylor, "Short-Term Electricity Demand Forecasting Using Double
Seasonal Exponential Smoothing", JORS 54 (2003)). Selecting by past error is the rule "follow the
leader" of N. Cesa-Bianchi and G. Lugosi, "Prediction, Learning, and Games" (2006). Clipped updates
are the robust estimates of P. J. Huber, Annals of Mathematical Statistics 35 (1964).
"""

import math
from typing import Final

from anomify.detection.band import (
    DAY_SECONDS,
    DAY_SLOW,
    DAY_VISITS_NEEDED,
    DAY_VISITS_NEEDED_SPARSE,
    EDGE_SCALES,
    FAR_NEIGHBOURS,
    HEIGHT_SHARE,
    LEAST_BINS_AN_HOUR,
    LEVEL,
    MONDAY_SECONDS,
    SEASONAL_ERROR_SHARE,
    SPARSE_STEP_SECONDS,
    TRIAL_POINTS,
    WEEK_SECONDS,
    WEEK_SLOW,
    WEEK_VISITS_NEEDED,
)
from anomify.detection.jit import Slot, compiled
from anomify.detection.state import DAY_BINS, HOURS, WEEK_BINS
from anomify.series import Float64s

# The experts, in the order of the fields `errors` and `error_points`. The fast ones follow a change
# within some points and forecast the next value; the slow ones the usual value at this hour.
QUICK: Final = 0
SMOOTH: Final = 1
DAY_FAST: Final = 2
WEEK_FAST: Final = 3
FIRST_SLOW: Final = LEVEL

_MOST_VISITS: Final = 255  # a visit is one day (or week) on which a bin got points; stored as uint8
_ERROR_MEMORY: Final = 1000.0  # points
_LEAST_DAY_RATE: Final = 0.1  # the least share of a new visit in a bin's value
_LEAST_WEEK_RATE: Final = 0.25
# A season is told apart from its newest visit once a bin holds more days, or weeks, than these.
_SEASON_DAYS: Final = 3
_SEASON_WEEKS: Final = 3
_SETTLING_RATE: Final = 0.02
_REGULAR_RATE: Final = 0.5


@compiled
def day_bins(step: float) -> int:
    """Return the number of bins of the daily profile at a step in seconds.

    >>> day_bins(60.0), day_bins(3600.0)
    (288, 24)
    """
    return min(DAY_BINS, max(1, int(DAY_SECONDS / step)))


@compiled
def week_bins(step: float) -> int:
    """Return the number of bins of the weekly profile at a step in seconds.

    >>> week_bins(60.0), week_bins(86400.0)
    (168, 7)
    """
    return min(WEEK_BINS, max(7, int(WEEK_SECONDS / step)))


@compiled
def visits_needed(step: float) -> int:
    """Return the number of days that a bin of the daily profile must hold at a step in seconds.

    >>> visits_needed(60.0), visits_needed(3600.0)
    (2, 4)
    """
    return DAY_VISITS_NEEDED if step < SPARSE_STEP_SECONDS else DAY_VISITS_NEEDED_SPARSE


@compiled
def enter_bins(slot: Slot, seconds: float, step: float) -> None:
    """Select the bins of a time in unix seconds; a change of bin starts a new visit there."""
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
    """Write each expert's forecast, relative to the anchor, into `predictions` (EXPERTS,).

    A seasonal expert forecasts NaN while its bin has fewer visits than it needs.
    """
    day = slot.day_profile[slot.day_bin]
    week = day + slot.week_profile[slot.week_bin]
    # The current visit is not counted until it is complete: otherwise the first point of a bin
    # could have another expert than the rest, and the range would jump at every bin.
    day_visits = slot.day_visits[slot.day_bin] - (1 if slot.day_stay > 0 else 0)
    week_visits = slot.week_visits[slot.week_bin] - (1 if slot.week_stay > 0 else 0)
    has_day = day_visits >= visits_needed(slot.resolution / 1000.0)
    has_week = has_day and week_visits >= WEEK_VISITS_NEEDED
    predictions[QUICK] = slot.quick
    predictions[SMOOTH] = slot.smooth
    predictions[DAY_FAST] = day + slot.day_fast if has_day else math.nan
    predictions[WEEK_FAST] = week + slot.week_fast if has_week else math.nan
    predictions[LEVEL] = slot.level
    predictions[DAY_SLOW] = day + slot.day_slow if has_day else math.nan
    predictions[WEEK_SLOW] = week + slot.week_slow if has_week else math.nan


@compiled
def best_expert(slot: Slot, predictions: Float64s, first: int, last: int, fallback: int) -> int:
    """Return the trusted expert from `first` to `last` with the least mean absolute error.

    The slow seasonal experts are preferred to the level where they are nearly as good: a job of
    some minutes a day adds little to the mean error. Returns `fallback` where none is trusted.
    """
    best = fallback
    least = math.inf
    for expert in range(first, last + 1):
        if not is_trusted(slot, expert, predictions[expert]):
            continue
        error = slot.errors[expert]
        if expert in (DAY_SLOW, WEEK_SLOW):
            error *= SEASONAL_ERROR_SHARE
        if error < least:
            least = error
            best = expert
    return best


@compiled
def smallest_residual(
    slot: Slot, value: float, predictions: Float64s, residual: float, lower: float, upper: float
) -> float:
    """Return the residual with the least size: of the best expert or of a seasonal one.

    `residual` is that of the best expert. A value that is usual at this time of the day or week has
    a small residual even where another expert is better on average. `lower` and `upper` are those
    of `outside`.
    """
    least = residual
    for expert in (DAY_FAST, WEEK_FAST):
        if is_trusted(slot, expert, predictions[expert]):
            other = outside(value - predictions[expert], lower, upper)
            least = other if abs(other) < abs(least) else least
    return least


@compiled
def outside(residual: float, lower: float, upper: float) -> float:
    """Return how far a residual lies outside `lower` <= 0 to `upper` >= 0, with its sign.

    >>> outside(5.0, -1.0, 3.0), outside(-0.5, -1.0, 3.0)
    (2.0, 0.0)
    """
    if residual > 0.0:
        return max(residual - upper, 0.0)
    return min(residual - lower, 0.0)


@compiled
def usual_range(slot: Slot, step: float) -> tuple[float, float]:
    """Return how far below (<= 0) and above (>= 0) the forecast of the day a value is as expected.

    That is where the neighbouring bins lie, because a daily job does not start exactly at the edge
    of a bin. Where the bins differ as they do at the edge of a job, those farther away count too:
    it may be early or late. A job that ends within the hour may be higher or lower by a part of its
    height.
    """
    bins = day_bins(step)
    needed = visits_needed(step)
    lower = 0.0
    upper = 0.0
    for by in range(-FAR_NEIGHBOURS, FAR_NEIGHBOURS + 1):
        bin_ = (slot.day_bin + by) % bins
        if slot.day_visits[bin_] < needed:
            continue
        difference = slot.day_profile[bin_] - slot.day_profile[slot.day_bin]
        if abs(by) <= 1 or abs(difference) > EDGE_SCALES * slot.slow_scale:
            lower = min(lower, difference)
            upper = max(upper, difference)
    by_height = HEIGHT_SHARE * _job_height(slot, bins, needed)
    return lower - by_height, upper + by_height


@compiled
def season(slot: Slot, step: float) -> float:
    """Return how far the season moves the metric now, or NaN while too few days are learnt.

    That is the difference of the bin from the mean of its profile, so that a change of level which
    the profiles have learnt with the season is no part of it.
    """
    if slot.day_visits[slot.day_bin] <= _SEASON_DAYS:
        return math.nan
    moved = slot.day_profile[slot.day_bin] - _mean_of(slot.day_profile, day_bins(step))
    if slot.week_visits[slot.week_bin] > _SEASON_WEEKS:
        moved += slot.week_profile[slot.week_bin] - _mean_of(slot.week_profile, week_bins(step))
    return float(moved)


@compiled
def _mean_of(profile: Float64s, bins: int) -> float:
    """Return the mean of some two dozen bins that are spread evenly over a profile."""
    by = max(bins // HOURS, 1)
    total = 0.0
    count = 0
    for bin_ in range(0, bins, by):
        total += profile[bin_]
        count += 1
    return total / count


@compiled
def _job_height(slot: Slot, bins: int, needed: int) -> float:
    """Return by how much this bin differs, to one side, from those an hour before and after."""
    hour = bins // HOURS
    before = (slot.day_bin - hour) % bins
    after = (slot.day_bin + hour) % bins
    if hour < LEAST_BINS_AN_HOUR:
        return 0.0
    if slot.day_visits[before] < needed or slot.day_visits[after] < needed:
        return 0.0
    above_before = slot.day_profile[slot.day_bin] - slot.day_profile[before]
    above_after = slot.day_profile[slot.day_bin] - slot.day_profile[after]
    if above_before * above_after <= 0.0:
        return 0.0
    return float(min(abs(above_before), abs(above_after)))


@compiled
def is_trusted(slot: Slot, expert: int, prediction: float) -> bool:
    """Return whether an expert has a forecast now and more than `TRIAL_POINTS` measured errors."""
    return bool(slot.error_points[expert] > TRIAL_POINTS and not math.isnan(prediction))


@compiled
def clip(value: float, most: float) -> float:
    """Return the value, limited to -most..most.

    >>> clip(7.0, 4.0), clip(-1.0, 4.0)
    (4.0, -1.0)
    """
    return min(max(value, -most), most)


@compiled
def learn_errors(slot: Slot, predictions: Float64s, value: float, floor: float) -> None:
    """Update each expert's mean absolute error; an error is clipped at six times that mean."""
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
    regular: bool,  # noqa: FBT001  (a kernel has no keywords)
) -> None:
    """Update all experts and profiles with a value, relative to the anchor.

    `floor` is the floor of the scales and `step` the seconds from point to point. `settling` is
    True while the metric stays at a new level: the slow experts then follow it faster. `regular` is
    True where such a deviation recurs at this time: the profiles then adopt it.
    """
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
        math.inf if regular else far,
        step * day_bins(step) / DAY_SECONDS,
        _REGULAR_RATE if regular else _LEAST_DAY_RATE,
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
        math.inf if regular else far,
        step * week_bins(step) / WEEK_SECONDS,
        _REGULAR_RATE if regular else _LEAST_WEEK_RATE,
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
    """Update one bin: the mean of its points at first, later an exponential moving average.

    `stay` is how many points the current visit has had, `visits_a_point` the share of a visit that
    one point is, `far` the limit of a residual and `least_rate` the least share of a new visit.
    """
    share = min(1.0, visits_a_point)
    if stay == 0 and visits[bin_] < _MOST_VISITS:
        visits[bin_] += 1
    points_before = (visits[bin_] - 1.0) / share + stay
    if points_before < 1.0:
        profile[bin_] = value
        return
    rate = max(1.0 / (points_before + 1.0), least_rate * share)
    profile[bin_] += rate * clip(value - profile[bin_], far)

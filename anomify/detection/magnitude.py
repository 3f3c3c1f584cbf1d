"""Measures residuals in scales: winsorised root mean squares with a long memory, and robust means.

Winsorising (clipping a residual at six scales before it enters the scale) follows J. W. Tukey, "The
Future of Data Analysis", Annals of Mathematical Statistics 33 (1962). The mean and the mean square
are updated point by point as in B. P. Welford, Technometrics 4 (1962).
"""

import math
from typing import Final

from anomify.detection.band import (
    DAY_SECONDS,
    HOUR_FACTOR_POINTS,
    LEAST_HOUR_FACTOR,
    LEVEL,
    MOST_HOUR_FACTOR,
    SMALL_SHARE_OF_LEVEL,
    SMALL_SHARE_OF_SPREAD,
    TINY,
)
from anomify.detection.baseline import FIRST_SLOW, QUICK, SMOOTH, is_trusted
from anomify.detection.jit import Slot, compiled
from anomify.detection.state import HOURS
from anomify.series import Float64s

MEMORY_POINTS: Final = 20000.0
"""The most points that a long scale remembers. Measured on labelled series, scales with this memory
find incidents with an F1 higher by 0.2 than robust scales with a short memory."""

_MEMORY_SECONDS: Final = 42.0 * DAY_SECONDS  # of metrics that have fewer points in so long
_LEAST_MEMORY_POINTS: Final = 1000.0

_WINSOR: Final = 6.0  # scales at which a residual is clipped before it is learnt
_TRUST_POINTS: Final = 20
_FAST_GUARD: Final = 60.0
_SLOW_GUARD: Final = 200.0
_SPREAD_MEMORY: Final = 5000.0
_SCALE_MEMORY: Final = 1000.0
_SPREADS_A_SIZE: Final = 8.0  # of a metric that is measured by the spread of its values
# The scale of an expert starts as if so many of its residuals had been twice its trial error. That
# of a seasonal expert starts with a day of them, because its trial covers only a few bins of a day.
_TRIAL_WEIGHT: Final = 50.0
_MOST_TRIAL_WEIGHT: Final = 2000.0
LARGEST: Final = 1e4
"""The largest size in scales; a larger ratio is due to rounding in a scale that is nearly zero."""


@compiled
def small(slot: Slot, about: float) -> float:
    """Return the floor of every scale, in the unit of the metric, for a metric around `about`."""
    size: float = TINY + SMALL_SHARE_OF_LEVEL * abs(about) + SMALL_SHARE_OF_SPREAD * slot.spread
    return size


@compiled
def long_scale(power: float, weight: float, floor: float) -> float:
    """Return the root of the mean square `power / weight`, plus the floor.

    >>> long_scale(400.0, 100.0, 0.5)
    2.5
    """
    return math.sqrt(power / max(weight, 1.0)) + floor


@compiled
def ratio(size: float, scale: float) -> float:
    """Return how many scales a size is, at most `LARGEST`.

    >>> ratio(6.0, 2.0), ratio(1.0, 1e-9)
    (3.0, 10000.0)
    """
    return min(size / scale, LARGEST)


@compiled
def relative_size(slot: Slot) -> float:
    """Return the size that relative deviations are measured by.

    It is the mean of a metric that has never been below zero. Where zero is no bound, the mean says
    nothing about sizes: there it is a multiple of the mean distance of the values from their mean.
    """
    if slot.low >= 0.0:
        return float(abs(slot.mean + slot.anchor))
    return float(_SPREADS_A_SIZE * slot.spread)


@compiled
def learn_powers(
    slot: Slot, predictions: Float64s, value: float, floor: float, step: float
) -> None:
    """Update the long scale of each trusted expert, winsorised.

    `predictions` (EXPERTS,) are the forecasts of `value`, `step` the seconds from point to point.
    Each expert has a scale of its own, so that residuals from before the season was learnt do not
    widen the scale of a seasonal expert.
    """
    slot.weight = min(slot.weight + 1.0, MEMORY_POINTS)
    memory = min(max(_MEMORY_SECONDS / step, _LEAST_MEMORY_POINTS), MEMORY_POINTS)
    for expert in range(len(predictions)):
        if not is_trusted(slot, expert, predictions[expert]):
            continue
        if slot.power_weights[expert] == 0.0:
            weight = _TRIAL_WEIGHT
            if expert not in (QUICK, SMOOTH, LEVEL):
                weight = min(max(DAY_SECONDS / step, _TRIAL_WEIGHT), _MOST_TRIAL_WEIGHT)
            slot.power_weights[expert] = weight
            slot.powers[expert] = weight * (2.0 * slot.errors[expert] + floor) ** 2
        guard = slot.fast_recent if expert < FIRST_SLOW else slot.slow_recent
        weight = min(slot.power_weights[expert] + 1.0, memory)
        scale = max(long_scale(slot.powers[expert], weight, floor), guard)
        keep = 1.0 - 1.0 / memory if weight >= memory else 1.0
        error = min(abs(value - predictions[expert]), _WINSOR * scale)
        slot.powers[expert] = slot.powers[expert] * keep + error**2
        slot.power_weights[expert] = weight


@compiled
def learn_guards(
    slot: Slot, fast: float, slow: float, fast_scale: float, slow_scale: float
) -> None:
    """Update the mean sizes of the newest residuals, which are the least scales of the next ones.

    `fast` and `slow` are absolute residuals. They are clipped at six of their scales, so that one
    glitch does not hide what comes after it.
    """
    if slot.learned >= _TRUST_POINTS:
        fast = min(fast, _WINSOR * fast_scale)
        slow = min(slow, _WINSOR * slow_scale)
    slot.fast_recent += (fast - slot.fast_recent) / min(_FAST_GUARD, slot.learned + 1.0)
    slot.slow_recent += (slow - slot.slow_recent) / min(_SLOW_GUARD, slot.learned + 1.0)


@compiled
def learn_value_scale(slot: Slot, value: float, floor: float) -> None:
    """Update the mean and the winsorised mean square of the values; call after `learn_powers`."""
    deviation = value - slot.value_mean
    slot.value_mean += deviation / slot.weight
    if slot.learned < _TRUST_POINTS:
        slot.value_power += deviation * (value - slot.value_mean)
        return
    scale = long_scale(slot.value_power, slot.weight, floor)
    keep = 1.0 - 1.0 / MEMORY_POINTS if slot.weight >= MEMORY_POINTS else 1.0
    slot.value_power = slot.value_power * keep + min(abs(deviation), 2.0 * _WINSOR * scale) ** 2


@compiled
def learn_spread(slot: Slot, value: float) -> None:
    """Update the mean of the values and their mean absolute distance from it."""
    slot.mean += (value - slot.mean) / min(slot.learned + 1.0, _SPREAD_MEMORY)
    distance = abs(value - slot.mean)
    slot.spread += (distance - slot.spread) / min(max(slot.learned, 1.0), _SPREAD_MEMORY)


@compiled
def hour_scale(slot: Slot, hour: int, of_hour: float, of_day: float, floor: float) -> float:
    """Return the robust scale of this hour of the day, mixed with the whole day's at first.

    After 24 points both weigh the same. It is never below 0.3 of the whole day's scale.
    """
    trust = slot.hour_points[hour] / (slot.hour_points[hour] + 24.0)
    scale: float = max((1.0 - trust) * of_day + trust * of_hour, 0.3 * of_day) + floor
    return scale


@compiled
def hour_factors(slot: Slot, hour: int, floor: float) -> tuple[float, float]:
    """Return the ratios of the fast and slow scale of this hour of the day to the mean of all."""
    points = slot.hour_points[hour]
    if points == 0.0:
        return 1.0, 1.0
    fast = 0.0
    slow = 0.0
    hours = 0.0
    for other in range(HOURS):
        if slot.hour_points[other] > 0.0:
            fast += slot.hour_fast[other]
            slow += slot.hour_slow[other]
            hours += 1.0
    trust = points / (points + HOUR_FACTOR_POINTS)
    return (
        _hour_factor(slot.hour_fast[hour], fast / hours, trust, floor),
        _hour_factor(slot.hour_slow[hour], slow / hours, trust, floor),
    )


@compiled
def _hour_factor(of_hour: float, of_all: float, trust: float, floor: float) -> float:
    raw = (of_hour + floor) / (of_all + floor)
    return min(max(1.0 + trust * (raw - 1.0), LEAST_HOUR_FACTOR), MOST_HOUR_FACTOR)


@compiled
def learn_scales(
    slot: Slot, hour: int, fast: float, slow: float, fast_at: float, slow_at: float, step: float
) -> None:
    """Update the winsorised mean absolute residuals, of the whole day and of this hour.

    `fast` and `slow` are absolute residuals, `fast_at` and `slow_at` the scales of this hour that
    `hour_scale` returned for them, `step` the seconds from point to point.
    """
    rate = 1.0 / min(slot.learned + 1.0, _SCALE_MEMORY)
    fast_capped = fast
    slow_capped = slow
    if slot.learned >= _TRUST_POINTS:
        floor = small(slot, slot.mean + slot.anchor)
        fast_capped = min(fast, _WINSOR * (slot.fast_scale + floor))
        slow_capped = min(slow, _WINSOR * (slot.slow_scale + floor))
    slot.fast_scale += rate * (fast_capped - slot.fast_scale)
    slot.slow_scale += rate * (slow_capped - slot.slow_scale)
    hour_memory = max(4.0, 10800.0 / step) + 20.0
    slot.hour_points[hour] = min(slot.hour_points[hour] + 1.0, 1e6)
    rate = 1.0 / min(slot.hour_points[hour], hour_memory)
    slot.hour_fast[hour] += rate * (min(fast, _WINSOR * fast_at) - slot.hour_fast[hour])
    slot.hour_slow[hour] += rate * (min(slow, _WINSOR * slow_at) - slot.hour_slow[hour])

"""The loop over points: accept a point, compute its features, judge it, learn it."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from anomify.detection.alarm_history import lower_by_history
from anomify.detection.alert_direction import passes_alert_settings
from anomify.detection.band import BAND_SCALES, DAY_SECONDS, HOUR_SECONDS, LEVEL, WEEK_SLOW
from anomify.detection.baseline import (
    FIRST_SLOW,
    QUICK,
    SMOOTH,
    WEEK_FAST,
    best_expert,
    day_bins,
    enter_bins,
    learn_baseline,
    learn_errors,
    outside,
    predict,
    season,
    smallest_residual,
    usual_range,
    week_bins,
)
from anomify.detection.drift import (
    flatness,
    is_settling,
    learn_flat,
    learn_range,
    learn_shift,
    learn_shift_powers,
    novelty,
)
from anomify.detection.ensemble import (
    NOVELTY_HEAD,
    RARE_FROM,
    alarm_strength,
    display_strength,
    is_sparse,
    novelty_strength,
    select_evidence,
)
from anomify.detection.evidence import (
    DEVIATION,
    FAST_AT_HOUR,
    FEATURES,
    FIRST_RARITY,
    FLATNESS,
    JUMP,
    LEVEL_CHANGE,
    LONG_SHIFT,
    MAGNITUDE,
    NOISE,
    NOVELTY,
    PLAIN_JUMP,
    PLAIN_LEVEL_CHANGE,
    PLAIN_RELATIVE,
    RELATIVE,
    REPEAT_SHARE,
    SHORT_SHIFT,
    TREND,
    VALUE_SIZE,
    Evidence,
)
from anomify.detection.jit import Slot, compiled, compiled_entry, sources_digest
from anomify.detection.magnitude import (
    LARGEST,
    hour_factors,
    hour_scale,
    learn_guards,
    learn_powers,
    learn_scales,
    learn_spread,
    learn_value_scale,
    long_scale,
    ratio,
    relative_size,
    small,
)
from anomify.detection.metric_kind import accept, has_learnt, learn_kind, rate
from anomify.detection.rarity import (
    age_tails,
    learn_tail,
    rarity,
)
from anomify.detection.record_rule import alarm_alert, novelty_alert
from anomify.detection.recurrence import (
    EXCURSION_SCALES,
    enter_parts,
    is_regular,
    learn_excursion,
)
from anomify.detection.state import EXPERTS, LEARNING_POINTS, byte_of
from anomify.detection.trend import growing_difference
from anomify.series import Float64s

LARGEST_VALUE: Final = 1e100
"""Larger values are accepted but not judged: their squares overflow the sums of squares."""

_MEASURED_FROM: Final = 25  # points; the features are zero before
_STALE_STEPS: Final = 10.0  # after a longer gap the value before is no forecast
_STEP_POINTS: Final = 6  # a jump is looked for among so many newest points
_MEAN_POINTS: Final = 8  # the number of points whose mean residual is the short shift
_LEARNED_FROM: Final = byte_of("learned")

# What `_observe` returns in `observed`.
_LOWER: Final = 0  # the ends of the expected range
_UPPER: Final = 1
_FAST: Final = 2  # the fast and the slow residual
_SLOW: Final = 3
_SEASON: Final = 4  # what the season adds to the forecast, NaN while none is learnt
_OBSERVED: Final = 5


@compiled
def _start(slot: Slot, value: float) -> None:
    """Initialise a slot with its first judged value."""
    slot.learned = 1
    slot.anchor = value
    slot.low = value
    slot.weight = 1.0
    slot.shift_short_power = 1e-3
    slot.shift_long_power = 1e-3
    slot.noise_short_power = 1e-3
    slot.tail_increment = 1.0
    slot.day_bin = -1
    slot.week_bin = -1
    slot.day_part = -1
    slot.week_part = -1


@compiled
def _observe(
    slot: Slot,
    time: int,
    value: float,
    gap: float,
    features: Float64s,
    predictions: Float64s,
    observed: Float64s,
    thorough: bool,  # noqa: FBT001  (a kernel has no keywords)
) -> None:
    """Compute the features and the expected range of a judged value, then learn it.

    `gap` is the time since the point before, in seconds. `features` (FEATURES,) and `observed`
    (_OBSERVED,) are written. The rarities take the longest: unless `thorough`, they are computed
    only where the alarm head uses them.
    """
    features[:] = 0.0
    observed[:] = 0.0
    observed[_SEASON] = math.nan
    if slot.learned == 0:
        _start(slot, value)
        observed[_LOWER] = value
        observed[_UPPER] = value
        return
    seconds = time / 1000.0
    step = max(slot.resolution, 1000) / 1000.0
    y = value - slot.anchor
    floor = small(slot, slot.mean + slot.anchor)
    size = relative_size(slot)
    hour = int((seconds % DAY_SECONDS) / HOUR_SECONDS)

    # The residuals of the best fast and slow expert.
    enter_bins(slot, seconds, step)
    enter_parts(slot, seconds)
    predict(slot, predictions)
    fast_expert = best_expert(slot, predictions, QUICK, WEEK_FAST, SMOOTH)
    slow_expert = best_expert(slot, predictions, FIRST_SLOW, WEEK_SLOW, LEVEL)
    expected = predictions[slow_expert]
    observed[_SEASON] = season(slot, step)
    plain_slow = y - expected
    fast = y - predictions[fast_expert]
    if gap > _STALE_STEPS * step and abs(plain_slow) < abs(fast):
        fast = plain_slow
    lower, upper = usual_range(slot, step)
    fast = smallest_residual(slot, y, predictions, fast, lower, upper)
    if slow_expert == LEVEL:
        lower = 0.0
        upper = 0.0
    slow = outside(plain_slow, lower, upper)

    # Their scales.
    if slow_expert != LEVEL and slot.is_seasonal == 0:
        # The scales of the hours hold the residuals of a forecast without season.
        slot.is_seasonal = 1
        slot.hour_points[:] = 0.0
    fast_at = hour_scale(slot, hour, slot.hour_fast[hour], slot.fast_scale, floor)
    slow_at = hour_scale(slot, hour, slot.hour_slow[hour], slot.slow_scale, floor)
    fast_long = long_scale(slot.powers[fast_expert], slot.power_weights[fast_expert], floor)
    slow_long = long_scale(slot.powers[slow_expert], slot.power_weights[slow_expert], floor)
    plain_fast_scale = max(fast_long, slot.fast_recent)
    plain_slow_scale = max(slow_long, slot.slow_recent)
    is_out = abs(slow) > EXCURSION_SCALES * slow_long
    fast_factor, slow_factor = hour_factors(slot, hour, floor)
    fast_long *= fast_factor
    slow_long *= slow_factor
    fast_guarded = max(fast_long, slot.fast_recent)
    slow_guarded = max(slow_long, slot.slow_recent)
    observed[_LOWER] = expected + lower - BAND_SCALES * slow_long + slot.anchor
    observed[_UPPER] = expected + upper + BAND_SCALES * slow_long + slot.anchor

    # A deviation that recurs at this time is none; a return to the range is no jump.
    learnt_fast = fast
    learnt_slow = slow
    recurs = False
    if is_out and slot.learned > _MEASURED_FROM:
        recurs = is_regular(slot, slow)
        learn_excursion(slot, slow, step)
    if recurs:
        fast = 0.0
        slow = 0.0
        plain_slow = 0.0
        observed[_LOWER] = min(observed[_LOWER], value)
        observed[_UPPER] = max(observed[_UPPER], value)
    elif slot.was_out == 1 and not is_out and abs(slow) < abs(fast):
        fast = slow
    slot.was_out = 1 if is_out else 0
    if slot.low >= 0.0:
        observed[_LOWER] = max(observed[_LOWER], 0.0)
        observed[_UPPER] = max(observed[_UPPER], 0.0)
    observed[_FAST] = fast
    observed[_SLOW] = slow
    features[DEVIATION] = math.copysign(ratio(abs(slow), slow_long), slow)

    learn_shift(slot, fast / fast_at, slow / slow_at)
    learn_flat(slot, y)
    difference = growing_difference(slot, seconds, y, step, size)
    step_size = ratio(abs(y - slot.previous), fast_at)
    fast_size = ratio(abs(fast), fast_at)
    value_size = ratio(abs(y - slot.value_mean), long_scale(slot.value_power, slot.weight, floor))
    short_size = abs(slot.shift_short) * 3.0
    long_size = abs(slot.shift_long) * 7.0
    signs = (
        1 if fast < 0.0 else 0,
        1 if y < slot.value_mean else 0,
        1 if slot.shift_short < 0.0 else 0,
        1 if slot.shift_long < 0.0 else 0,
        1 if y < slot.previous else 0,
    )
    sizes = (fast_size, value_size, short_size, long_size, step_size)
    if slot.learned > _MEASURED_FROM:
        features[JUMP] = math.log1p(ratio(abs(fast), fast_guarded))
        features[LEVEL_CHANGE] = math.log1p(ratio(abs(slow), slow_guarded))
        features[MAGNITUDE] = math.log1p(ratio(10.0 * abs(fast), slot.spread + floor))
        features[NOISE] = math.log1p(slot.noise_short / math.sqrt(slot.noise_short_power))
        features[NOVELTY] = math.log1p(min(10.0 * novelty(slot, y, floor), LARGEST))
        features[FLATNESS] = flatness(slot)
        features[REPEAT_SHARE] = slot.repeat_share
        features[SHORT_SHIFT] = math.log1p(
            abs(slot.shift_short) / math.sqrt(slot.shift_short_power)
        )
        features[LONG_SHIFT] = math.log1p(abs(slot.shift_long) / math.sqrt(slot.shift_long_power))
        features[VALUE_SIZE] = math.log1p(value_size)
        features[FAST_AT_HOUR] = math.log1p(fast_size)
        features[RELATIVE] = math.log1p(ratio(10.0 * abs(slow), size + floor))
        features[PLAIN_JUMP] = math.log1p(ratio(abs(fast), plain_fast_scale))
        features[PLAIN_LEVEL_CHANGE] = math.log1p(ratio(abs(plain_slow), plain_slow_scale))
        features[PLAIN_RELATIVE] = math.log1p(ratio(10.0 * abs(plain_slow), size + floor))
        features[TREND] = math.log1p(difference)
        tails = (
            len(sizes)
            if thorough or is_sparse(features)
            else int(features[FAST_AT_HOUR] > RARE_FROM)
        )
        for tail in range(tails):
            features[FIRST_RARITY + tail] = rarity(
                slot.tails[tail, signs[tail]],
                slot.tail_totals[tail],
                sizes[tail],
                slot.tail_increment,
            )
        for tail in range(len(sizes)):
            learn_tail(slot, tail, signs[tail], sizes[tail])
        age_tails(slot)

    settling = is_settling(slot)
    learn_errors(slot, predictions, y, floor)
    learn_scales(slot, hour, abs(learnt_fast), abs(learnt_slow), fast_at, slow_at, step)
    learn_powers(slot, predictions, y, floor, step)
    learn_guards(slot, abs(fast), abs(slow), fast_guarded, slow_guarded)
    learn_value_scale(slot, y, floor)
    learn_range(slot, y, max(48.0, DAY_SECONDS / step))
    learn_shift_powers(slot)
    learn_spread(slot, y)
    learn_baseline(slot, y, floor, step, settling, recurs)
    slot.low = min(slot.low, value)
    slot.previous = y
    slot.learned += 1


@compiled
def _relearn(
    slot: Slot,
    bytes_: Any,
    count: int,
    features: Float64s,
    predictions: Float64s,
    observed: Float64s,
) -> None:
    """Clear what was learnt of the judged values and learn the newest `count` points again."""
    bytes_[_LEARNED_FROM:] = 0
    for back in range(count - 1, -1, -1):
        place = (slot.points - 1 - back) % LEARNING_POINTS
        before = (slot.points - 2 - back) % LEARNING_POINTS
        time = slot.recent_times[place]
        value = slot.recent_values[place]
        gap = 0.0
        if back < count - 1:
            gap = (time - slot.recent_times[before]) / 1000.0
            if slot.is_counter == 1:
                value = _rate_since(slot, before, time, value)
        elif slot.is_counter == 1:
            continue  # the oldest point has no rate
        if not math.isnan(value):
            _observe(slot, time, value, gap, features, predictions, observed, False)


@compiled
def _rate_since(slot: Slot, before: int, time: int, value: float) -> float:
    """Return the rate of a counter since the recent point at the place `before`, per second."""
    usual = slot.previous + slot.anchor
    return rate(slot.recent_times[before], slot.recent_values[before], time, value, usual)


@compiled
def _judged_value(slot: Slot, time: int, value: float) -> float:
    """Return the value as it is judged: a counter's rate since the newest point, else the value.

    It is NaN at the first of the restarts of a counter in a row. Those that follow are judged by
    what they have counted since: a counter that restarts all the time counts too little.
    """
    if slot.points == 0 or slot.is_counter == 0:
        return value
    by_second = _rate_since(slot, (slot.points - 1) % LEARNING_POINTS, time, value)
    has_restarted = math.isnan(by_second)
    if has_restarted and slot.has_restarted == 1:
        by_second = value / ((time - slot.last_time) / 1000.0)
    slot.has_restarted = 1 if has_restarted else 0
    return by_second


@compiled
def _amount(slot: Slot, evidence: int, step: float) -> float:
    """Return the number for the sentence about this evidence (see `Verdicts.amounts`), or NaN."""
    amount: float = math.nan
    if evidence == Evidence.FLAT:
        amount = step * slot.flat_run
    elif evidence == Evidence.NOISIER:
        amount = slot.noise_short / math.sqrt(slot.noise_short_power)
    elif evidence == Evidence.JUMP:
        amount = _value_before_step(slot)
    elif evidence == Evidence.DRIFTING:
        amount = slot.last_difference
    elif evidence == Evidence.SHIFTED:
        amount = 0.0
        for back in range(_MEAN_POINTS):
            amount += _newest_value(slot, back) / _MEAN_POINTS
    return amount


@compiled
def _value_before_step(slot: Slot) -> float:
    """Return the value before the largest step among the newest points.

    A residual stays large for some points after the step that caused it.
    """
    value: float = _newest_value(slot, 1)
    largest = 0.0
    after = _newest_value(slot, 0)
    for back in range(1, _STEP_POINTS + 1):
        before = _newest_value(slot, back)
        size = abs(after - before)
        if size > largest:
            largest = size
            value = before
        after = before
    return value


@compiled
def _newest_value(slot: Slot, back: int) -> float:
    """Return the value, as it is judged, of the point so many points before the newest one.

    A counter's restart has the rate of the newest point, because its own is not known.
    """
    place = (slot.points - 1 - back) % LEARNING_POINTS
    value: float = slot.recent_values[place]
    if slot.is_counter == 1:
        before = (slot.points - 2 - back) % LEARNING_POINTS
        value = _rate_since(slot, before, slot.recent_times[place], value)
        if math.isnan(value):
            value = slot.previous + slot.anchor
    return value


def _entry(digest: int) -> Callable[..., int]:
    """Return the compiled loop; it is a closure over `digest` because of `sources_digest`."""

    def judge_rows(
        state: Any,
        state_bytes: Any,
        slots: Any,
        times: Any,
        values: Any,
        head: int,
        judged: Any,
        alerts: Any,
        strengths: Any,
        displays: Any,
        lowers: Any,
        uppers: Any,
        evidence: Any,
        amounts: Any,
        judged_values: Any,
        seasons: Any,
        trace: Any,
    ) -> int:
        features = np.zeros(FEATURES)
        predictions = np.zeros(EXPERTS)
        observed = np.zeros(_OBSERVED)
        thorough = head == NOVELTY_HEAD or len(trace) > 0
        for row in range(len(slots)):
            slot = state[slots[row]]
            slot_bytes = state_bytes[slots[row]]
            time = times[row]
            value = values[row]
            judged_values[row] = value
            if not math.isfinite(value) or (slot.newest_time != 0 and time <= slot.newest_time):
                continue
            if abs(value) > LARGEST_VALUE:
                slot.newest_time = time
                continue
            if learn_kind(slot, value) and slot.trained_points > 0:
                # A metric that was constant, or rose too rarely, is found to be a counter.
                newest = min(slot.points, LEARNING_POINTS)
                _relearn(slot, slot_bytes, newest, features, predictions, observed)
            gap = 0.0
            if slot.points == 0:
                slot.first_seconds = time / 1000.0
            else:
                gap = (time - slot.last_time) / 1000.0
            judged_value = _judged_value(slot, time, value)
            bins = day_bins(slot.resolution / 1000.0) if slot.resolution > 0 else 0
            weekly = week_bins(slot.resolution / 1000.0) if slot.resolution > 0 else 0
            accept(slot, time, value)
            if slot.trained_points == 0:
                if has_learnt(slot):
                    slot.trained_points = slot.points
                    _relearn(slot, slot_bytes, slot.points, features, predictions, observed)
                continue
            if math.isnan(judged_value):
                continue
            step = slot.resolution / 1000.0
            if bins != day_bins(step) or weekly != week_bins(step):
                # With another number of bins the profiles are learnt again.
                slot.day_visits[:] = 0
                slot.week_visits[:] = 0
            _observe(slot, time, judged_value, gap, features, predictions, observed, thorough)
            lowers[row] = observed[_LOWER]
            uppers[row] = observed[_UPPER]
            evidence[row] = select_evidence(features, judged_value, lowers[row], uppers[row])
            strength = (
                novelty_strength(features)
                if head == NOVELTY_HEAD
                else alarm_strength(slot, features, gap, step)
            )
            passes = passes_alert_settings(slot, evidence[row], observed[_FAST], observed[_SLOW])
            if not passes:
                strength = 0.0
            judged[row] = True
            judged_values[row] = judged_value
            seasons[row] = observed[_SEASON]
            strengths[row] = strength
            if head == NOVELTY_HEAD:
                alerts[row] = novelty_alert(slot, strength)
            else:
                sign = 1 if observed[_SLOW] < 0.0 else 0
                alert = lower_by_history(slot, strength, sign, time / 1000.0, gap, step)
                alerts[row] = alarm_alert(slot, alert, features[DEVIATION], gap, step)
            displays[row] = display_strength(slot, features, strength, passes, gap, step)
            amounts[row] = _amount(slot, evidence[row], step)
            if len(trace) > 0:
                trace[row] = features
        return digest

    return compiled_entry(judge_rows)


judge_rows = _entry(sources_digest())

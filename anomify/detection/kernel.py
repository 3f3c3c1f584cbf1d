"""The loop over points: accept a point, compute its features, judge it, learn it."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from anomify.detection.alarm_history import lowered
from anomify.detection.alert_direction import passes_alert_settings
from anomify.detection.band import BAND_SCALES, LEVEL, WEEK_SLOW
from anomify.detection.baseline import (
    FIRST_SLOW,
    QUICK,
    SMOOTH,
    WEEK_FAST,
    beside,
    best_expert,
    day_bins,
    enter_bins,
    learn_baseline,
    learn_errors,
    neighbour,
    predict,
    smallest_residual,
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
    trend,
)
from anomify.detection.ensemble import (
    ALARM,
    LOG_2,
    NOVELTY_HEAD,
    alarm_strength,
    display_strength,
    is_sparse,
    novelty_strength,
    select_evidence,
)
from anomify.detection.evidence import (
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
    PLAIN_LEVEL,
    RAW_RELATIVE,
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
    hour_factor,
    hour_scale,
    learn_powers,
    learn_scales,
    learn_spread,
    learn_value_scale,
    long_scale,
    ratio,
    relative_size,
    small,
)
from anomify.detection.metric_kind import accept, counted, has_learnt, learn_kind, rate
from anomify.detection.rarity import (
    age_tails,
    learn_tail,
    rarity,
)
from anomify.detection.recurrence import LARGER, enter_parts, learn_excursion, usual_excursion
from anomify.detection.state import EXPERTS, LEARNING_POINTS, byte_of
from anomify.series import Float64s

LARGEST_VALUE: Final = 1e100
"""Larger values are accepted but not judged: their squares overflow the sums of squares."""

_MEASURED_FROM: Final = 25  # points; the features are zero before
_STALE_STEPS: Final = 10.0  # after a longer gap the value before is no forecast
_RECORD_HALF_LIFE_SECONDS: Final = 7200.0
_RECORD_HALF_LIFE_STEPS: Final = 3.0
CALM_POINTS: Final = 5.0
CALM_SECONDS: Final = 1.0
_NOVELTY_KEEP: Final = 1.0 - 10.0**-2.31  # per point; tuned on NAB's development half
_NOVELTY_FACTOR: Final = 1.05
SHOWLOW: Final = False
EXCURSION: Final = 4.0
_LEARNED_FROM: Final = byte_of("learned")


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
    band: Float64s,
    thorough: bool,  # noqa: FBT001  (a kernel has no keywords)
) -> None:
    """Compute the features and the expected range of a judged value, then learn it.

    `gap` is the time since the point before, in seconds. `features` (FEATURES,) and `band` (4,) are
    written: the lower and upper end of the range, and the fast and slow residual. The features that
    the alarm head does not use are computed only if `thorough`: the long shift, and the rarities,
    which take the longest, except for sparse metrics, of which the alarm head uses them.
    """
    features[:] = 0.0
    if slot.learned == 0:
        _start(slot, value)
        band[0] = value
        band[1] = value
        band[2] = 0.0
        band[3] = 0.0
        return
    seconds = time / 1000.0
    step = max(slot.resolution, 1000) / 1000.0
    y = value - slot.anchor
    floor = small(slot, slot.mean + slot.anchor)
    hour = int((seconds % 86400.0) / 3600.0)

    enter_bins(slot, seconds, step)
    predict(slot, predictions)
    fast_expert = best_expert(slot, predictions, QUICK, WEEK_FAST, SMOOTH)
    slow_expert = best_expert(slot, predictions, FIRST_SLOW, WEEK_SLOW, LEVEL)
    fast = y - predictions[fast_expert]
    expected = predictions[slow_expert]
    slow = y - expected
    if gap > _STALE_STEPS * step and abs(slow) < abs(fast):
        fast = slow
    lower = neighbour(slot, step, False)
    upper = neighbour(slot, step, True)
    fast = smallest_residual(slot, y, predictions, fast, lower, upper)
    if slow_expert == LEVEL:
        lower = 0.0
        upper = 0.0
    plain_slow = slow
    slow = beside(slow, lower, upper)
    if slow_expert != LEVEL and slot.is_seasonal == 0:
        # The scales of the hours hold the residuals of a forecast without season.
        slot.is_seasonal = 1
        slot.hour_points[:] = 0.0
    fast_at = hour_scale(slot, hour, slot.hour_fast[hour], slot.fast_scale, floor)
    slow_at = hour_scale(slot, hour, slot.hour_slow[hour], slot.slow_scale, floor)
    fast_long = long_scale(slot.powers[fast_expert], slot.power_weights[fast_expert], floor)
    slow_long = long_scale(slot.powers[slow_expert], slot.power_weights[slow_expert], floor)
    slow_factor = hour_factor(slot.hour_slow, slot.hour_points, hour, floor)
    fast_factor = hour_factor(slot.hour_fast, slot.hour_points, hour, floor)
    plain_fast_scale = max(fast_long, slot.fast_recent)
    plain_slow_scale = max(slow_long, slot.slow_recent)
    fast_long = fast_long * fast_factor
    slow_long = slow_long * slow_factor
    fast_guarded = max(fast_long, slot.fast_recent)
    slow_guarded = max(slow_long, slot.slow_recent)

    enter_parts(slot, seconds)
    base_scale = slow_long / slow_factor
    raw_slow = slow
    raw_fast = fast
    is_out = abs(slow) > EXCURSION * base_scale
    regular = False
    if is_out and slot.learned > _MEASURED_FROM:
        usual = usual_excursion(slot, slow)
        regular = abs(slow) <= LARGER * usual
        learn_excursion(slot, slow, step)
    if regular:
        slow = 0.0
        fast = 0.0
        plain_slow = 0.0
    elif slot.was_out == 1 and not is_out and abs(slow) < abs(fast):
        fast = slow
    slot.was_out = 1 if is_out else 0

    band[0] = expected + lower - BAND_SCALES * slow_long + slot.anchor
    band[1] = expected + upper + BAND_SCALES * slow_long + slot.anchor
    if slot.low >= 0.0:
        band[0] = max(band[0], 0.0)
        band[1] = max(band[1], 0.0)
    band[2] = fast
    band[3] = slow
    band[4] = abs(slow)/slow_long

    learn_shift(slot, fast / fast_at, slow / slow_at)
    learn_flat(slot, y)
    trending = trend(slot, seconds, y, step, relative_size(slot))
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
        features[TREND] = math.log1p(trending)
        features[REPEAT_SHARE] = slot.repeat_share
        features[SHORT_SHIFT] = math.log1p(
            abs(slot.shift_short) / math.sqrt(slot.shift_short_power)
        )
        features[VALUE_SIZE] = math.log1p(value_size)
        features[FAST_AT_HOUR] = math.log1p(fast_size)
        features[PLAIN_JUMP] = math.log1p(ratio(abs(fast), plain_fast_scale))
        features[PLAIN_LEVEL] = math.log1p(ratio(abs(plain_slow), plain_slow_scale))
        features[RAW_RELATIVE] = math.log1p(
            ratio(10.0 * abs(plain_slow), relative_size(slot) + floor)
        )
        features[RELATIVE] = math.log1p(ratio(10.0 * abs(slow), relative_size(slot) + floor))
        features[LONG_SHIFT] = math.log1p(abs(slot.shift_long) / math.sqrt(slot.shift_long_power))
        if thorough or is_sparse(features):
            for tail in range(len(sizes)):
                features[FIRST_RARITY + tail] = rarity(
                    slot.tails[tail, signs[tail]], slot.tail_totals[tail], sizes[tail], slot.tail_increment
                )
        elif fast_size > 4.0:
            features[FIRST_RARITY] = rarity(slot.tails[0, signs[0]], slot.tail_totals[0], fast_size, slot.tail_increment)
        for tail in range(len(sizes)):
            learn_tail(slot, tail, signs[tail], sizes[tail])
        age_tails(slot)

    settling = is_settling(slot)
    learn_errors(slot, predictions, y, floor)
    learn_scales(slot, hour, abs(raw_fast), abs(raw_slow), fast_at, slow_at, step)
    learn_powers(slot, predictions, y, floor, abs(fast), abs(slow), fast_guarded, slow_guarded, step)
    learn_value_scale(slot, y, floor)
    learn_range(slot, y, max(48.0, 86400.0 / step))
    learn_shift_powers(slot)
    learn_spread(slot, y)
    learn_baseline(slot, y, floor, step, settling, regular)
    slot.low = min(slot.low, value)
    slot.before_previous = slot.previous
    slot.previous = y
    slot.learned += 1


@compiled
def _relearn(
    slot: Slot,
    bytes_: Any,
    count: int,
    features: Float64s,
    predictions: Float64s,
    band: Float64s,
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
                value = rate(slot.recent_times[before], slot.recent_values[before], time, value)
        elif slot.is_counter == 1:
            continue  # the oldest point has no rate
        _observe(slot, time, value, gap, features, predictions, band, False)


@compiled
def _apply_record_rule(slot: Slot, head: int, strength: float, gap: float, step: float, slow: float, slow_size: float) -> float:
    """Return the strength if it is larger than the decaying maximum of earlier ones, else 0.

    A long incident thus raises alerts at its strongest points only. `gap`, `step`: in seconds.
    """
    if head != ALARM:
        record = slot.records[head] * _NOVELTY_KEEP
        alert = strength if strength > _NOVELTY_FACTOR * record else 0.0
        slot.records[head] = max(record, strength)
        return alert
    half_life = max(_RECORD_HALF_LIFE_SECONDS, _RECORD_HALF_LIFE_STEPS * step)
    in_range = slow_size < BAND_SCALES
    slot.calm = slot.calm + 1.0 if in_range else 0.0
    if slot.calm >= CALM_POINTS:
        half_life = 1.0
    keep = math.exp(-LOG_2 * gap / half_life)
    slot.record_up *= keep
    slot.record_down *= keep
    if in_range:
        record = max(slot.record_up, slot.record_down)
        slot.record_up = max(slot.record_up, strength)
        slot.record_down = max(slot.record_down, strength)
    elif slow > 0.0:
        record = slot.record_up
        slot.record_up = max(record, strength)
    else:
        record = slot.record_down
        slot.record_down = max(record, strength)
    return strength if strength > record else 0.0


@compiled
def _amount(slot: Slot, evidence: int, step: float) -> float:
    """Return the number for the sentence about this evidence (see `Verdicts.amounts`), or NaN."""
    amount: float = math.nan
    if evidence == Evidence.FLAT:
        amount = step * slot.flat_run
    elif evidence == Evidence.NOISIER:
        amount = slot.noise_short / math.sqrt(slot.noise_short_power)
    elif evidence == Evidence.JUMP:
        amount = slot.before_previous + slot.anchor
    return amount


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
        trace: Any,
    ) -> int:
        features = np.zeros(FEATURES)
        predictions = np.zeros(EXPERTS)
        band = np.zeros(8)
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
                _relearn(slot, slot_bytes, newest, features, predictions, band)
            gap = 0.0
            judged_value = value
            if slot.points > 0:
                gap = (time - slot.last_time) / 1000.0
                if slot.is_counter == 1:
                    before = (slot.previous + slot.anchor) * gap
                    increase = counted(slot.last_value, value, before)
                    restarted = increase < 0.0 and 0.0 <= value < 0.5 * slot.last_value
                    if restarted and slot.restarted == 0 and slot.trained_points > 0:
                        slot.restarted = 1
                        accept(slot, time, value)
                        continue
                    slot.restarted = 1 if restarted else 0
                    judged_value = (value if restarted else increase) / gap
            bins = day_bins(slot.resolution / 1000.0) if slot.resolution > 0 else 0
            weekly = week_bins(slot.resolution / 1000.0) if slot.resolution > 0 else 0
            if slot.points == 0:
                slot.first_seconds = time / 1000.0
            accept(slot, time, value)
            if slot.trained_points == 0:
                if has_learnt(slot):
                    slot.trained_points = slot.points
                    _relearn(slot, slot_bytes, slot.points, features, predictions, band)
                continue
            step = slot.resolution / 1000.0
            if bins != day_bins(step) or weekly != week_bins(step):
                # With another number of bins the profiles are learnt again.
                slot.day_visits[:] = 0
                slot.week_visits[:] = 0
            _observe(slot, time, judged_value, gap, features, predictions, band, thorough)
            lowers[row] = band[0]
            uppers[row] = band[1]
            evidence[row] = select_evidence(features, judged_value, lowers[row], uppers[row])
            strength = (
                novelty_strength(features)
                if head == NOVELTY_HEAD
                else alarm_strength(slot, features, gap, step)
            )
            if not passes_alert_settings(slot, evidence[row], band[2], band[3]):
                strength = 0.0
            raw = strength
            if head == ALARM:
                before = slot.strength_before if gap <= 3.0 * step else 0.0
                direction = 1 if band[3] > 0.0 else 0
                strength = lowered(slot, raw, direction, before, time / 1000.0, max(1800.0, 3.0 * step))
                slot.strength_before = raw
            judged[row] = True
            judged_values[row] = judged_value
            strengths[row] = raw
            alerts[row] = _apply_record_rule(slot, head, strength, gap, step, band[3], band[4])
            displays[row] = display_strength(slot, features, strength if SHOWLOW else raw, gap, step)
            amounts[row] = _amount(slot, evidence[row], step)
            if len(trace) > 0:
                trace[row] = features
        return digest

    return compiled_entry(judge_rows)


judge_rows = _entry(sources_digest())

"""Combines the features of a point to strengths: for alerts, for display and for novelty."""

import math
from typing import Final

from anomify.detection import weights
from anomify.detection.band import BAND_SCALES
from anomify.detection.decay import share_left
from anomify.detection.evidence import (
    FAST_AT_HOUR,
    FAST_RARITY,
    FLATNESS,
    JUMP,
    LEVEL_CHANGE,
    LONG_SHIFT,
    LONG_SHIFT_RARITY,
    MAGNITUDE,
    NOISE,
    NOVELTY,
    PLAIN_JUMP,
    PLAIN_LEVEL_CHANGE,
    PLAIN_RELATIVE,
    RELATIVE,
    REPEAT_SHARE,
    SHORT_SHIFT,
    SHORT_SHIFT_RARITY,
    STEP_RARITY,
    TREND,
    VALUE_RARITY,
    VALUE_SIZE,
    Evidence,
)
from anomify.detection.jit import Slot, compiled
from anomify.series import Float64s

ALARM: Final = 0
NOVELTY_HEAD: Final = 1

# The alarm head. It weighs mostly residuals in long-memory scales; the novelty head uses rarities,
# because alarms by p-value alone have an F1 lower by 0.2 on labelled series. The weights that are
# learnt from data are in `weights`; the constants here follow from what each head is for.
# These three make a value that lies far from all values of the last weeks, and was reached in one
# step, sufficient by itself: also where the weighted sum above stays below the threshold. They
# count only where the value has left its range, or lies beyond the range of the last weeks by a
# tenth of it, or by less while the level has been moving.
BEYOND_VALUE: Final = 1.3
BEYOND_NOVELTY: Final = 1.5
BEYOND_JUMP: Final = 1.2
OUT_OF_RANGE: Final = math.log1p(BAND_SCALES)
FAR_BEYOND: Final = 0.7
MOVING_LEVEL: Final = 1.3
# After a gap of more steps the strength of the point before is not added.
STALE_STEPS: Final = 10.0
# Repeated values raise an alarm by themselves when they last about twelve times as long as ever.
FLAT_ALONE: Final = 2.4
# So do a shift that lasts for some fifty points, and a difference from last week that grows for
# three days.
LONG_SHIFT_ALONE: Final = 2.6
TREND_ALONE: Final = 2.8
# A long shift counts only while the newest points are shifted too, not after their return.
STILL_SHIFTED: Final = 0.7
# The rarity of a residual by itself raises alerts of the lowest severity only.
RARITY_ALONE: Final = 1.15
RARITY_MOST: Final = 6.8
RARE_FROM: Final = math.log1p(4.0)
# Where most points repeat the one before (rare errors, mostly 0), a scale is not informative: a 3
# after many 0s is not far from usual. There the strength is limited by the rarity of the value.
SPARSE: Final = 0.5
SPARSE_RARITY: Final = 1.43
# The display score.
DISPLAY_HALF_LIFE_SECONDS: Final = 1200.0
SMOOTHING_HALF_LIFE_SECONDS: Final = 150.0
DISPLAY_HALF_LIFE_STEPS: Final = 3.0  # the least, of both
# Weights for choosing the evidence that is named where the value is inside its range.
_NAMED_JUMP: Final = 2.0
_NAMED_MAGNITUDE: Final = 0.5
_NAMED_FLAT: Final = 4.4
_NAMED_SHIFT: Final = 5.0
_NAMED_NOISE: Final = 3.0
_NAMED_NOVELTY: Final = 2.0
_NAMED_TREND: Final = 4.4


@compiled
def alarm_strength(slot: Slot, features: Float64s, gap: float, step: float) -> float:
    """Return the strength of the alarm head, and store it for the next point of the slot.

    `features` (FEATURES,) are those of the point; `gap` is the time since the point before and
    `step` the usual one, both in seconds.
    """
    moving = _weighted(
        features[JUMP],
        features[LEVEL_CHANGE],
        features[FAST_AT_HOUR],
        features[RELATIVE],
        features[NOVELTY],
    )
    is_moving = features[NOVELTY] > 0.0 and features[LONG_SHIFT] > MOVING_LEVEL
    if is_moving or _is_beyond(features[LEVEL_CHANGE], features[NOVELTY]):
        moving = max(moving, _beyond(features))
    shifted: float = weights.SHIFT_ALONE * features[SHORT_SHIFT]
    lasting = 0.0
    if features[SHORT_SHIFT] > STILL_SHIFTED:
        lasting = LONG_SHIFT_ALONE * features[LONG_SHIFT]
    rare = 0.0
    if is_sparse(features):
        moving = min(moving, SPARSE_RARITY * features[VALUE_RARITY])
        shifted = min(shifted, SPARSE_RARITY * features[SHORT_SHIFT_RARITY])
        lasting = min(lasting, SPARSE_RARITY * features[LONG_SHIFT_RARITY])
    elif features[FAST_AT_HOUR] > RARE_FROM:
        rare = min(RARITY_ALONE * features[FAST_RARITY], RARITY_MOST)
    before = slot.moving_before if gap <= STALE_STEPS * step else 0.0
    slot.moving_before = moving
    strength: float = max(
        moving + weights.CONFIRMATION * before,
        shifted,
        rare,
        FLAT_ALONE * features[FLATNESS],
        lasting,
        TREND_ALONE * features[TREND],
    )
    return strength


@compiled
def _weighted(jump: float, level: float, at_hour: float, relative: float, novelty: float) -> float:
    """Return the weighted sum of the residuals in their scales."""
    strength: float = (
        weights.JUMP * jump
        + weights.LEVEL_CHANGE * level
        + weights.FAST_AT_HOUR * at_hour
        + weights.RELATIVE * relative
        + weights.NOVELTY * novelty
    )
    return strength


@compiled
def _is_beyond(level_change: float, novelty: float) -> bool:
    return bool(level_change > OUT_OF_RANGE or novelty > FAR_BEYOND)


@compiled
def _beyond(features: Float64s) -> float:
    """Return the strength of a value far from all values of the last weeks."""
    strength: float = (
        BEYOND_VALUE * features[VALUE_SIZE]
        + BEYOND_NOVELTY * features[NOVELTY]
        + BEYOND_JUMP * features[JUMP]
    )
    return strength


@compiled
def novelty_strength(features: Float64s) -> float:
    """Return the strength of the novelty head: the weighted sum of the features of anything new."""
    strength: float = (
        weights.NEW_NOVELTY * features[NOVELTY]
        + weights.NEW_FLATNESS * features[FLATNESS]
        + weights.NEW_LONG_SHIFT * features[LONG_SHIFT]
        + weights.NEW_LONG_SHIFT_RARITY * features[LONG_SHIFT_RARITY]
        + weights.NEW_SHORT_SHIFT_RARITY * features[SHORT_SHIFT_RARITY]
        + weights.NEW_VALUE_RARITY * features[VALUE_RARITY]
        + weights.NEW_STEP_RARITY * features[STEP_RARITY]
        + weights.NEW_NOISE * features[NOISE]
    )
    return strength


@compiled
def is_sparse(features: Float64s) -> bool:
    """Return whether most points repeat the one before."""
    return bool(features[REPEAT_SHARE] > SPARSE)


@compiled
def display_strength(
    slot: Slot,
    features: Float64s,
    strength: float,
    passes: bool,  # noqa: FBT001  (a kernel has no keywords)
    gap: float,
    step: float,
) -> float:
    """Return the strength for charts and rankings: a decaying maximum plus smoothed sizes.

    It decays with a half-life of 20 minutes or three steps, because incidents are marked as spans
    of time, and is never less than `strength`. `passes` is False where the settings of the metric
    exclude the point; `gap` and `step` are in seconds. Its features do not regard the hour and the
    neighbouring bins, and unlike the alarm head it has no sum of its own for values far from all
    others: that ranks the points of an incident better.
    """
    plain = _weighted(
        features[PLAIN_JUMP],
        features[PLAIN_LEVEL_CHANGE],
        features[FAST_AT_HOUR],
        features[PLAIN_RELATIVE],
        features[NOVELTY],
    )
    if is_sparse(features):
        plain = min(plain, SPARSE_RARITY * features[VALUE_RARITY])
    if not passes:
        plain = 0.0
    before = slot.plain_before if gap <= STALE_STEPS * step else 0.0
    slot.plain_before = plain
    least_half_life = DISPLAY_HALF_LIFE_STEPS * step
    keep = share_left(gap, max(DISPLAY_HALF_LIFE_SECONDS, least_half_life))
    slot.shown_peak = max(keep * slot.shown_peak, plain + weights.CONFIRMATION * before)
    keep = share_left(gap, max(SMOOTHING_HALF_LIFE_SECONDS, least_half_life))
    slot.shown_value += (1.0 - keep) * (features[VALUE_SIZE] - slot.shown_value)
    slot.shown_relative += (1.0 - keep) * (features[PLAIN_RELATIVE] - slot.shown_relative)
    shown: float = (
        slot.shown_peak
        + weights.SHOWN_VALUE * slot.shown_value
        + weights.SHOWN_RELATIVE * slot.shown_relative
        + weights.SHOWN_SHIFT * features[SHORT_SHIFT]
    )
    return max(shown, strength)


@compiled
def select_evidence(features: Float64s, value: float, lower: float, upper: float) -> int:
    """Return the `Evidence` to name: ABOVE or BELOW outside the range, else the largest feature.

    `value`, `lower` and `upper` are in the unit in which the metric is judged.
    """
    if value > upper:
        return Evidence.ABOVE
    if value < lower:
        return Evidence.BELOW
    kind = Evidence.JUMP
    most = _NAMED_JUMP * features[JUMP] + _NAMED_MAGNITUDE * features[MAGNITUDE]
    if _NAMED_FLAT * features[FLATNESS] > most:
        kind = Evidence.FLAT
        most = _NAMED_FLAT * features[FLATNESS]
    if _NAMED_SHIFT * features[SHORT_SHIFT] > most:
        kind = Evidence.SHIFTED
        most = _NAMED_SHIFT * features[SHORT_SHIFT]
    if _NAMED_NOISE * features[NOISE] > most:
        kind = Evidence.NOISIER
        most = _NAMED_NOISE * features[NOISE]
    if _NAMED_NOVELTY * features[NOVELTY] > most:
        kind = Evidence.NOVEL
        most = _NAMED_NOVELTY * features[NOVELTY]
    if _NAMED_TREND * features[TREND] > most:
        kind = Evidence.DRIFTING
    return kind

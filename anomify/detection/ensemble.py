"""One strength from all the evidence: a head for alarms, one for display, another for novelty."""

import math
from typing import Final

from anomify.detection import weights
from anomify.detection.evidence import (
    FAST_AT_HOUR,
    FLATNESS,
    JUMP,
    LEVEL_CHANGE,
    LONG_SHIFT,
    LONG_SHIFT_RARITY,
    MAGNITUDE,
    NOISE,
    NOVELTY,
    RELATIVE,
    SHORT_SHIFT,
    SHORT_SHIFT_RARITY,
    STEP_RARITY,
    STILLNESS,
    VALUE_RARITY,
    VALUE_SIZE,
    Evidence,
)
from anomify.detection.jit import Slot, compiled
from anomify.series import Float64s

ALARM: Final = 0
NOVELTY_HEAD: Final = 1

LOG_2: Final = math.log(2.0)  # half lives by exp: a power takes three times as long

# The alarm head. Magnitude against the long memory leads; rarity only ranks novelty: alarms by
# p-value alone lose 0.2 F1 (detection.md 0). What is learnt from data is in `weights`; what stands
# here follows from what the heads have to do.
# What lies far from all values of the last weeks, and came there at once, needs no more evidence:
# far enough for the blind corners of spec/anomify.md, Appendix C.
BEYOND_VALUE: Final = 1.4
BEYOND_NOVELTY: Final = 1.5
BEYOND_JUMP: Final = 1.2
# After such a gap the point before confirms nothing.
STALE_STEPS: Final = 10.0
# Standing still alarms when it lasts about twelve times as long as ever before.
FLAT_ALONE: Final = 2.4
# Where most points repeat the one before (rare errors, mostly none), scales mean little: three is
# not thirty times as bad as the usual zero. There the share of points that were as large decides.
SPARSE: Final = 0.5
SPARSE_RARITY: Final = 1.4
# The display score.
DISPLAY_HALF_LIFE_SECONDS: Final = 900.0
DISPLAY_HALF_LIFE_STEPS: Final = 3.0
# What is named where the value stayed in its range.
_NAMED_JUMP: Final = 2.0
_NAMED_MAGNITUDE: Final = 0.5
_NAMED_FLAT: Final = 4.4
_NAMED_SHIFT: Final = 5.0
_NAMED_NOISE: Final = 3.0
_NAMED_NOVELTY: Final = 2.0


@compiled
def alarm(slot: Slot, features: Float64s, gap: float, step: float) -> float:
    """Return how strongly the features speak for an incident; the next point is told of this one.

    `gap` is the time since the point before, `step` the usual one, both in seconds.
    """
    moving: float = (
        weights.JUMP * features[JUMP]
        + weights.LEVEL_CHANGE * features[LEVEL_CHANGE]
        + weights.FAST_AT_HOUR * features[FAST_AT_HOUR]
        + weights.RELATIVE * features[RELATIVE]
        + weights.NOVELTY * features[NOVELTY]
    )
    beyond: float = (
        BEYOND_VALUE * features[VALUE_SIZE]
        + BEYOND_NOVELTY * features[NOVELTY]
        + BEYOND_JUMP * features[JUMP]
    )
    moving = max(moving, beyond)
    shifted: float = weights.SHIFT_ALONE * features[SHORT_SHIFT]
    if is_sparse(features):
        moving = min(moving, SPARSE_RARITY * features[VALUE_RARITY])
        shifted = min(shifted, SPARSE_RARITY * features[SHORT_SHIFT_RARITY])
    before = slot.moving_before if gap <= STALE_STEPS * step else 0.0
    slot.moving_before = moving
    standing: float = FLAT_ALONE * features[FLATNESS]
    return max(moving + weights.CONFIRMATION * before, shifted, standing)


@compiled
def news(features: Float64s) -> float:
    """Return how new the point is, harmless or not."""
    felt: float = (
        weights.NEW_NOVELTY * features[NOVELTY]
        + weights.NEW_FLATNESS * features[FLATNESS]
        + weights.NEW_LONG_SHIFT * features[LONG_SHIFT]
        + weights.NEW_LONG_SHIFT_RARITY * features[LONG_SHIFT_RARITY]
        + weights.NEW_SHORT_SHIFT_RARITY * features[SHORT_SHIFT_RARITY]
        + weights.NEW_VALUE_RARITY * features[VALUE_RARITY]
        + weights.NEW_STEP_RARITY * features[STEP_RARITY]
        + weights.NEW_NOISE * features[NOISE]
    )
    return felt


@compiled
def is_sparse(features: Float64s) -> bool:
    """Return whether most points repeat the one before."""
    return bool(features[STILLNESS] > SPARSE)


@compiled
def display(slot: Slot, features: Float64s, felt: float, gap: float, step: float) -> float:
    """Return the strength for people, who mark incidents as spans: it fades, it does not break off.

    It is never less than what is felt.
    """
    half_life = max(DISPLAY_HALF_LIFE_SECONDS, DISPLAY_HALF_LIFE_STEPS * step)
    keep = math.exp(-LOG_2 * gap / half_life)
    slot.shown_peak = max(keep * slot.shown_peak, felt)
    slot.shown_value += (1.0 - keep) * (features[VALUE_SIZE] - slot.shown_value)
    slot.shown_relative += (1.0 - keep) * (features[RELATIVE] - slot.shown_relative)
    shown: float = (
        slot.shown_peak
        + weights.SHOWN_VALUE * slot.shown_value
        + weights.SHOWN_RELATIVE * slot.shown_relative
        + weights.SHOWN_SHIFT * features[SHORT_SHIFT]
    )
    return shown


@compiled
def loudest(features: Float64s, value: float, lower: float, upper: float) -> int:
    """Return which evidence to name: the level if the value left its range, else what is largest.

    So an alarm whose sentence speaks of the level always has its value outside the range.
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
    return kind

"""One strength from all the evidence: a linear head for alarms, another one for novelty."""

from typing import Final

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

# The alarm head. Magnitude against the long memory leads; rarity only ranks novelty: alarms by
# p-value alone lose 0.2 F1 (detection.md 0). benchmarks/detection/weigh.py chose the weights, from
# round numbers and on data that may be used; results hardly depend on them.
_JUMP: Final = 1.0
_LEVEL_CHANGE: Final = 0.5
_FAST_AT_HOUR: Final = 0.5
_RELATIVE: Final = 0.3
_NOVELTY: Final = 0.3
# What lies far from all values of the last weeks, and came there at once, needs no more evidence.
_BEYOND_VALUE: Final = 1.4
_BEYOND_NOVELTY: Final = 1.5
_BEYOND_JUMP: Final = 1.2
# A deviation that lasts is an incident more often than a single point, however large.
_CONFIRMATION: Final = 0.3
_STALE_STEPS: Final = 10.0
# Two kinds of incident never show in a single point: many slightly low ones, and none that moves.
_SHIFT_ALONE: Final = 2.8
_FLAT_ALONE: Final = 2.4
# Where most points repeat the one before (rare errors, mostly none), scales mean little: three is
# not thirty times as bad as the usual zero. There the share of points that were as large decides.
_SPARSE: Final = 0.5
_SPARSE_RARITY: Final = 1.4
# The display score.
_DISPLAY_HALF_LIFE_SECONDS: Final = 900.0
_DISPLAY_HALF_LIFE_STEPS: Final = 3.0
_SHOWN_VALUE: Final = 1.5
_SHOWN_RELATIVE: Final = 0.5
_SHOWN_SHIFT: Final = 0.5
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
        _JUMP * features[JUMP]
        + _LEVEL_CHANGE * features[LEVEL_CHANGE]
        + _FAST_AT_HOUR * features[FAST_AT_HOUR]
        + _RELATIVE * features[RELATIVE]
        + _NOVELTY * features[NOVELTY]
    )
    beyond: float = (
        _BEYOND_VALUE * features[VALUE_SIZE]
        + _BEYOND_NOVELTY * features[NOVELTY]
        + _BEYOND_JUMP * features[JUMP]
    )
    moving = max(moving, beyond)
    shifted: float = _SHIFT_ALONE * features[SHORT_SHIFT]
    if is_sparse(features):
        moving = min(moving, _SPARSE_RARITY * features[VALUE_RARITY])
        shifted = min(shifted, _SPARSE_RARITY * features[SHORT_SHIFT_RARITY])
    before = slot.moving_before if gap <= _STALE_STEPS * step else 0.0
    slot.moving_before = moving
    standing: float = _FLAT_ALONE * features[FLATNESS]
    return max(moving + _CONFIRMATION * before, shifted, standing)


@compiled
def news(features: Float64s) -> float:
    """Return how new the point is, harmless or not."""
    felt: float = (
        1.4 * features[NOVELTY]
        + 0.6 * features[FLATNESS]
        + 0.48 * features[LONG_SHIFT]
        + 0.21 * features[LONG_SHIFT_RARITY]
        + 0.1 * features[SHORT_SHIFT_RARITY]
        + 0.07 * features[VALUE_RARITY]
        + 0.07 * features[STEP_RARITY]
        + 0.05 * features[NOISE]
    )
    return felt


@compiled
def is_sparse(features: Float64s) -> bool:
    """Say whether most points repeat the one before."""
    return bool(features[STILLNESS] > _SPARSE)


@compiled
def display(slot: Slot, features: Float64s, felt: float, gap: float, step: float) -> float:
    """Return the strength for people, who mark incidents as spans: it fades, it does not break off.

    It is never less than what is felt.
    """
    half_life = max(_DISPLAY_HALF_LIFE_SECONDS, _DISPLAY_HALF_LIFE_STEPS * step)
    keep = 0.5 ** (gap / half_life)
    slot.shown_peak = max(keep * slot.shown_peak, felt)
    slot.shown_value += (1.0 - keep) * (features[VALUE_SIZE] - slot.shown_value)
    slot.shown_relative += (1.0 - keep) * (features[RELATIVE] - slot.shown_relative)
    shown: float = (
        slot.shown_peak
        + _SHOWN_VALUE * slot.shown_value
        + _SHOWN_RELATIVE * slot.shown_relative
        + _SHOWN_SHIFT * features[SHORT_SHIFT]
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

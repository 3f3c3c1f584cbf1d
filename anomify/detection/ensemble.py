"""One strength from all the evidence: a linear head for alarms, another one for novelty."""

from typing import Final

from anomify.detection.evidence import (
    FAST_RARITY,
    FLATNESS,
    JUMP,
    LEVEL_CHANGE,
    LONG_SHIFT,
    LONG_SHIFT_RARITY,
    MAGNITUDE,
    NOISE,
    NOVELTY,
    SHORT_SHIFT,
    SHORT_SHIFT_RARITY,
    STEP_RARITY,
    STILLNESS,
    VALUE_RARITY,
    Evidence,
)
from anomify.detection.jit import compiled
from anomify.series import Float64s

ALARM: Final = 0
NOVELTY_HEAD: Final = 1

# The alarm head. Magnitude against the long memory leads; rarity only ranks novelty: alarms by
# p-value alone lose 0.2 F1 (detection.md 0). benchmarks/detection/weigh.py chose the weights, from
# round numbers and on data that may be used; results hardly depend on them.
_JUMP: Final = 2.0
_LEVEL_CHANGE: Final = 0.5
_MAGNITUDE: Final = 1.0
_NOISE: Final = 1.0
_NOVELTY: Final = 1.0
_SHORT_SHIFT: Final = 1.0
# Two kinds of incident never show in a single point: many slightly low ones, and none that moves.
_SHIFT_ALONE: Final = 5.0
_FLAT_ALONE: Final = 4.4
# Where most points repeat the one before (rare errors, mostly none), scales mean little: three is
# not thirty times as bad as the usual zero. There the share of points that were as large decides.
_SPARSE: Final = 0.5
_SPARSE_RARITY: Final = 2.5
# What is named where the value stayed in its range.
_NAMED_MAGNITUDE: Final = 0.5
_NAMED_NOISE: Final = 3.0
_NAMED_NOVELTY: Final = 2.0


@compiled
def strength(features: Float64s, head: int) -> float:
    """Return how strongly the features speak, in the unit of that head's thresholds."""
    if head == NOVELTY_HEAD:
        news: float = (
            0.14 * features[SHORT_SHIFT]
            + 0.24 * features[LONG_SHIFT]
            + 0.06 * features[FAST_RARITY]
            + 0.24 * features[VALUE_RARITY]
            + 1.4 * features[NOVELTY]
            + 0.29 * features[FLATNESS]
            + 0.09 * features[SHORT_SHIFT_RARITY]
            + 0.40 * features[LONG_SHIFT_RARITY]
            + 0.09 * features[STEP_RARITY]
        )
        return news
    moving: float = (
        _JUMP * features[JUMP]
        + _LEVEL_CHANGE * features[LEVEL_CHANGE]
        + _MAGNITUDE * features[MAGNITUDE]
        + _NOISE * features[NOISE]
        + _NOVELTY * features[NOVELTY]
        + _SHORT_SHIFT * features[SHORT_SHIFT]
    )
    shifted: float = _SHIFT_ALONE * features[SHORT_SHIFT]
    if features[STILLNESS] > _SPARSE:
        moving = min(moving, _SPARSE_RARITY * features[VALUE_RARITY])
        shifted = min(shifted, _SPARSE_RARITY * features[SHORT_SHIFT_RARITY])
    standing: float = _FLAT_ALONE * features[FLATNESS]
    return max(moving, shifted, standing)


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
    most = _JUMP * features[JUMP] + _NAMED_MAGNITUDE * features[MAGNITUDE]
    if _FLAT_ALONE * features[FLATNESS] > most:
        kind = Evidence.FLAT
        most = _FLAT_ALONE * features[FLATNESS]
    if _SHIFT_ALONE * features[SHORT_SHIFT] > most:
        kind = Evidence.SHIFTED
        most = _SHIFT_ALONE * features[SHORT_SHIFT]
    if _NAMED_NOISE * features[NOISE] > most:
        kind = Evidence.NOISIER
        most = _NAMED_NOISE * features[NOISE]
    if _NAMED_NOVELTY * features[NOVELTY] > most:
        kind = Evidence.NOVEL
    return kind

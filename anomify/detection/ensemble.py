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
    VALUE_RARITY,
    Evidence,
)
from anomify.detection.jit import compiled
from anomify.series import Float64s

ALARM: Final = 0
NOVELTY_HEAD: Final = 1

_FLAT_WEIGHT: Final = 3.0


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
        2.0 * features[JUMP]
        + features[LEVEL_CHANGE]
        + 0.5 * features[MAGNITUDE]
        + 0.5 * features[NOISE]
        + 0.7 * features[NOVELTY]
    )
    standing: float = _FLAT_WEIGHT * features[FLATNESS]
    return max(moving, standing)


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
    most = 2.0 * features[JUMP] + 0.5 * features[MAGNITUDE]
    if features[FLATNESS] * _FLAT_WEIGHT > most:
        kind = Evidence.FLAT
        most = features[FLATNESS] * _FLAT_WEIGHT
    if features[NOISE] * 2.0 > most:
        kind = Evidence.NOISIER
        most = features[NOISE] * 2.0
    if features[LONG_SHIFT] * 2.0 > most:
        kind = Evidence.SHIFTED
        most = features[LONG_SHIFT] * 2.0
    if features[NOVELTY] * 2.0 > most:
        kind = Evidence.NOVEL
    return kind

"""Lowers an alert by how often the metric has raised alerts as strong in the last weeks.

A metric of which such alerts are frequent, because its noise has a heavy tail or its values switch,
raises only those that are stronger than usual for it. A new metric has no history: its alerts are
lowered by its age.
"""

import math

from anomify.detection.alarm_history_constants import (
    BIN,
    CAP_AT_ONE,
    CAP_SHARE,
    CAP_STEP,
    EPISODE_SECONDS,
    EPISODE_STEPS,
    EXPONENT,
    FADE,
    FEW,
    FULL_AGE_SECONDS,
    HALF_LIFE_SECONDS,
    LASTING,
    LASTING_SHARE,
    LEAST,
    LEAST_AGE_SHARE,
    LEAST_RESULT,
    MANY_LASTING,
    NEW_AMOUNT,
    NEW_SECONDS,
    POWER,
    SHORT,
    YOUNG_AMOUNT,
)
from anomify.detection.decay import share_left
from anomify.detection.jit import Slot, compiled
from anomify.detection.state import STRENGTH_BINS, YOUNG_SECONDS


@compiled
def lower_by_history(
    slot: Slot, strength: float, sign: int, seconds: float, gap: float, step: float
) -> float:
    """Return the strength, lowered by the history and the age of the metric, and count it.

    `strength` is that of the alarm head and `sign` its direction (0 up, 1 down), of a point at
    `seconds` (unix); `gap` is the time since the point before and `step` the usual one, in seconds.
    """
    was_strong = slot.strength_before >= LEAST and gap <= EPISODE_STEPS * step
    slot.strength_before = strength
    if strength < LEAST:
        return strength
    kind = LASTING if was_strong else SHORT
    if seconds - slot.episode_end > max(EPISODE_SECONDS, EPISODE_STEPS * step):
        _end_episode(slot, seconds)
    same = _count(slot, strength, sign, kind)
    if strength > slot.episode_peak:
        slot.episode_peak = strength
        slot.episode_sign = sign
    slot.episode_kind = max(slot.episode_kind, kind)
    slot.episode_end = seconds

    age = seconds - slot.first_seconds
    same /= max(LEAST_AGE_SHARE, min(1.0, age / FULL_AGE_SECONDS))
    result: float = strength
    if same > 0.0:
        result = min(result, CAP_AT_ONE - CAP_STEP * math.log(CAP_SHARE[kind] * same))
        result *= (1.0 + (same / FEW[kind]) ** POWER[kind]) ** -EXPONENT
    result -= YOUNG_AMOUNT * max(0.0, 1.0 - age / YOUNG_SECONDS)
    result -= NEW_AMOUNT * max(0.0, 1.0 - age / NEW_SECONDS)
    return max(result, LEAST_RESULT)


@compiled
def _end_episode(slot: Slot, seconds: float) -> None:
    """Let the counts decay until now, and count the episode that has ended by its peak."""
    keep = share_left(seconds - slot.history_seconds, HALF_LIFE_SECONDS)
    for sign in range(2):
        for kind in range(2):
            for bin_ in range(STRENGTH_BINS):
                slot.history[sign, kind, bin_] *= keep
    slot.history_seconds = seconds
    if slot.episode_peak > 0.0:
        bin_ = _bin(slot.episode_peak)
        slot.history[slot.episode_sign, slot.episode_kind, bin_] += 1.0
    slot.episode_peak = 0.0
    slot.episode_kind = SHORT


@compiled
def _count(slot: Slot, strength: float, sign: int, kind: int) -> float:
    """Return the number of earlier episodes that were as strong, weaker ones in part."""
    first = _bin(strength - 0.5 * BIN)
    same = 0.0
    lasting = 0.0
    for bin_ in range(STRENGTH_BINS):
        share = 1.0 if bin_ >= first else math.exp((bin_ - first) * BIN / FADE)
        same += share * slot.history[sign, kind, bin_]
        lasting += share * slot.history[sign, LASTING, bin_]
    if kind == SHORT:
        same += LASTING_SHARE * max(0.0, lasting - MANY_LASTING)
    return same


@compiled
def _bin(strength: float) -> int:
    return min(max(int((strength - LEAST) / BIN), 0), STRENGTH_BINS - 1)

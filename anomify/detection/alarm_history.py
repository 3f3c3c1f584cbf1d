"""Lowers an alert by how often the metric has raised alerts as strong in the last weeks.

A metric of which such alerts are frequent, because its noise has a heavy tail or its values switch,
raises only those that are stronger than usual for it. A new metric has no history: its alerts are
lowered by its age.
"""

import math
from typing import Final

from anomify.detection.band import DAY_SECONDS, HOUR_SECONDS
from anomify.detection.decay import share_left
from anomify.detection.jit import Slot, compiled
from anomify.detection.state import STRENGTH_BINS, YOUNG_SECONDS

SHORT: Final = 0
LASTING: Final = 1

_LEAST: Final = 4.5  # weaker points are neither counted nor lowered
_BIN: Final = 0.5  # the width of a bin of strengths
_HALF_LIFE_SECONDS: Final = 14.0 * DAY_SECONDS
_EPISODE_SECONDS: Final = 3600.0  # strong points with shorter gaps are one episode,
_EPISODE_STEPS: Final = 3.0  # or with gaps of fewer steps
# Weaker alerts count less, by the exponential tail that the strengths of noise have.
_FADE: Final = 1.2
# An alert is lowered by (1 + (n / few) ** power) ** -exponent, n the alerts as strong. One of a
# single point is compared with single points, and a lasting one with lasting ones.
_FEW: Final = (3.5, 16.0)
_POWER: Final = (1.5, 3.0)
_EXPONENT: Final = 0.25
# The first point of a lasting alert cannot be told from a single point: it is compared with a part
# of the lasting ones, where they are many.
_MANY_LASTING: Final = 10.0
_LASTING_SHARE: Final = 0.5
# Nor is it stronger than this: what occurs n times in some weeks is not of a higher severity.
_CAP_AT_ONE: Final = 10.5
_CAP_STEP: Final = 2.2
_CAP_SHARE: Final = (1.0, 0.25)
# Counts are in proportion to the age of a metric, up to this age.
_FULL_AGE_SECONDS: Final = 14.0 * DAY_SECONDS
_LEAST_AGE_SHARE: Final = 0.15
# Two amounts by which alerts of a metric without history are lowered: the first decreases to 0 over
# YOUNG_SECONDS, the second over _NEW_SECONDS.
_YOUNG_AMOUNT: Final = 2.25
_NEW_SECONDS: Final = 6.0 * HOUR_SECONDS
_NEW_AMOUNT: Final = 3.0
_LEAST_RESULT: Final = 0.01


@compiled
def lower_by_history(
    slot: Slot, strength: float, sign: int, seconds: float, gap: float, step: float
) -> float:
    """Return the strength, lowered by the history and the age of the metric, and count it.

    `strength` is that of the alarm head and `sign` its direction (0 up, 1 down), of a point at
    `seconds` (unix); `gap` is the time since the point before and `step` the usual one, in seconds.
    """
    was_strong = slot.strength_before >= _LEAST and gap <= _EPISODE_STEPS * step
    slot.strength_before = strength
    if strength < _LEAST:
        return strength
    kind = LASTING if was_strong else SHORT
    if seconds - slot.episode_end > max(_EPISODE_SECONDS, _EPISODE_STEPS * step):
        _end_episode(slot, seconds)
    same = _count(slot, strength, sign, kind)
    if strength > slot.episode_peak:
        slot.episode_peak = strength
        slot.episode_sign = sign
    slot.episode_kind = max(slot.episode_kind, kind)
    slot.episode_end = seconds

    age = seconds - slot.first_seconds
    same /= max(_LEAST_AGE_SHARE, min(1.0, age / _FULL_AGE_SECONDS))
    result: float = strength
    if same > 0.0:
        result = min(result, _CAP_AT_ONE - _CAP_STEP * math.log(_CAP_SHARE[kind] * same))
        result *= (1.0 + (same / _FEW[kind]) ** _POWER[kind]) ** -_EXPONENT
    result -= _YOUNG_AMOUNT * max(0.0, 1.0 - age / YOUNG_SECONDS)
    result -= _NEW_AMOUNT * max(0.0, 1.0 - age / _NEW_SECONDS)
    return max(result, _LEAST_RESULT)


@compiled
def _end_episode(slot: Slot, seconds: float) -> None:
    """Let the counts decay until now, and count the episode that has ended by its peak."""
    keep = share_left(seconds - slot.history_seconds, _HALF_LIFE_SECONDS)
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
    first = _bin(strength - 0.5 * _BIN)
    same = 0.0
    lasting = 0.0
    for bin_ in range(STRENGTH_BINS):
        share = 1.0 if bin_ >= first else math.exp((bin_ - first) * _BIN / _FADE)
        same += share * slot.history[sign, kind, bin_]
        lasting += share * slot.history[sign, LASTING, bin_]
    if kind == SHORT:
        same += _LASTING_SHARE * max(0.0, lasting - _MANY_LASTING)
    return same


@compiled
def _bin(strength: float) -> int:
    return min(max(int((strength - _LEAST) / _BIN), 0), STRENGTH_BINS - 1)

"""Lowers an alert by how often the metric has raised as strong ones in the last weeks."""

import math
from typing import Final

from anomify.detection.jit import Slot, compiled
from anomify.detection.state import STRENGTH_BINS

_LEAST: Final = 4.5
_BIN: Final = 0.5
LASTING_POINTS: Final = 2
_FADE: Final = 0.8
_HALF_LIFE_SECONDS: Final = 14.0 * 86400.0
_FULL_AGE_SECONDS: Final = 14.0 * 86400.0
_LEAST_AGE_SHARE: Final = 0.15
_FEW_SINGLE: Final = 3.5
_FEW_LASTING: Final = 16.0
_SINGLE_POWER: Final = 1.5
_LASTING_POWER: Final = 3.0
_EXPONENT: Final = 0.3
_OFTEN_LASTING: Final = 10.0
_LASTING_SHARE: Final = 0.5
YOUNG_SECONDS: Final = 4.0 * 86400.0
YOUNG_PENALTY: Final = 3.0
CAP_AT_ONE: Final = 10.5
CAP_STEP: Final = 2.2
LASTING_CAP: Final = 0.25
NEW_SECONDS: Final = 6.0 * 3600.0
NEW_PENALTY: Final = 3.0
LOG_2: Final = math.log(2.0)


@compiled
def lowered(
    slot: Slot, strength: float, direction: int, before: float, seconds: float, gap_limit: float
) -> float:
    """Return the strength, lowered by the alerts of the last weeks that were as strong.

    """
    if strength < _LEAST:
        return strength
    if seconds - slot.episode_seconds > gap_limit and slot.episode_peak > 0.0:
        _close_episode(slot)
    keep = math.exp(-LOG_2 * max(seconds - slot.history_seconds, 0.0) / _HALF_LIFE_SECONDS)
    slot.history_seconds = seconds
    slot.strong_run = slot.strong_run + 1 if before >= _LEAST else 1
    lasting = 1 if slot.strong_run >= LASTING_POINTS else 0
    first = _bin(strength - 0.5 * _BIN)
    same = 0.0
    lasted = 0.0
    for sign in range(2):
        for kind in range(2):
            for bin_ in range(STRENGTH_BINS):
                slot.history[sign, kind, bin_] *= keep
                if sign == direction:
                    share = 1.0 if bin_ >= first else math.exp((bin_ - first) * _BIN / _FADE)
                    if kind == lasting:
                        same += share * slot.history[sign, kind, bin_]
                    if kind == 1:
                        lasted += share * slot.history[sign, kind, bin_]
    if lasting == 0:
        same += _LASTING_SHARE * max(0.0, lasted - _OFTEN_LASTING)
    if strength > slot.episode_peak:
        slot.episode_peak = strength
        slot.episode_direction = direction
    slot.episode_lasting = max(slot.episode_lasting, lasting)
    slot.episode_seconds = seconds
    age = seconds - slot.first_seconds
    share = max(_LEAST_AGE_SHARE, min(1.0, age / _FULL_AGE_SECONDS))
    if lasting == 1:
        often = (same / (_FEW_LASTING * share)) ** _LASTING_POWER
    else:
        often = (same / (_FEW_SINGLE * share)) ** _SINGLE_POWER
    if same > 0.0:
        few = same / share * (LASTING_CAP if lasting == 1 else 1.0)
        strength = min(strength, CAP_AT_ONE - CAP_STEP * math.log(few))
    young = YOUNG_PENALTY * max(0.0, 1.0 - age / YOUNG_SECONDS)
    young += NEW_PENALTY * max(0.0, 1.0 - age / NEW_SECONDS)
    result: float = max(strength * (1.0 + often) ** -_EXPONENT - young, 0.01)
    return result


@compiled
def _bin(strength: float) -> int:
    return min(max(int((strength - _LEAST) / _BIN), 0), STRENGTH_BINS - 1)


@compiled
def _close_episode(slot: Slot) -> None:
    """Count the alert that has ended."""
    slot.history[slot.episode_direction, slot.episode_lasting, _bin(slot.episode_peak)] += 1.0
    slot.episode_peak = 0.0
    slot.episode_lasting = 0

"""Raises a strength as an alert only if it is larger than those of the same incident before.

A long incident thus raises alerts at its strongest points only.
"""

from typing import Final

from anomify.detection.band import BAND_SCALES
from anomify.detection.decay import share_left
from anomify.detection.jit import Slot, compiled

_HALF_LIFE_SECONDS: Final = 7200.0
_HALF_LIFE_STEPS: Final = 3.0
_CALM_POINTS: Final = 5  # in the range, after which an incident has ended
_NOVELTY_KEEP: Final = 1.0 - 10.0**-2.31  # per point; tuned on NAB's development half
_NOVELTY_FACTOR: Final = 1.05


@compiled
def alarm_alert(slot: Slot, strength: float, deviation: float, gap: float, step: float) -> float:
    """Return the strength of the alarm head if it is larger than the record, else 0.

    `deviation` is the slow residual in long scales, with its sign. Each direction has a record of
    its own, the decaying maximum of earlier strengths, so that an outage after a spike is another
    incident; points inside the range are compared with both. The records end when the metric has
    been in its range for some points. `gap` is the time since the point before and `step` the usual
    one, both in seconds.
    """
    is_inside = abs(deviation) < BAND_SCALES
    slot.calm_points = slot.calm_points + 1 if is_inside else 0
    keep = 0.0
    if slot.calm_points < _CALM_POINTS:
        keep = share_left(gap, max(_HALF_LIFE_SECONDS, _HALF_LIFE_STEPS * step))
    slot.record_up *= keep
    slot.record_down *= keep
    record = 0.0
    if is_inside or deviation > 0.0:
        record = slot.record_up
        slot.record_up = max(slot.record_up, strength)
    if is_inside or deviation < 0.0:
        record = max(record, slot.record_down)
        slot.record_down = max(slot.record_down, strength)
    return strength if strength > record else 0.0


@compiled
def novelty_alert(slot: Slot, strength: float) -> float:
    """Return the strength of the novelty head if it is larger than the decaying record, else 0."""
    record = slot.novelty_record * _NOVELTY_KEEP
    slot.novelty_record = max(record, strength)
    return strength if strength > _NOVELTY_FACTOR * record else 0.0

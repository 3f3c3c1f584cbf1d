"""Which points people want to hear of, by what they have set for the metric."""

from anomify.detection.evidence import Evidence
from anomify.detection.jit import Slot, compiled


@compiled
def is_wanted(slot: Slot, evidence: int, fast: float, slow: float) -> bool:
    """Return whether people want to hear of a point whose value lies so far from either forecast.

    Standing still goes neither up nor down and is no change, so it is always heeded.
    """
    if evidence in (Evidence.NONE, Evidence.FLAT):
        return True
    way = fast
    if evidence == Evidence.ABOVE:
        way = 1.0
    elif evidence == Evidence.BELOW:
        way = -1.0
    elif evidence == Evidence.SHIFTED:
        way = slot.shift_short
    if slot.set_direction * way < 0.0:
        return False
    return bool(max(abs(fast), abs(slow)) >= slot.set_smallest)

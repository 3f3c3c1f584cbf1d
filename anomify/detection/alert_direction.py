"""Applies the settings of a metric (direction, smallest change) to the alerts of its points."""

from anomify.detection.evidence import Evidence
from anomify.detection.jit import Slot, compiled


@compiled
def passes_alert_settings(slot: Slot, evidence: int, fast: float, slow: float) -> bool:
    """Return whether a point passes the direction and the smallest change set for its metric.

    `evidence` is a value of `Evidence`; `fast` and `slow` are the residuals of the point (value
    minus forecast) of the fast and of the slow expert, in the unit in which the metric is judged.
    FLAT has neither a direction nor a size, so it passes whatever is set.
    """
    if evidence in (Evidence.NONE, Evidence.FLAT):
        return True
    direction = fast
    if evidence == Evidence.ABOVE:
        direction = 1.0
    elif evidence == Evidence.BELOW:
        direction = -1.0
    elif evidence == Evidence.SHIFTED:
        direction = slot.shift_short
    if slot.set_direction * direction < 0.0:
        return False
    return bool(max(abs(fast), abs(slow)) >= slot.set_smallest)

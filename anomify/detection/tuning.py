"""What people may set for a metric, where they know better than the engine."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.detection.state import EngineState

BOTH_WAYS: Final = 0
UPWARDS: Final = 1
DOWNWARDS: Final = -1

AS_GAUGE: Final = 1
AS_COUNTER: Final = 2


@dataclass(frozen=True, slots=True)
class Tuning:
    """What people have set for one metric; the defaults are as shipped.

    `direction` is BOTH_WAYS, UPWARDS or DOWNWARDS; `smallest_change` is in the unit in which the
    metric is judged (a counter's is its increase a second); `kind` is AS_GAUGE, AS_COUNTER or 0
    for what it turns out to be; `step_ms` is 0 for what it turns out to be; `threshold` is the
    alert from which an anomaly opens, 0 for the shipped one.
    """

    direction: int = BOTH_WAYS
    smallest_change: float = 0.0
    kind: int = 0
    step_ms: int = 0
    threshold: float = 0.0


def tune(state: EngineState, slot: int, tuning: Tuning) -> None:
    """Let it hold for a slot from its next point on.

    What was learnt by another step or of another kind stays learnt; whoever wants it made anew
    judges the past again.
    """
    row = state.slots[slot : slot + 1]
    row["set_direction"] = np.sign(tuning.direction)
    row["set_smallest"] = tuning.smallest_change
    row["set_kind"] = tuning.kind
    row["set_step"] = tuning.step_ms
    row["set_threshold"] = tuning.threshold

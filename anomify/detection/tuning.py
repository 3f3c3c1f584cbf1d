"""The settings of a metric that override what the engine has learnt or its defaults."""

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
    """The settings of one metric; every default leaves the decision to the engine.

    `direction` is BOTH_WAYS, UPWARDS or DOWNWARDS: residuals of the other sign raise no alert.
    `smallest_change` is the least residual that raises one, in the unit in which the metric is
    judged (of a counter: per second). `kind` is AS_GAUGE or AS_COUNTER, 0 to detect it. `step_ms`
    is the time between two points in milliseconds, 0 to detect it. `threshold` is the alert from
    which an anomaly opens, 0 for the threshold of severity LOW.

    >>> Tuning(direction=DOWNWARDS, smallest_change=5.0).kind
    0
    """

    direction: int = BOTH_WAYS
    smallest_change: float = 0.0
    kind: int = 0
    step_ms: int = 0
    threshold: float = 0.0


def tune(state: EngineState, slot: int, tuning: Tuning) -> None:
    """Write the settings into a slot; they hold from its next point on.

    What was learnt before with another step or as another kind is kept; to learn it again, clear
    the slot and judge the stored points again.

    >>> state = EngineState.new(1)
    >>> tune(state, 0, Tuning(kind=AS_COUNTER, step_ms=60_000))
    >>> int(state.slots[0]["set_kind"]), int(state.slots[0]["set_step"])
    (2, 60000)
    """
    row = state.slots[slot : slot + 1]
    row["set_direction"] = np.sign(tuning.direction)
    row["set_smallest"] = tuning.smallest_change
    row["set_kind"] = tuning.kind
    row["set_step"] = tuning.step_ms
    row["set_threshold"] = tuning.threshold

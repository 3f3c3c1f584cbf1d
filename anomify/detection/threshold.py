"""From a strength to a severity: the one set of thresholds for all metrics."""

from enum import IntEnum
from typing import Final

import numpy as np

from anomify.series import Float32s


class Severity(IntEnum):
    """How rarely an alert so strong is false; they are in order."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


FALSE_ALARMS_A_METRIC_WEEK: Final = {
    Severity.LOW: 1.0,
    Severity.MEDIUM: 0.25,
    Severity.HIGH: 0.05,
}
"""The most that was measured at the severity's threshold."""

THRESHOLDS: Final = {Severity.LOW: 11.0, Severity.MEDIUM: 12.3, Severity.HIGH: 14.75}
"""The alert from which a severity holds, as `benchmarks/detection/calibrate.py` measured it."""

NOVELTY_THRESHOLD: Final = 2.478
"""The novelty head has no severities. Its weights and this come from NAB's development half."""

HEAD_THRESHOLDS: Final = (THRESHOLDS[Severity.LOW], NOVELTY_THRESHOLD)
"""By head, as numbered in `detector.Head`."""

_STEEPNESS: Final = 4.0


def severity_of(alert: float) -> Severity | None:
    """Return the highest severity whose threshold the alert reaches, None below the lowest."""
    reached = [severity for severity, threshold in THRESHOLDS.items() if alert >= threshold]
    return max(reached, default=None)


def display_score(strengths: Float32s) -> Float32s:
    """Return strengths as scores from 0 to 1 for people: r^4 / (1 + r^4), r = strength / low.

    So 0.5 is the lowest threshold; the order of strengths is kept.
    """
    power = (np.asarray(strengths, np.float64) / THRESHOLDS[Severity.LOW]) ** _STEEPNESS
    return (power / (1.0 + power)).astype(np.float32)

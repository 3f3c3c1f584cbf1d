"""From a strength to a severity: the one set of thresholds for all metrics."""

import math
from enum import IntEnum
from typing import Final

import numpy as np

from anomify.detection.weights import NEW_THRESHOLD
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
"""The most that a severity's threshold promises."""

MEASURED: Final = (
    (4.0, 5.25),
    (2.0, 5.60),
    (1.0, 6.05),
    (0.5, 6.65),
    (0.25, 7.40),
    (0.125, 8.05),
    (0.05, 9.60),
    (0.025, 10.40),
    (0.01, 11.15),
)
"""False alarms a metric-week, and the least alert that has so few in the worst of the sets that
`benchmarks/detection/calibrate.py` measures."""


def threshold_for(false_alarms_a_week: float) -> float:
    """Return the alert from which a metric raises at most so many false alarms a week.

    What is asked for beyond either end of what was measured gets that end.

    >>> threshold_for(0.25) < threshold_for(0.05)
    True
    """
    accepted = math.log(max(false_alarms_a_week, 1e-9))
    rates = [math.log(rate) for rate, _ in reversed(MEASURED)]
    return float(np.interp(accepted, rates, [alert for _, alert in reversed(MEASURED)]))


THRESHOLDS: Final = {
    severity: threshold_for(allowed) for severity, allowed in FALSE_ALARMS_A_METRIC_WEEK.items()
}
"""The alert from which a severity holds."""

NOVELTY_THRESHOLD: Final = NEW_THRESHOLD
"""The novelty head has no severities. Its weights and this come from NAB's development half."""

HEAD_THRESHOLDS: Final = (THRESHOLDS[Severity.LOW], NOVELTY_THRESHOLD)
"""By head, as numbered in `detector.Head`."""

DISPLAY_THRESHOLD: Final = 0.75
"""The score from which a point is shown as a part of an incident where nothing else tells."""


def severity_of(alert: float) -> Severity | None:
    """Return the highest severity whose threshold the alert reaches, None below the lowest."""
    reached = [severity for severity, threshold in THRESHOLDS.items() if alert >= threshold]
    return max(reached, default=None)


def display_score(displays: Float32s) -> Float32s:
    """Return strengths for people as scores from 0 to 1: r^4 / (1 + r^4), r = display / low.

    So 0.5 is the lowest threshold; the order is kept.
    """
    power = np.square(np.square(np.asarray(displays, np.float64) / THRESHOLDS[Severity.LOW]))
    return (power / (1.0 + power)).astype(np.float32)

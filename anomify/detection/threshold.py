"""The thresholds of alerts, the same for all metrics, and the severity of an alert."""

import math
from enum import IntEnum
from typing import Final

import numpy as np

from anomify.detection.weights import NEW_THRESHOLD
from anomify.series import Float32s


class Severity(IntEnum):
    """The severity of an alert: the higher, the lower the rate of false alerts; ordered.

    >>> Severity.LOW < Severity.HIGH
    True
    """

    LOW = 1
    MEDIUM = 2
    HIGH = 3


FALSE_ALARMS_A_METRIC_WEEK: Final = {
    Severity.LOW: 1.0,
    Severity.MEDIUM: 0.25,
    Severity.HIGH: 0.05,
}
"""The rate of false alarms that the threshold of each severity does not exceed."""

MEASURED: Final = (
    (4.0, 4.6),
    (2.0, 4.7),
    (1.0, 6.05),
    (0.5, 6.40),
    (0.25, 7.45),
    (0.125, 8.40),
    (0.05, 9.80),
    (0.025, 10.50),
    (0.01, 11.70),
)
"""Pairs of false alarms per metric-week and an alert whose rate is not higher, in the worst of the
sets that `benchmarks/detection/calibrate.py` measures; all metrics without incidents are one of
these. The alerts are up to 0.15 higher than measured, a margin for other metrics of the same types.
At one false alarm a week 5.25 would do: the lowest severity is stricter than it promises, because
below 6.05 false alarms grow faster than incidents are found."""


def threshold_for(false_alarms_a_week: float) -> float:
    """Return the alert at which a metric raises that many false alarms a week.

    Interpolates `MEASURED` linearly in the logarithm of the rate. A rate outside the measured ones
    gets the threshold of the nearest measured rate.

    >>> threshold_for(1.0), threshold_for(0.05), threshold_for(1000.0)
    (6.05, 9.8, 4.6)
    """
    accepted = math.log(max(false_alarms_a_week, 1e-9))
    rates = [math.log(rate) for rate, _ in reversed(MEASURED)]
    return float(np.interp(accepted, rates, [alert for _, alert in reversed(MEASURED)]))


THRESHOLDS: Final = {
    severity: threshold_for(allowed) for severity, allowed in FALSE_ALARMS_A_METRIC_WEEK.items()
}
"""The lowest alert of each severity."""

NOVELTY_THRESHOLD: Final = NEW_THRESHOLD
"""The threshold of the novelty head, which has no severities. Like its weights it was learnt
from the development half of the Numenta Anomaly Benchmark (Lavin and Ahmad, ICMLA 2015)."""

HEAD_THRESHOLDS: Final = (THRESHOLDS[Severity.LOW], NOVELTY_THRESHOLD)
"""The lowest threshold of each head, in the order of `detector.Head`."""

DISPLAY_THRESHOLD: Final = 0.75
"""The display score from which a point without an anomaly of its own is drawn as part of one."""


def severity_of(alert: float) -> Severity | None:
    """Return the highest severity whose threshold the alert reaches, None below the lowest.

    >>> severity_of(8.0), severity_of(1.0)
    (<Severity.MEDIUM: 2>, None)
    """
    reached = [severity for severity, threshold in THRESHOLDS.items() if alert >= threshold]
    return max(reached, default=None)


def display_score(displays: Float32s) -> Float32s:
    """Return display strengths as scores from 0 to 1, float32 (n,): r^4 / (1 + r^4), r = x / low.

    `displays` float32 (n,), >= 0; `low` is the threshold of severity LOW, whose score is 0.5. The
    function is monotonic, so the order of points is kept.

    >>> display_score(np.array([0.0, THRESHOLDS[Severity.LOW]], np.float32)).round(3).tolist()
    [0.0, 0.5]
    """
    power = np.square(np.square(np.asarray(displays, np.float64) / THRESHOLDS[Severity.LOW]))
    return (power / (1.0 + power)).astype(np.float32)

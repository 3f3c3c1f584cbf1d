"""Constants of the alarm history, shared by the kernel and its summary, which loads no numba."""

from typing import Final

from anomify.detection.band import DAY_SECONDS, HOUR_SECONDS

SHORT: Final = 0
LASTING: Final = 1

LEAST: Final = 4.5  # weaker points are neither counted nor lowered
BIN: Final = 0.5  # the width of a bin of strengths
HALF_LIFE_SECONDS: Final = 14.0 * DAY_SECONDS
EPISODE_SECONDS: Final = 3600.0  # strong points with shorter gaps are one episode,
EPISODE_STEPS: Final = 3.0  # or with gaps of fewer steps
# Weaker alerts count less, by the exponential tail that the strengths of noise have.
FADE: Final = 1.2
# An alert is lowered by (1 + (n / few) ** power) ** -exponent, n the alerts as strong. One of a
# single point is compared with single points, and a lasting one with lasting ones.
FEW: Final = (3.5, 16.0)
POWER: Final = (1.5, 3.0)
EXPONENT: Final = 0.25
# The first point of a lasting alert cannot be told from a single point: it is compared with a part
# of the lasting ones, where they are many.
MANY_LASTING: Final = 10.0
LASTING_SHARE: Final = 0.5
# Nor is it stronger than this: what occurs n times in some weeks is not of a higher severity.
CAP_AT_ONE: Final = 10.5
CAP_STEP: Final = 2.2
CAP_SHARE: Final = (1.0, 0.25)
# Counts are in proportion to the age of a metric, up to this age.
FULL_AGE_SECONDS: Final = 14.0 * DAY_SECONDS
LEAST_AGE_SHARE: Final = 0.15
# Two amounts by which alerts of a metric without history are lowered: the first decreases to 0 over
# YOUNG_SECONDS, the second over NEW_SECONDS.
YOUNG_AMOUNT: Final = 2.25
NEW_SECONDS: Final = 24.0 * HOUR_SECONDS
NEW_AMOUNT: Final = 3.0
LEAST_RESULT: Final = 0.01

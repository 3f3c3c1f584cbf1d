"""The kinds of evidence that a datapoint is unusual, and the features that measure them."""

from enum import IntEnum
from typing import Final


class Evidence(IntEnum):
    """The kind of evidence that contributed most to the strength of a point.

    >>> Evidence(1).name, int(Evidence.SILENT)
    ('ABOVE', 8)
    """

    NONE = 0
    ABOVE = 1  # the value is above the expected range
    BELOW = 2  # the value is below the expected range
    JUMP = 3  # the value is in the range, but its step from the value before is unusually large
    NOISIER = 4  # the residuals of the newest points are larger than usual
    SHIFTED = 5  # the mean of the newest residuals has moved away from zero
    NOVEL = 6  # the value lies outside all values of the last weeks
    FLAT = 7  # the value has repeated for longer than ever before
    SILENT = 8  # no point has arrived for longer than usual; the worker finds this, not the kernel
    DRIFTING = 9  # the days have moved farther and farther away from those of last week


# The positions of the features of a point, all but the last >= 0 and larger where the point is more
# unusual. Those that compare sizes are log(1 + size / scale).
JUMP: Final = 0  # fast residual; the scale is at least the mean residual of the last hour
LEVEL_CHANGE: Final = 1  # slow residual, with the same lower limit of its scale
MAGNITUDE: Final = 2  # fast residual against the spread of all values
NOISE: Final = 3  # mean absolute fast residual of about 8 points
NOVELTY: Final = 4  # distance outside the range of values of the last weeks
FLATNESS: Final = 5  # how much longer than ever before the value has repeated
SHORT_SHIFT: Final = 6  # mean slow residual of about 8 points
LONG_SHIFT: Final = 7  # mean slow residual of about 48 points
FAST_RARITY: Final = 8  # -log10 of a probability, as the next four; 0 where no head uses it
VALUE_RARITY: Final = 9
SHORT_SHIFT_RARITY: Final = 10
LONG_SHIFT_RARITY: Final = 11
STEP_RARITY: Final = 12
FIRST_RARITY: Final = FAST_RARITY  # there is a histogram for each, in this order
REPEAT_SHARE: Final = 13  # the share of points equal to the point before; no evidence by itself
VALUE_SIZE: Final = 14  # distance from the mean of all values, against their scale
FAST_AT_HOUR: Final = 15  # fast residual against the winsorised scale of this hour of the day
RELATIVE: Final = 16  # slow residual against the mean value
# The next three are those of the display: as JUMP, LEVEL_CHANGE and RELATIVE, without regard to the
# hour and to the neighbouring bins.
PLAIN_JUMP: Final = 17
PLAIN_LEVEL_CHANGE: Final = 18
PLAIN_RELATIVE: Final = 19
TREND: Final = 20  # distance from last week that has grown for three days
DEVIATION: Final = 21  # the slow residual in long scales, with its sign; for the record rule
FEATURES: Final = 22

"""The kinds of evidence that a datapoint is unusual, and the features that measure it."""

from enum import IntEnum
from typing import Final


class Evidence(IntEnum):
    """What spoke most for a point's being unusual."""

    NONE = 0
    ABOVE = 1  # the value is above the expected range
    BELOW = 2
    JUMP = 3  # it lies in the range, but came there in an unusual step
    NOISIER = 4  # it moves about more than it does
    SHIFTED = 5  # the level has moved, little by little
    NOVEL = 6  # a value never seen before
    FLAT = 7  # it has stood still longer than ever
    SILENT = 8  # no point has come for longer than it is usually silent; the worker finds this


# The features of a point, all >= 0 and larger where it is more unusual. Those that compare sizes
# are log(1 + size / scale).
JUMP: Final = 0  # against the fast baseline, guarded by the last hour's restlessness
LEVEL_CHANGE: Final = 1  # against the slow baseline, guarded likewise
MAGNITUDE: Final = 2  # of the jump against the spread of all values
NOISE: Final = 3
NOVELTY: Final = 4
FLATNESS: Final = 5
SHORT_SHIFT: Final = 6
LONG_SHIFT: Final = 7
FAST_RARITY: Final = 8  # -log10 of a chance, as the next four; 0 where no head asks for it
VALUE_RARITY: Final = 9
SHORT_SHIFT_RARITY: Final = 10
LONG_SHIFT_RARITY: Final = 11
STEP_RARITY: Final = 12
FIRST_RARITY: Final = FAST_RARITY  # there is a histogram for each, in this order
STILLNESS: Final = 13  # the share of points that repeat the one before; context, not evidence
VALUE_SIZE: Final = 14  # against the mean and scale of all values
FAST_AT_HOUR: Final = 15  # the jump against what is usual at this hour, large ones left out
RELATIVE: Final = 16  # the level change against the mean value
FEATURES: Final = 17

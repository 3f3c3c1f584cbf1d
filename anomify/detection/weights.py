"""The weights of the scoring heads, written by `benchmarks/detection/train.py`.

Those of the alarm and of the display score were chosen on the development half of MSCLOUD (MIT) and
metrics of the generator with the seed 777, and checked on WSD. Those of the novelty head and its
threshold were learnt from the development half of NAB (MIT). The files of both halves have the
SHA-256 7ef71f5b22f2cfeb2d976e58aa3c8d0b1cb04a80d34f656443261d4079433510.
numpy 2.4.6, numba 0.68.1.
"""

from typing import Final

# The alarm.
JUMP: Final = 0.64
LEVEL_CHANGE: Final = 0.64
FAST_AT_HOUR: Final = 0.64
RELATIVE: Final = 0.39
NOVELTY: Final = 0.39
CONFIRMATION: Final = 0.3
SHIFT_ALONE: Final = 2.8

# The display score, beside the decaying alarm.
SHOWN_VALUE: Final = 3.0
SHOWN_RELATIVE: Final = 1.0
SHOWN_SHIFT: Final = 0.0

# The novelty head and its threshold.
NEW_LONG_SHIFT: Final = 0.68
NEW_VALUE_RARITY: Final = 0.068
NEW_NOVELTY: Final = 1.4
NEW_FLATNESS: Final = 0.34
NEW_SHORT_SHIFT_RARITY: Final = 0.14
NEW_LONG_SHIFT_RARITY: Final = 0.19
NEW_STEP_RARITY: Final = 0.068
NEW_NOISE: Final = 0.068
NEW_THRESHOLD: Final = 2.117

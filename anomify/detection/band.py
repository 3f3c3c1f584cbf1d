"""What the expected range is made by: the kernel draws it, and the forecast goes on with it."""

from typing import Final

BAND_SCALES: Final = 4.0
"""The expected range reaches so many long-memory scales to each side of the slow baseline."""

# The slow experts, in the order of the fields `errors` and `error_points`.
LEVEL: Final = 4
DAY_SLOW: Final = 5
WEEK_SLOW: Final = 6

TRIAL_POINTS: Final = 20
"""An expert is trusted after more forecasts than these."""

# A bin speaks once it has been visited on so many days (weeks): a profile of one day only repeats
# that day's noise and incidents (detection.md 6.1).
DAY_VISITS_NEEDED: Final = 5
WEEK_VISITS_NEEDED: Final = 3

DAY_SECONDS: Final = 86400.0
WEEK_SECONDS: Final = 604800.0
MONDAY_SECONDS: Final = 345600.0  # 1970-01-01 was a Thursday

# The size below which a difference means nothing: of the level, and of the spread.
SMALL_SHARE_OF_LEVEL: Final = 2e-5
SMALL_SHARE_OF_SPREAD: Final = 0.01
TINY: Final = 1e-300

"""Constants of the expected range, shared by the kernel and the forecast."""

from typing import Final

BAND_SCALES: Final = 4.0
"""Half the width of the expected range, in long-memory scales of the slow expert in use."""

# The slow experts, in the order of the fields `errors` and `error_points`.
LEVEL: Final = 4
DAY_SLOW: Final = 5
WEEK_SLOW: Final = 6

TRIAL_POINTS: Final = 20
"""An expert is used once its error has been measured on more forecasts than these."""

# A bin of a seasonal profile is used once it holds so many days (weeks): a profile of a single day
# repeats that day's noise and incidents. From half an hour on a day has one point in each bin.
DAY_VISITS_NEEDED: Final = 2
DAY_VISITS_NEEDED_SPARSE: Final = 4
SPARSE_STEP_SECONDS: Final = 1800.0
WEEK_VISITS_NEEDED: Final = 2

SEASONAL_ERROR_SHARE: Final = 0.95
"""A seasonal expert is used if so much of its mean error is less than that of the level."""

# The scale of an hour of the day, relative to the mean of all hours, with so many points before it
# is believed by half.
HOUR_FACTOR_POINTS: Final = 60.0
LEAST_HOUR_FACTOR: Final = 0.3
MOST_HOUR_FACTOR: Final = 6.0

HOUR_SECONDS: Final = 3600.0
DAY_SECONDS: Final = 86400.0
WEEK_SECONDS: Final = 604800.0
MONDAY_SECONDS: Final = 345600.0  # 1970-01-01 was a Thursday

# The floor of every scale: these shares of the level and of the spread, below which a difference is
# taken for rounding.
SMALL_SHARE_OF_LEVEL: Final = 2e-5
SMALL_SHARE_OF_SPREAD: Final = 0.01
TINY: Final = 1e-300

FAR_NEIGHBOURS: Final = 3
"""Bins of a day by which a job may be early or late."""

EDGE_SCALES: Final = 20.0
"""Bins that differ by so many mean slow residuals are at the edge of a job."""

HEIGHT_SHARE: Final = 0.15
"""The share of its height by which a job of less than an hour may be higher or lower."""

LEAST_BINS_AN_HOUR: Final = 3
"""With fewer bins of a day an hour a job of less than an hour is not seen."""

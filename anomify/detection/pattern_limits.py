"""The limits of what a pattern explains, as `benchmarks/learning.py` found them."""

from typing import Final

from anomify.detection.band import BAND_SCALES

HEIGHT_SHARE: Final = 0.10
"""An excursion may be so much higher than its pattern, and by the noise of the metric."""

MOST_DEVIATION_SHARE: Final = 0.25
"""But not by more than this share of the pattern's distance from the middle of the range."""

QUIETER: Final = 0.5
"""A range less than half as wide as the pattern's lowers the height that is allowed, with it."""

LENGTH_SHARE: Final = 0.10
LENGTH_STEPS: Final = 2
"""An excursion may last so much longer than its pattern: a share and some steps."""

MINUTES_APART: Final = 45.0
"""At most so many minutes apart, two times of the day are the same."""

SHAPE_DISTANCE: Final = 0.9
"""The most that the shapes of an excursion and of its pattern may differ."""

MOTIF_DISTANCE: Final = 0.5
"""The same for a part of a pattern that is neither aligned at the onset nor by the clock."""

ALERT_SLACK: Final = 0.5
"""The alert of what is usual may be so much higher than that of a pattern."""

FREE_TIMES: Final = 3
"""Patterns at so many different times of the day explain at any time of the day."""

WEAK_ALERT: Final = 6.5
"""An alert up to this is weak: one pattern explains it at any time of the day."""

CONTRARY_SLACK: Final = 3.0
"""An unexpected excursion contradicts if its alert is at most so much higher."""

CONTRARY_DISTANCE: Final = 0.8
"""And if its shape differs by no more than this."""

CONTRARY_SHARE: Final = 0.75
"""What is usual is contradicted by more than so many unexpected excursions for each pattern."""

CONTRARY_SHARE_AT_TIME: Final = 1.0
"""So is what a pattern explains at its time of the day, by more of them."""

MINUTES_OF_DISTANCE: Final = 60.0
"""So many minutes apart count as much as a distance of 1, where the nearest label is asked for."""

SHAPE_POINTS: Final = 300
"""Shapes are compared up to so many points after the onset; size and length without an end."""

CONTEXT_OF_LENGTH: Final = 2
"""Of the points before the onset, so many are compared for each point since."""

LEAST_CONTEXT: Final = 10
"""But at least so many."""

NOISE_SHARE: Final = 0.5 / BAND_SCALES  # of the width of the expected range
LEAST_STEPS: Final = 10  # before the onset, to know the noise from
MOST_MOTIFS: Final = 50  # patterns of which parts are searched
MOTIF_CONTEXT: Final = 40  # of the points before the onset that a part begins with

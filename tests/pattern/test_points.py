"""The points that are compared: without what had happened before."""

import numpy as np

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import Excursion, excess_of
from anomify.detection.pattern_match import Patterns
from anomify.pattern.points import without_earlier

HOUR = 3_600_000


def daily_job(day: int, earlier_days: int) -> Excursion:
    """Return the job of an hourly metric that runs for one hour, after so many days with it."""
    values = 100 + np.random.default_rng(day).normal(0, 1, 61)
    values[[60 - 24 * back for back in range(min(earlier_days, 2) + 1)]] += 60
    times = (day * 24 + np.arange(-60, 1, dtype=np.int64)) * HOUR
    return Excursion.at(60, HOUR, times, values, 90.0, 110.0, Evidence.ABOVE, 9.0, 7200, 0)


def test_the_job_of_the_night_before_is_no_part_of_the_shape() -> None:
    first, third = daily_job(3, 0), daily_job(5, 2)
    patterns = Patterns([first])
    found = without_earlier(third)
    assert excess_of(third.values[: third.context], third.lower, third.upper).any()
    assert not excess_of(found.values[: found.context], found.lower, found.upper).any()
    explained = patterns.explain(found)
    assert explained is not None
    assert explained.similarity > 80


def test_keeps_the_points_before_where_most_were_outside() -> None:
    values = np.full(61, 150.0)
    times = np.arange(61, dtype=np.int64) * HOUR
    shifted = Excursion.at(60, HOUR, times, values, 90.0, 110.0, Evidence.ABOVE, 9.0, 7200, 0)
    assert without_earlier(shifted) is shifted

"""What is like a match that a person has called invalid."""

import numpy as np
import pytest

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import Excursion
from anomify.pattern.veto import Veto

MINUTE = 60_000


def excursion(move: float = 60.0, *, hour: float = 2.0, upper: float = 110.0) -> Excursion:
    values = np.full(80, 100.0)
    values[60:] += move
    times = np.arange(80, dtype=np.int64) * MINUTE
    seconds = round(hour * 3600)
    return Excursion.at(60, MINUTE, times, values, 90.0, upper, Evidence.ABOVE, 9.0, seconds, 0)


@pytest.mark.parametrize(
    ("current", "is_alike"),
    [
        (excursion(), True),
        (excursion(70.0), True),
        (excursion(upper=140.0), True),
        (excursion(hour=2.5), True),
        (excursion(hour=3.0), False),
        (excursion(-60.0), False),
        (excursion(30.0), False),
        (excursion(120.0), False),
    ],
    ids=["same", "higher", "other range", "near", "other hour", "other side", "lower", "twice"],
)
def test_compares_direction_time_and_size_whatever_the_range_is(current, is_alike) -> None:
    assert Veto(1, excursion()).is_against(current) == is_alike

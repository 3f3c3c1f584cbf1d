"""What is like an excursion that a person has called unexpected."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import Excursion
from anomify.pattern.in_reach import PatternsInReach, UsablePattern
from anomify.pattern.veto import Veto
from anomify.pattern.wording import NamedPattern

MINUTE = 60_000


def excursion(
    move: float = 60.0,
    *,
    hour: float = 2.0,
    upper: float = 110.0,
    seed: int = 1,
    day: int = 0,
    minutes: int = 20,
) -> Excursion:
    values = 100.0 + np.random.default_rng(seed).normal(0, 1, 100)
    values[60 : 60 + minutes] += move
    values = values[: 60 + minutes]
    times = np.arange(len(values), dtype=np.int64) * MINUTE + day * 86_400_000
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


def in_reach(
    expected: Excursion, unexpected: Excursion, *, is_first: bool = False, is_of_match: bool = False
) -> PatternsInReach:
    name = NamedPattern("job", "", "marked by Alice")
    at = datetime(2026, 11, 1, tzinfo=UTC)
    ids = (2, 1) if is_first else (1, 2)
    one, other = (
        UsablePattern(number, pattern, name, is_growing=False, used_since=at)
        for number, pattern in zip(ids, (expected, unexpected), strict=True)
    )
    return PatternsInReach([one], [other], ZoneInfo("UTC"), {ids[1]} if is_of_match else ())


PATTERN = excursion(day=1)


@pytest.mark.parametrize("is_first", [True, False], ids=["unexpected first", "expected first"])
@pytest.mark.parametrize(
    ("unexpected", "current", "is_told"),
    [
        (excursion(seed=2), excursion(day=9), True),
        (excursion(seed=2), excursion(day=9, minutes=2), True),
        (excursion(80.0, seed=2), excursion(66.0, day=9), False),
        (excursion(70.0, seed=2), excursion(66.5, day=9), True),
        (excursion(70.0, seed=2), excursion(61.0, day=9), False),
        (excursion(seed=2, minutes=40), excursion(day=9), False),
        (excursion(30.0, seed=2), excursion(day=9), False),
    ],
    ids=["same", "onset", "pattern nearer", "it nearer", "usual", "longer", "lower"],
)
def test_its_like_is_told_in_whichever_order_they_were_labelled(
    is_first, unexpected, current, is_told
) -> None:
    patterns = in_reach(PATTERN, unexpected, is_first=is_first)
    assert patterns.without_unexpected.explain(current) is not None
    assert (patterns.explain(current) is None) == is_told


def test_what_was_itself_called_expected_is_explained() -> None:
    assert in_reach(PATTERN, excursion(seed=2), is_first=True).explain(PATTERN) is not None


@pytest.mark.parametrize("is_first", [True, False])
def test_an_invalid_match_counts_until_its_like_is_trained(is_first) -> None:
    patterns = in_reach(PATTERN, excursion(seed=2), is_first=is_first, is_of_match=True)
    assert (patterns.explain(excursion(day=9)) is None) == (not is_first)

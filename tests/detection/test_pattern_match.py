"""What a pattern explains: its like at its time of the day, and nothing larger or longer."""

import numpy as np
import pytest

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import Excursion
from anomify.detection.pattern_match import MismatchReason, Patterns

MINUTE_MS = 60_000


def job(
    *, height: float = 60.0, minutes: int = 30, at: int = 7200, seed: int = 1, sign: int = 1
) -> Excursion:
    """Return an hour of a level of 40 and then a job that adds `height` for some minutes."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0, 60 + minutes + 10)
    values = 40.0 + noise
    values[60 : 60 + minutes] += sign * height
    times = np.arange(len(values), dtype=np.int64) * MINUTE_MS
    return Excursion.at(60, MINUTE_MS, times, values, 36.0, 44.0, Evidence.ABOVE, 9.0, at, 0)


class TestExplain:
    def test_explains_its_like_at_the_same_time_of_the_day(self):
        found = Patterns([job()]).explain(job(seed=2))
        assert found is not None
        assert found.index == 0
        assert found.similarity > 90

    @pytest.mark.parametrize(
        ("other", "reason"),
        [
            ({"height": 150.0}, MismatchReason.LARGER),
            ({"minutes": 60}, MismatchReason.LONGER),
            ({"sign": -1}, MismatchReason.OTHER_DIRECTION),
            ({"at": 7200 + 3600}, MismatchReason.OTHER_TIME),
        ],
    )
    def test_names_what_does_not_agree(self, other, reason):
        patterns = Patterns([job()])
        current = job(seed=2, **other)
        assert patterns.explain(current) is None
        mismatch = patterns.mismatch(0, current)
        assert mismatch is not None
        assert mismatch.reason is reason
        assert mismatch.current > mismatch.allowed

"""Until when a metric is new, and only strong deviations of it are reported."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from anomify.clock import datetime_from_ms
from anomify.detection.detector import judge
from anomify.detection.state import YOUNG_SECONDS, EngineState, describe
from anomify.metric.model import Metric, Progress
from anomify.metric.status import MetricStatus, isolated, status_of
from anomify.metric.young import was_young, with_young_sentence, young_until_ms

MINUTE = 60_000
YOUNG_MS = int(YOUNG_SECONDS * 1000)
FIRST_MS = 1_795_233_540_000


def state_of(count: int, step_ms: int = MINUTE) -> EngineState:
    """Return a state whose only slot has seen so many points from FIRST_MS on."""
    state = EngineState.new(1)
    times = FIRST_MS + step_ms * np.arange(count, dtype=np.int64)
    values = np.random.default_rng(1).normal(100, 1, count)
    judge(state, np.zeros(count, np.int64), times, values)
    return state


def young_until(state: EngineState) -> int:
    return int(describe(state, np.array([0])).young_until_ms[0])


class TestDescribe:
    def test_a_metric_is_young_for_four_days_after_its_first_point(self) -> None:
        assert young_until(EngineState.new(1)) == 0
        for count in (1, 50, 300):
            assert young_until(state_of(count)) == FIRST_MS + YOUNG_MS
        hour = 60 * MINUTE
        assert young_until(state_of(4 * 24, hour)) == FIRST_MS + YOUNG_MS
        assert young_until(state_of(4 * 24 + 1, hour)) == FIRST_MS + YOUNG_MS


def status(until_ms: int, *, created_ms: int = FIRST_MS, seen: int = 300) -> MetricStatus:
    """Return the status of a metric of which this end of being new is stored."""
    metric = Metric(id=1, org_id=1, name="cpu.load", created_at=datetime_from_ms(created_ms))
    progress = Progress(
        metric_id=1,
        judged_until_ms=FIRST_MS,
        points_seen=seen,
        learning_points=100,
        stale_after_ms=5 * MINUTE,
        may_be_silent=False,
        has_ended=False,
        is_constant=False,
        young_until_ms=until_ms,
    )
    return status_of(metric, progress, datetime_from_ms(FIRST_MS + MINUTE))


def at(days: float) -> datetime:
    return datetime_from_ms(FIRST_MS) + timedelta(days=days)


UNTIL_MS = FIRST_MS + YOUNG_MS


class TestYoungUntilMs:
    def test_is_what_is_stored_until_then(self) -> None:
        assert young_until_ms(status(UNTIL_MS), at(0.2)) == UNTIL_MS
        assert young_until_ms(status(UNTIL_MS), at(3.99)) == UNTIL_MS
        assert young_until_ms(status(UNTIL_MS), at(4)) is None
        assert young_until_ms(status(UNTIL_MS), at(40)) is None
        assert young_until_ms(status(0), at(1)) is None

    def test_is_none_for_a_metric_that_is_not_judged(self) -> None:
        judged = status(UNTIL_MS)
        assert young_until_ms(isolated(judged), at(1)) is None
        assert young_until_ms(status(UNTIL_MS, seen=99), at(1)) is None
        assert young_until_ms(status_of(judged.metric, None, at(1)), at(1)) is None
        judged.metric.excluded_by = 7
        excluded = status_of(judged.metric, judged.progress, at(1))
        assert young_until_ms(excluded, at(1)) is None

    def test_is_none_where_it_is_later_than_its_creation_allows(self) -> None:
        """It was learnt again from a part of its past."""
        days_before = FIRST_MS - 30 * 86_400_000
        assert young_until_ms(status(UNTIL_MS, created_ms=days_before), at(1)) is None


class TestWasYoung:
    def test_is_so_before_the_end_of_being_new(self) -> None:
        known = status(UNTIL_MS)
        assert was_young(known.metric, known.progress, UNTIL_MS - 1)
        assert not was_young(known.metric, known.progress, UNTIL_MS)
        assert not was_young(known.metric, None, FIRST_MS)


@pytest.mark.parametrize(
    ("until_ms", "sentence"),
    [
        (None, "Judged."),
        (
            FIRST_MS + YOUNG_MS,
            "Judged. New: until 2026-11-25 03:59 UTC only strong deviations are reported.",
        ),
    ],
)
def test_sentence_tells_until_when_only_strong_deviations_are_reported(
    until_ms: int | None, sentence: str
) -> None:
    assert with_young_sentence("Judged.", until_ms) == sentence

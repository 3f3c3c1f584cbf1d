"""Until when a metric is new, and only strong deviations of it are reported."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from sqlalchemy.orm import Session

from anomify.clock import datetime_from_ms, now
from anomify.detection.detector import judge
from anomify.detection.state import YOUNG_SECONDS, EngineState, describe
from anomify.metric.model import Progress
from anomify.metric.state import PARTITIONS, keep_checkpoint, pack_states
from anomify.metric.status import MetricStatus, isolated, status_of
from anomify.metric.young import with_young_sentence, young_until_ms
from tests.factories import make_metric, make_org

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
        assert young_until(state_of(4 * 24 + 1, hour)) == 0


def stored(count: int, *, created: datetime | None = None) -> MetricStatus:
    """Return the status of a metric with so many points, whose state is stored."""
    org = make_org()
    metric = make_metric(org, "cpu.load", created_at=created or datetime_from_ms(FIRST_MS))
    at = datetime_from_ms(FIRST_MS + count * MINUTE)
    progress = {
        "judged_until_ms": FIRST_MS + (count - 1) * MINUTE,
        "points_seen": count,
        "learning_points": 100,
        "stale_after_ms": 5 * MINUTE,
        "may_be_silent": False,
        "has_ended": False,
        "is_constant": False,
    }
    state = state_of(count)
    ids = np.array([metric.id], np.int64)
    kept = pack_states(ids, lambda _: state.extract(np.array([0])))
    keep_checkpoint(metric.id % PARTITIONS, 1, kept, now())
    return status_of(metric, Progress(metric_id=metric.id, **progress), at)


class TestYoungUntilMs:
    def at(self, days: float) -> datetime:
        return datetime_from_ms(FIRST_MS) + timedelta(days=days)

    def test_is_four_days_after_the_first_point(self, unit: Session) -> None:
        assert unit.is_active
        status = stored(300)
        assert young_until_ms(status, self.at(0.2)) == FIRST_MS + YOUNG_MS
        assert young_until_ms(status, self.at(3.99)) == FIRST_MS + YOUNG_MS
        assert young_until_ms(status, self.at(4)) is None
        assert young_until_ms(status, self.at(40)) is None

    def test_is_over_for_a_metric_that_came_with_its_past(self, unit: Session) -> None:
        assert unit.is_active
        count = 5 * 24 * 60
        status = stored(count, created=self.at(5))
        assert young_until_ms(status, self.at(5)) is None

    def test_is_none_for_a_metric_that_is_not_judged(self, unit: Session) -> None:
        assert unit.is_active
        status = stored(300)
        assert young_until_ms(isolated(status), self.at(1)) is None
        status.progress.points_seen = 99
        learning = status_of(status.metric, status.progress, self.at(1))
        assert young_until_ms(learning, self.at(1)) is None
        status.metric.excluded_by = 7
        excluded = status_of(status.metric, status.progress, self.at(1))
        assert young_until_ms(excluded, self.at(1)) is None
        assert young_until_ms(status_of(status.metric, None, self.at(1)), self.at(1)) is None

    def test_is_none_while_no_state_is_stored(self, unit: Session) -> None:
        assert unit.is_active
        metric = make_metric(make_org(), "cpu.load", created_at=datetime_from_ms(FIRST_MS))
        progress = Progress(
            metric_id=metric.id,
            judged_until_ms=FIRST_MS,
            points_seen=200,
            learning_points=100,
            stale_after_ms=MINUTE,
            may_be_silent=False,
        )
        assert young_until_ms(status_of(metric, progress, self.at(1)), self.at(1)) is None


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

"""An open anomaly continues while its value moves away, and states its peak."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from sqlalchemy.orm import Session

from anomify.detection.detector import judge
from anomify.detection.evidence import Evidence
from anomify.detection.state import EngineState
from anomify.metric.model import Metric
from anomify.pipeline.candidates import PointVerdict, point_verdicts_of
from anomify.pipeline.record import Closed, Extended, Opened, record
from anomify.pipeline.rejudge import rejudge
from anomify.series import Judgements, Series
from tests.factories import make_metric, make_org
from tests.kit.points import MINUTE, START

CLOSING_MS = 5 * MINUTE
FIRST = PointVerdict(
    time_ms=START,
    alert=9.0,
    strength=9.0,
    score=0.9,
    value=90.0,
    lower=20.0,
    upper=80.0,
    evidence=Evidence.ABOVE,
    amount=float("nan"),
    least_alert=6.0,
    unit="",
)


def later(minutes: int, **changes: object) -> PointVerdict:
    return replace(FIRST, time_ms=START + minutes * MINUTE, alert=0.0, **changes)


@pytest.fixture
def metric(unit: Session) -> Metric:
    assert unit.is_active
    return make_metric(make_org())


class TestRecord:
    def test_continues_while_the_value_moves_away_below_the_threshold(self, metric):
        farther = [later(n, strength=3.5, value=90.0 + n) for n in range(1, 12)]
        back = [later(n, strength=1.0, value=50.0, evidence=Evidence.NOVEL) for n in range(12, 19)]
        changes = list(
            record([FIRST, *farther, *back], metric.id, None, CLOSING_MS, step_ms=MINUTE)
        )
        assert [type(each) for each in changes] == [Opened, *[Extended] * 11, Closed]
        span = changes[-1].span
        assert (span.peak_ms, span.ended_ms) == (START + 11 * MINUTE,) * 2
        assert span.explanation == "101 is above the expected 20 to 80."

    @pytest.mark.parametrize(
        "changes",
        [
            {"strength": 2.9, "value": 79.0, "evidence": Evidence.JUMP},
            {"strength": 5.9, "value": 70.0, "evidence": Evidence.JUMP},
        ],
    )
    def test_does_not_continue_at_points_below_the_threshold_in_the_range(self, metric, changes):
        points = [later(n, **changes) for n in range(1, 8)]
        found = list(record([FIRST, *points], metric.id, None, CLOSING_MS, step_ms=MINUTE))
        assert [type(each) for each in found] == [Opened, Closed]
        assert found[-1].span.ended_ms == START

    def test_finds_the_same_anomaly_in_a_stored_series(self, unit, metric):
        count = 3 * 1440
        minutes = np.arange(count)
        values = 100.0 + np.random.default_rng(3).normal(0.0, 3.0, count)
        values += 20.0 * np.sin(2.0 * np.pi * minutes / 1440)
        values[-90:-30] += np.minimum(4.0 * np.arange(60), 200.0)
        times = START + minutes * MINUTE
        verdicts = judge(EngineState.new(1), np.zeros(count, int), times, values)
        rows = np.flatnonzero(verdicts.judged)
        every = list(point_verdicts_of(times, verdicts, rows, least_alert=6.05, unit=""))
        series = Series(times, values, Judgements.none(count))
        again = list(chain.from_iterable(rejudge([series]).point_verdicts))
        found = []
        for points in (every, again):
            spans = {
                change.span
                for change in record(points, metric.id, None, CLOSING_MS, step_ms=MINUTE)
            }
            found.append(
                sorted((one.started_ms, one.last_over_ms, one.explanation) for one in spans)
            )
            unit.expire_all()
        assert found[0] == found[1]
        peak = int(np.nanargmax(values - verdicts.uppers))
        explanations = [text for first, last, text in found[0] if first < times[peak] <= last]
        assert len(explanations) == 1
        assert explanations[0].startswith(f"{values[peak]:.0f} is above the expected ")

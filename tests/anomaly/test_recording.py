"""Anomalies are opened, extended and closed; a repeated call changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import (
    Observation,
    close_anomaly,
    closing_after_ms,
    delete_untouched,
    extend_anomaly,
    is_more_severe,
    not_found_again,
    open_anomaly,
)
from anomify.metric.model import Metric
from anomify.org.model import Org
from tests.factories import make_anomaly, make_metric, make_org

MINUTE = 60_000
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
SIGHTING = Observation(
    time_ms=START_MS,
    value=97.5,
    expected_lower=10.0,
    expected_upper=40.0,
    score=0.6,
    alert=2.0,
    severity="low",
    evidence="above",
    explanation="97.5 is far above the expected 10 to 40.",
)


@pytest.fixture
def metric(unit: Session) -> Metric:
    assert unit.is_active
    return make_metric(make_org())


def observation(minutes: int, **more: object) -> Observation:
    return replace(SIGHTING, time_ms=START_MS + minutes * MINUTE, **more)


def cases(unit: Session) -> list[int]:
    return list(unit.scalars(select(Anomaly.id).order_by(Anomaly.id)))


class TestOpenAnomaly:
    def test_opens_an_anomaly_in_the_metrics_org(self, metric):
        span = open_anomaly(metric, SIGHTING)
        assert span.anomaly.org_id == metric.org_id
        assert span.anomaly.opened_at == START
        assert (span.started_ms, span.last_over_ms, span.peak_ms) == (START_MS,) * 3
        assert span.is_open
        assert span.ended_ms is None

    def test_reopens_an_anomaly_that_covers_the_point(self, unit, metric):
        known = make_anomaly(metric, START, minutes=10)
        known.span.ended_by_silence = True
        span = open_anomaly(metric, observation(4))
        assert (span.anomaly_id, cases(unit)) == (known.id, [known.id])
        assert (span.started_ms, span.last_over_ms) == (START_MS + 4 * MINUTE,) * 2
        assert (span.is_open, span.ended_ms, span.ended_by_silence) == (True, None, False)

    def test_reopens_an_anomaly_that_begins_soon_after(self, unit, metric):
        known = make_anomaly(metric, START)
        assert open_anomaly(metric, observation(-5), 5 * MINUTE).anomaly_id == known.id
        assert known.opened_at == datetime(2026, 11, 20, 11, 55, tzinfo=UTC)
        assert cases(unit) == [known.id]

    def test_opens_another_one_where_the_next_begins_later(self, unit, metric):
        known = make_anomaly(metric, START)
        assert open_anomaly(metric, observation(-6), 5 * MINUTE).anomaly_id != known.id
        assert len(cases(unit)) == 2

    def test_opens_another_one_after_one_that_has_ended(self, unit, metric):
        known = make_anomaly(metric, START, minutes=5)
        assert open_anomaly(metric, observation(6), 5 * MINUTE).anomaly_id != known.id
        assert len(cases(unit)) == 2

    def test_does_not_change_other_metrics(self, unit, metric):
        other = make_anomaly(make_metric(unit.get_one(Org, metric.org_id), "m"), START)
        assert open_anomaly(metric, SIGHTING).anomaly_id != other.id
        assert len(cases(unit)) == 2


class TestExtendAnomaly:
    def test_keeps_the_point_farthest_outside_and_the_highest_alert(self, metric):
        span = open_anomaly(metric, observation(0, alert=7.0, severity="medium"))
        extend_anomaly(span, observation(1, alert=0.0, value=300.0, explanation="300."))
        extend_anomaly(span, observation(2, alert=0.0, value=200.0, explanation="200."))
        assert (span.value, span.peak_ms, span.explanation) == (300.0, START_MS + MINUTE, "300.")
        assert (span.alert, span.severity) == (7.0, "medium")
        extend_anomaly(span, observation(3, alert=0.0, value=-300.0, evidence="below"))
        assert (span.value, span.evidence) == (-300.0, "below")
        extend_anomaly(span, observation(4, alert=0.0, value=350.0, expected_upper=90.0))
        assert (span.value, span.evidence) == (-300.0, "below")

    def test_takes_a_point_outside_rather_than_one_inside(self, metric):
        span = open_anomaly(metric, observation(0, value=30.0, evidence="jump", amount=15.0))
        extend_anomaly(span, observation(1, value=41.0, alert=0.0))
        assert (span.value, span.evidence) == (41.0, "above")
        extend_anomaly(span, observation(2, value=39.0, evidence="jump", alert=9.0))
        assert (span.value, span.evidence, span.alert) == (41.0, "above", 9.0)

    def test_keeps_the_largest_step_of_a_jump(self, metric):
        span = open_anomaly(metric, observation(0, value=30.0, evidence="jump", amount=15.0))
        extend_anomaly(span, observation(1, value=29.0, evidence="jump", amount=-1.0, alert=9.0))
        assert (span.value, span.amount, span.alert) == (30.0, 15.0, 9.0)

    def test_follows_a_value_that_does_not_change(self, metric):
        span = open_anomaly(metric, observation(0, value=30.0, evidence="flat", amount=60.0))
        extend_anomaly(span, observation(5, value=30.0, evidence="flat", amount=360.0, alert=0.0))
        extend_anomaly(span, observation(6, value=30.0, expected_upper=20.0, alert=9.0))
        assert (span.evidence, span.amount) == ("flat", 360.0)

    def test_counts_the_earlier_anomalies_of_the_evidence_that_it_states(self, metric):
        make_anomaly(metric, START.replace(hour=8), evidence="above")
        span = open_anomaly(metric, observation(0, value=30.0, evidence="jump"))
        assert (span.similar_before, span.similar_ms) == (0, None)
        extend_anomaly(span, observation(1, value=41.0, alert=0.0))
        assert (span.similar_before, span.similar_ms) == (1, START_MS - 4 * 60 * MINUTE)

    def test_keeps_the_point_with_the_highest_alert(self, metric):
        span = open_anomaly(metric, SIGHTING)
        assert not extend_anomaly(span, observation(1, alert=1.0, value=50.0))
        assert (span.value, span.peak_ms) == (97.5, START_MS)
        assert extend_anomaly(span, observation(2, alert=9.0, value=200.0, severity="high"))
        assert (span.value, span.peak_ms, span.severity) == (200.0, START_MS + 2 * MINUTE, "high")
        assert span.last_over_ms == START_MS + 2 * MINUTE

    def test_returns_once_that_the_severity_has_risen(self, metric):
        span = open_anomaly(metric, SIGHTING)
        risen = [extend_anomaly(span, observation(n, alert=8.0, severity="high")) for n in (1, 2)]
        assert risen == [True, False]

    def test_never_moves_the_end_back(self, metric):
        span = open_anomaly(metric, observation(3))
        extend_anomaly(span, observation(1))
        assert span.last_over_ms == START_MS + 3 * MINUTE


class TestCloseAnomaly:
    @pytest.mark.parametrize("by_silence", [False, True])
    def test_ends_it_at_its_last_point_over_the_threshold(self, metric, by_silence):
        span = open_anomaly(metric, SIGHTING)
        extend_anomaly(span, observation(7))
        close_anomaly(span, by_silence=by_silence)
        assert (span.is_open, span.ended_ms) == (False, START_MS + 7 * MINUTE)
        assert span.ended_by_silence is by_silence


class TestClosingAfterMs:
    def test_is_three_steps_and_no_less_than_five_minutes(self):
        found = [closing_after_ms(step) for step in (0, 10_000, MINUTE, 10 * MINUTE)]
        assert found == [5 * MINUTE, 5 * MINUTE, 5 * MINUTE, 30 * MINUTE]


class TestIsMoreSevere:
    def test_orders_low_medium_high(self):
        assert is_more_severe("medium", "low")
        assert is_more_severe("high", "medium")
        assert not is_more_severe("low", "low")


class TestNotFoundAgain:
    def test_is_every_span_since_then_except_no_data(self, unit, metric):
        found = make_anomaly(metric, START.replace(hour=14))
        make_anomaly(metric, START.replace(hour=11))
        make_anomaly(make_metric(make_org("Globex")), START.replace(hour=16))
        silence = make_anomaly(metric, START.replace(hour=17))
        silence.span.is_silence = True
        gone = make_anomaly(metric, START)
        unit.flush()
        lost = not_found_again(metric.id, START_MS, {found.id})
        assert [span.anomaly_id for span in lost] == [gone.id]


class TestDeleteUntouched:
    def test_keeps_anomalies_whose_status_was_changed(self, unit, metric):
        kept = make_anomaly(metric, START.replace(hour=14))
        touched = make_anomaly(metric, START.replace(hour=15))
        touched.status = "acknowledged"
        gone = make_anomaly(metric, START)
        unit.flush()
        delete_untouched([touched.id, gone.id])
        assert cases(unit) == sorted([kept.id, touched.id])
        assert unit.scalar(select(Span).where(Span.anomaly_id == gone.id)) is None

"""Queries for anomalies of an org, of a time range and at a moment."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from anomify.anomaly.queries import (
    LOOKUP_TOLERANCE_MS,
    Running,
    count_anomalies,
    get_anomaly,
    get_anomaly_at,
    list_anomalies,
    list_stale_with_open_anomaly,
    open_spans,
)
from anomify.db import session
from anomify.errors import NotFound
from anomify.metric.model import Metric, Progress
from anomify.org.model import Org
from tests.factories import make_anomaly, make_metric, make_org

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
MINUTE = 60_000
HOUR = timedelta(hours=1)


@pytest.fixture
def metric(unit: Session) -> Metric:
    assert unit.is_active
    return make_metric(make_org())


@pytest.fixture
def foreign(unit: Session) -> Metric:
    assert unit.is_active
    return make_metric(make_org("Globex"))


def ids(page: object) -> list[int]:
    return [anomaly.id for anomaly in page.items]


class TestGetAnomaly:
    def test_has_its_evidence_and_metric_loaded(self, unit, metric):
        made = make_anomaly(metric).id
        unit.expunge_all()
        found = get_anomaly(metric.org_id, made)
        assert found.span.metric.name == "cpu.load"

    def test_does_not_find_one_of_another_org(self, metric, foreign):
        made = make_anomaly(metric)
        with pytest.raises(NotFound):
            get_anomaly(foreign.org_id, made.id)


class TestGetAnomalyAt:
    @pytest.mark.parametrize(
        ("minutes", "is_found"), [(-2, False), (-1, True), (0, True), (6, True), (7, False)]
    )
    def test_finds_the_one_that_was_running_within_a_minute(self, metric, minutes, is_found):
        made = make_anomaly(metric, NOON, minutes=5)
        assert LOOKUP_TOLERANCE_MS == MINUTE
        at = (metric.org_id, metric.id, NOON_MS + minutes * MINUTE)
        if is_found:
            assert get_anomaly_at(*at).id == made.id
        else:
            with pytest.raises(NotFound):
                get_anomaly_at(*at)

    def test_finds_an_open_one_however_old_its_last_point_over_the_threshold_is(self, metric):
        made = make_anomaly(metric, NOON, minutes=None)
        assert get_anomaly_at(metric.org_id, metric.id, NOON_MS + 4 * MINUTE).id == made.id
        with pytest.raises(NotFound):
            get_anomaly_at(metric.org_id, metric.id, NOON_MS - 2 * MINUTE)

    def test_does_not_find_one_of_another_org(self, metric, foreign):
        make_anomaly(metric, NOON)
        with pytest.raises(NotFound):
            get_anomaly_at(foreign.org_id, metric.id, NOON_MS)


class TestListAnomalies:
    def test_returns_a_page_newest_first_and_the_total(self, metric, foreign):
        made = [make_anomaly(metric, NOON + hours * HOUR).id for hours in range(3)]
        make_anomaly(foreign, NOON)
        page = list_anomalies(metric.org_id, limit=2)
        assert (ids(page), page.total) == ([made[2], made[1]], 3)
        assert ids(list_anomalies(metric.org_id, limit=2, offset=2)) == [made[0]]
        assert ids(list_anomalies(metric.org_id, oldest_first=True)) == made

    def test_includes_anomalies_that_overlap_the_window(self, metric):
        made = make_anomaly(metric, NOON, minutes=5).id
        end = NOON_MS + 5 * MINUTE
        windows = [(end, end + 1), (end + 1, end + 2), (NOON_MS - 9, NOON_MS), (0, NOON_MS + 1)]
        found = [
            ids(list_anomalies(metric.org_id, from_ms=from_ms, until_ms=until_ms))
            for from_ms, until_ms in windows
        ]
        assert found == [[made], [], [], [made]]

    def test_includes_open_anomalies_in_every_later_window(self, metric):
        made = make_anomaly(metric, NOON, minutes=None).id
        later = NOON_MS + 600 * MINUTE
        assert ids(list_anomalies(metric.org_id, from_ms=later, until_ms=later + 1)) == [made]

    def test_applies_each_filter(self, metric):
        other = make_metric(session().get_one(Org, metric.org_id), "db.load")
        low = make_anomaly(metric, NOON, severity="low", score=0.5).id
        medium = make_anomaly(metric, NOON + HOUR, severity="medium", score=0.7).id
        high = make_anomaly(metric, NOON + 2 * HOUR, minutes=None).id

        def found(**requested: object) -> list[int]:
            return ids(list_anomalies(metric.org_id, oldest_first=True, **requested))

        assert found(least_severity="medium") == [medium, high]
        assert found(least_score=0.7) == [medium, high]
        assert found(running=Running.OPEN) == [high]
        assert found(running=Running.ENDED) == [low, medium]
        assert found(words=["CPU", "load"]) == [low, medium, high]
        assert found(words=["cpu%"]) == []
        assert found(metric_id=other.id) == []


class TestCountAnomalies:
    def test_counts_those_that_began_in_the_window(self, metric, foreign):
        make_anomaly(metric, NOON)
        make_anomaly(foreign, NOON)
        window = {"from_ms": NOON_MS, "until_ms": NOON_MS + 1}
        assert count_anomalies(metric.org_id, **window) == 1
        window = {"from_ms": NOON_MS + 1, "until_ms": NOON_MS + MINUTE}
        assert count_anomalies(metric.org_id, **window) == 0


class TestOpenSpans:
    def test_are_the_open_ones_of_these_metrics(self, unit, metric, foreign):
        make_anomaly(metric, NOON)
        running = [make_anomaly(one, NOON + HOUR, minutes=None).id for one in (metric, foreign)]
        unit.expunge_all()
        # More than one list of values in a statement may have.
        spans = open_spans([*range(10**6, 10**6 + 40_000), metric.id, foreign.id])
        assert sorted(span.anomaly.id for span in spans) == running
        assert {span.metric.name for span in spans} == {"cpu.load"}
        assert [span.metric_id for span in open_spans([foreign.id])] == [foreign.id]
        assert open_spans([]) == []


class TestListStaleWithOpenAnomaly:
    def test_lists_metrics_with_an_open_anomaly_and_stale_points(self, unit, metric, foreign):
        silent = make_metric(unit.get_one(Org, metric.org_id), "silent")
        for one, minutes in ((metric, None), (foreign, 5), (silent, None)):
            made = make_anomaly(one, NOON, minutes=minutes)
            made.span.is_silence = one is silent
            unit.add(
                Progress(
                    metric_id=one.id,
                    judged_until_ms=NOON_MS,
                    points_seen=500,
                    last_value=1.0,
                    resolution_ms=MINUTE,
                    stale_after_ms=5 * MINUTE,
                )
            )
        unit.flush()
        assert list_stale_with_open_anomaly(NOON_MS + 5 * MINUTE) == []
        assert list_stale_with_open_anomaly(NOON_MS + 5 * MINUTE + 1) == [
            (metric.id, NOON_MS, 5 * MINUTE)
        ]

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import time_machine
from pydantic import SecretStr

from anomify.anomaly.charts import (
    MOST_RAW,
    anomaly_image_url,
    chart_of_anomaly,
    chart_of_metric,
    is_settled,
    metric_image_url,
    window_around,
)
from anomify.anomaly.queries import get_anomaly
from anomify.clock import now
from anomify.config import Settings
from anomify.errors import Invalid
from anomify.metric.open_store import open_points
from anomify.metric.queries import get_metric_status
from anomify.metric.store import PointStore
from anomify.org.signed_link import KEY_PURPOSE, org_of_link
from anomify.rendering.chart import ChartLook, Mark
from tests.kit.found import HOUR, MINUTE, NOON, anomaly_at, give_points, org_with_metric

LOOK = ChartLook()


@pytest.fixture
def store(database, tmp_path) -> Iterator[PointStore]:
    opened = open_points(database, tmp_path)
    yield opened
    opened.close()


def window_chart(org, metric, store, from_ms=NOON, until_ms=NOON + HOUR):
    status = get_metric_status(org.id, metric.name, now())
    return chart_of_metric(org, status, store, from_ms=from_ms, until_ms=until_ms, look=LOOK)


@pytest.mark.usefixtures("unit")
class TestChartOfMetric:
    def test_shows_points_and_anomalies_of_the_window(self, store):
        org, metric = org_with_metric("Acme", "web.requests")
        give_points(store, metric, NOON, [5.0] * 60)
        anomaly_at(metric, NOON + 10 * MINUTE, NOON + 12 * MINUTE)
        anomaly_at(metric, NOON + 40 * MINUTE, NOON + 41 * MINUTE, is_open=True)
        anomaly_at(metric, NOON + 3 * HOUR, NOON + 4 * HOUR)
        chart = window_chart(org, metric, store)
        assert chart.title == "web.requests"
        assert chart.values.tolist() == [5.0] * 60
        assert chart.step == MINUTE
        assert sorted(chart.anomalies, key=lambda mark: mark.first_time) == [
            Mark(NOON + 10 * MINUTE, NOON + 12 * MINUTE, 0.8),
            Mark(NOON + 40 * MINUTE, None, 0.8),
        ]

    def test_shows_a_counter_as_its_rate_from_the_first_point_of_the_window_on(self, store):
        org, metric = org_with_metric("Acme", "requests_total", is_counter=True)
        give_points(store, metric, NOON - 2 * MINUTE, [60.0 * minute for minute in range(10)])
        chart = window_chart(org, metric, store)
        assert chart.unit == "per second"
        inside = chart.times >= NOON
        assert chart.times[inside][0] == NOON
        np.testing.assert_allclose(chart.values, 1.0)

    def test_includes_a_point_on_each_side_so_that_the_line_reaches_the_edges(self, store):
        org, metric = org_with_metric("Acme", "web.requests")
        give_points(store, metric, NOON - HOUR, [5.0] * 200)
        chart = window_chart(org, metric, store)
        assert chart.times[0] < NOON
        assert chart.times[-1] > NOON + HOUR

    def test_refuses_a_window_with_too_many_points(self, store):
        org, metric = org_with_metric("Acme", "web.requests")
        with pytest.raises(Invalid, match="shorter window"):
            window_chart(org, metric, store, until_ms=NOON + (MOST_RAW + 1) * MINUTE)

    def test_shows_nothing_of_another_org(self, store):
        _, metric = org_with_metric("Acme", "web.requests")
        globex, same_name = org_with_metric("Globex", "web.requests")
        give_points(store, metric, NOON, [5.0] * 60)
        anomaly_at(metric, NOON, NOON + MINUTE)
        chart = window_chart(globex, same_name, store)
        assert not len(chart.times)
        assert not chart.anomalies


@pytest.mark.usefixtures("unit")
class TestChartOfAnomaly:
    def test_shows_the_time_around_the_anomaly(self, store):
        org, metric = org_with_metric("Acme", "web.requests")
        span = anomaly_at(metric, NOON, NOON + 5 * MINUTE)
        give_points(store, metric, NOON - HOUR, [5.0] * 120)
        chart = chart_of_anomaly(org, get_anomaly(org.id, span.anomaly_id), store, look=LOOK)
        assert chart.from_time < NOON - 5 * HOUR
        assert chart.until_time > NOON + HOUR
        assert [mark.first_time for mark in chart.anomalies] == [NOON]
        assert is_settled(chart)

    def test_is_not_settled_while_the_anomaly_is_open(self, store):
        org, metric = org_with_metric("Acme", "web.requests")
        span = anomaly_at(metric, NOON, NOON + 5 * MINUTE, is_open=True)
        chart = chart_of_anomaly(org, get_anomaly(org.id, span.anomaly_id), store, look=LOOK)
        assert not is_settled(chart)


class TestWindowAround:
    @pytest.mark.parametrize("step", [None, 10_000, MINUTE, 86_400_000])
    @pytest.mark.parametrize("length", [0, MINUTE, 30 * 24 * HOUR])
    @pytest.mark.parametrize("later", [0, HOUR, 4_000 * HOUR])
    def test_contains_the_end_of_the_anomaly_and_never_too_many_points(self, step, length, later):
        span = SimpleNamespace(started_ms=NOON, last_over_ms=NOON + length)
        from_ms, until_ms = window_around(span, step, NOON + length + later)
        assert from_ms < span.last_over_ms < until_ms
        assert (until_ms - from_ms) / (step or MINUTE) <= MOST_RAW

    def test_does_not_extend_into_the_future(self):
        span = SimpleNamespace(started_ms=NOON, last_over_ms=NOON + MINUTE)
        _, until_ms = window_around(span, MINUTE, NOON + 90 * MINUTE)
        assert until_ms == NOON + 91 * MINUTE

    def test_stays_the_same_once_the_time_after_it_is_over(self):
        span = SimpleNamespace(started_ms=NOON, last_over_ms=NOON + MINUTE)
        windows = {window_around(span, MINUTE, NOON + hours * HOUR) for hours in (3, 30, 300)}
        assert len(windows) == 1


class TestAddresses:
    @pytest.fixture
    def settings(self, tmp_path):
        return Settings(
            data_dir=tmp_path, secret_key=SecretStr("k" * 32), public_url="https://anomify.test"
        )

    def test_are_signed_for_the_org_and_the_exact_parameters(self, settings):
        anomaly, org = SimpleNamespace(id=7), SimpleNamespace(uuid="3" * 32)
        address = urlsplit(anomaly_image_url(settings, org, anomaly))
        query = {name: found[0] for name, found in parse_qs(address.query).items()}
        assert (address.netloc, address.path) == ("anomify.test", "/image/anomaly")
        assert query["anomaly_id"] == "7"
        key = settings.key_for(KEY_PURPOSE)
        assert org_of_link(key, address.path, query) == org.uuid
        assert org_of_link(key, address.path, query | {"anomaly_id": "8"}) is None

    def test_contain_any_name_and_whole_seconds(self, settings):
        metric, org = SimpleNamespace(name='up{job="a&b=c 温度"}'), SimpleNamespace(uuid="3" * 32)
        address = urlsplit(metric_image_url(settings, org, metric, 1_500, 9_001))
        query = parse_qs(address.query)
        assert query["metric"] == [metric.name]
        assert (query["from"], query["until"]) == (["1"], ["10"])

    def test_stay_the_same_for_an_hour_and_end_after_a_week(self, settings):
        anomaly, org = SimpleNamespace(id=7), SimpleNamespace(uuid="3" * 32)
        noon = datetime(2026, 3, 5, 12, 5, tzinfo=UTC)
        with time_machine.travel(noon, tick=False):
            first = anomaly_image_url(settings, org, anomaly)
        with time_machine.travel(noon + timedelta(minutes=50), tick=False):
            assert anomaly_image_url(settings, org, anomaly) == first
        query = {name: found[0] for name, found in parse_qs(urlsplit(first).query).items()}
        key = settings.key_for(KEY_PURPOSE)
        with time_machine.travel(noon + timedelta(days=6, hours=23), tick=False):
            assert org_of_link(key, "/image/anomaly", query) == org.uuid
        with time_machine.travel(noon + timedelta(days=7), tick=False):
            assert org_of_link(key, "/image/anomaly", query) is None

"""/org/summary and /org/graph agree with a direct count, on both databases."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import time_machine

from anomify.anomaly.overview import MOST_STRETCHES
from anomify.clock import now
from anomify.db import session
from anomify.metric.judged_counts import JudgedCounter
from anomify.metric.model import Progress
from anomify.native.org import overview as org_overview
from anomify.org.refused_items import Refused, RefusedCounter
from tests.factories import make_anomaly, make_cast, make_metric, make_watcher
from tests.kit.web import error, make_app, strict

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = 86_400
HOUR = 3_600


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [org_overview.blueprint])
    with time_machine.travel(NOON, tick=False):
        yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with time_machine.travel(NOON, tick=False), database.unit_of_work():
        return make_cast()


def requested(client, cast, path, name="dave", **query):
    return strict(client.get(path, headers=cast.headers(name), query_string=query))["data"]


def scattered(seed, count, days):
    """Moments before noon, some of them in the same hour."""
    seconds = np.random.default_rng(seed).integers(1, days * DAY, count)
    return [NOON - timedelta(seconds=int(one)) for one in seconds]


class TestSummary:
    def test_lists_refused_items_of_the_org_only(self, client, cast, database):
        counter = RefusedCounter(database)
        at_ms = int(NOON.timestamp() * 1000)
        for hours in (0, 2, 24 * 8):
            refused = {"quota": Refused(3, "shop.new", "the limit is reached")}
            counter.add(cast.acme.id, "telegraf", refused, at_ms - hours * HOUR * 1000)
        counter.add(cast.acme.id, "flux", {"future": Refused(1, "m", "a clock")}, at_ms - 60_000)
        counter.flush()
        refused = requested(client, cast, "/org/summary")["summary"]["refused"]
        assert refused == [
            {
                "route": "telegraf",
                "kind": "quota",
                "items": 6,
                "last_timestamp": at_ms // 1000,
                "metric": "shop.new",
                "reason": "the limit is reached",
            },
            refused[1],
        ]
        assert (refused[1]["kind"], refused[1]["items"]) == ("future", 1)
        assert requested(client, cast, "/org/summary", "charlie")["summary"]["refused"] == []

    def test_agrees_with_a_direct_count(self, client, cast, database):
        begun, judged = scattered(1, 60, 20), scattered(2, 500, 20)
        with database.unit_of_work():
            metric = make_metric(cast.acme)
            for moment in set(begun):
                make_anomaly(metric, moment)
            times = np.array([int(one.timestamp() * 1000) for one in judged], np.int64)
            JudgedCounter().count(np.full(len(times), metric.id), times)
            make_anomaly(make_metric(cast.globex), NOON - timedelta(days=1))
        summary = requested(client, cast, "/org/summary")["summary"]
        until = int(NOON.timestamp()) + 1
        week = until - 7 * DAY

        def begun_in(first, end):
            return sum(first <= one.timestamp() < end for one in set(begun))

        def judged_in(first, end):
            hours = [one.timestamp() // HOUR * HOUR for one in judged]
            return sum(first // HOUR * HOUR <= hour < end for hour in hours)

        before = begun_in(week - 7 * DAY, week)
        assert summary["anomalies"]["value"] == begun_in(week, until)
        assert summary["anomalies"]["previous"] == before
        change = 100 * (summary["anomalies"]["value"] - before) / before
        assert summary["anomalies"]["change_percent"] == pytest.approx(change, abs=0.06)
        events = summary["analysed_events"]
        assert events["value"] == judged_in(week, until)
        assert events["previous"] == judged_in(week - 7 * DAY, week // HOUR * HOUR)
        assert (summary["from"], summary["until"]) == (week, until)

    def test_counts_reporting_and_alerting_metrics(self, client, cast, database):
        at_ms = int(NOON.timestamp() * 1000)
        with database.unit_of_work():
            for name, seen, silent in (("a", 50, 0), ("b", 500, 0), ("c", 500, HOUR)):
                session().add(
                    Progress(
                        metric_id=make_metric(cast.acme, name).id,
                        judged_until_ms=at_ms - silent * 1000,
                        points_seen=seen,
                        last_value=1.0,
                        resolution_ms=60_000,
                    )
                )
            make_metric(cast.acme, "d")
            for more in ({}, {"is_alerting": False}, {"deleted_at": now()}):
                make_watcher(cast.acme, **more)
        summary = requested(client, cast, "/org/summary")["summary"]
        assert (summary["metrics"], summary["live_metrics"]) == (4, 2)
        assert summary["enabled_alerts"] == 1

    def test_is_empty_for_another_org_without_a_change_in_percent(self, client, cast, database):
        with database.unit_of_work():
            make_anomaly(make_metric(cast.acme), NOON - timedelta(days=1))
        ours = requested(client, cast, "/org/summary")["summary"]["anomalies"]
        assert ours == {"value": 1, "previous": 0, "change_percent": None}
        theirs = requested(client, cast, "/org/summary", "charlie")["summary"]
        assert theirs["anomalies"] == {"value": 0, "previous": 0, "change_percent": None}
        assert (theirs["metrics"], theirs["enabled_alerts"]) == (0, 0)


class TestGraph:
    def test_counts_every_day_with_zeros(self, client, cast, database):
        begun = set(scattered(3, 40, 50))
        with database.unit_of_work():
            metric = make_metric(cast.acme)
            for moment in begun:
                make_anomaly(metric, moment)
            make_anomaly(make_metric(cast.globex), NOON - timedelta(days=80))
        graph = requested(client, cast, "/org/graph")
        days = graph["series"]["anomalies"]
        assert graph["bucket"] == DAY
        assert days[0][0] == min(begun).timestamp() // DAY * DAY
        assert days[-1][0] == NOON.timestamp() // DAY * DAY
        assert [start for start, _ in days] == list(range(days[0][0], days[-1][0] + 1, DAY))
        assert [count for _, count in days] == [
            sum(one.timestamp() // DAY * DAY == start for one in begun) for start, _ in days
        ]

    def test_counts_a_window_in_intervals_of_a_chosen_length(self, client, cast, database):
        with database.unit_of_work():
            metric = make_metric(cast.acme)
            for minutes in (1, 59, 61):
                make_anomaly(metric, NOON - timedelta(minutes=minutes))
        until = int(NOON.timestamp())
        query = {"from": until - 2 * HOUR, "until": until}
        for bucket in ("hour", HOUR):
            graph = requested(client, cast, "/org/graph", bucket=bucket, **query)
            assert graph["series"]["anomalies"] == [[until - 2 * HOUR, 1], [until - HOUR, 2]]

    def test_counts_judged_points_in_the_same_intervals(self, client, cast, database):
        judged = scattered(4, 300, 6)
        with database.unit_of_work():
            metric, other = make_metric(cast.acme), make_metric(cast.globex)
            times = np.array([int(one.timestamp() * 1000) for one in judged], np.int64)
            JudgedCounter().count(np.full(len(times), metric.id), times)
            JudgedCounter().count(np.full(len(times), other.id), times)
        for bucket, seconds in (("day", DAY), ("week", 7 * DAY), (2 * HOUR, 2 * HOUR)):
            series = requested(client, cast, "/org/graph", bucket=bucket)["series"]
            starts = [start for start, _ in series["anomalies"]]
            assert series["analysed_events"] == [
                [start, sum(one.timestamp() // seconds * seconds == start for one in judged)]
                for start in starts
            ]
            assert series["matches"] == series["total_patterns"] == [[one, 0] for one in starts]

    def test_is_a_week_of_zeros_without_anomalies(self, client, cast):
        days = requested(client, cast, "/org/graph")["series"]["anomalies"]
        assert [count for _, count in days] == [0] * 8

    def test_refuses_too_many_intervals(self, client, cast):
        until = int(NOON.timestamp())
        query = {"from": until - MOST_STRETCHES * 60 - 120, "until": until, "bucket": 60}
        reply = client.get("/org/graph", headers=cast.headers("dave"), query_string=query)
        assert list(error(reply)["fields"]) == ["bucket"]

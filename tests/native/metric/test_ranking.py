"""Rankings, sums and details of metrics over HTTP."""

from datetime import timedelta

import numpy as np
import pytest

from anomify.clock import now, now_ms
from anomify.metric.model import Metric
from anomify.native.metric.blueprints import metric_blueprints
from anomify.native.metric.ranking import SPARKLINE_POINTS
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.factories import make_anomaly, make_cast, make_metric, make_watcher
from tests.kit.web import error, make_app, strict

MINUTE = 60_000
DAY = timedelta(days=1)


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        found = make_cast()
        start = now().replace(microsecond=0)
        for name, days in (("often", (1, 2, 3)), ("old", (40, 41, 42, 43)), ("lately", (0.01,))):
            made = make_metric(found.acme, name, created_at=start - 50 * DAY)
            for day in days:
                make_anomaly(made, start - day * DAY)
        make_metric(found.acme, "never")
    return found


@pytest.fixture
def app(cast, database, tmp_path):
    made = make_app(database, tmp_path, metric_blueprints())
    yield made
    made.extensions["anomify"].points.close()


@pytest.fixture
def ask(app, cast):
    client = app.test_client(use_cookies=False)

    def requested(path, who="dave", status=200, **sent):
        reply = client.get(path, headers=cast.headers(who), query_string=sent)
        assert reply.status_code == status, reply.text
        return strict(reply)["data"] if status == 200 else error(reply)

    return requested


@pytest.fixture
def points_of(app, database, cast):
    """Send three quarters of the last day's minutes, a spike among them, and have them judged."""
    app_state = app.extensions["anomify"]

    def send(name):
        with database.unit_of_work(write=False) as session:
            metric_id = session.query(Metric).filter_by(org_id=cast.acme.id, name=name).one().id
        times = now_ms() // MINUTE * MINUTE - MINUTE * np.arange(1, 1440, dtype=np.int64)[::-1]
        times = times[np.arange(len(times)) % 4 != 3]
        values = np.sin(times / 1e6)
        values[500] = 77.0
        ids = np.full(len(times), metric_id, np.int64)
        app_state.points.append(Entry(Points(ids, times, values), Points.empty()))
        analyser = Analyser(database, app_state.points.log, app_state.points.chunks)
        analyser.recover()
        while analyser.run_once():
            pass
        return times

    return send


def names(found):
    return [one["metric"] for one in found["metrics"]]


class TestMostAnomalous:
    def test_ranks_the_last_seven_days(self, ask):
        found = ask("/metrics/mostanomalous")
        assert (names(found), found["total"]) == (["often", "lately"], 2)
        assert [one["count"] for one in found["metrics"]] == [3, 1]
        assert names(ask("/metrics/mostanomalous", **{"from": 1})) == ["old", "often", "lately"]
        assert names(ask("/metrics/mostanomalous", limit=1, offset=1)) == ["lately"]

    def test_draws_the_last_day_with_its_spike(self, ask, points_of):
        times = points_of("often")
        [often, lately] = ask("/metrics/mostanomalous")["metrics"]
        assert lately["sparkline"] == []
        drawn = often["sparkline"]
        assert 30 < len(drawn) <= SPARKLINE_POINTS
        assert max(value for _, value in drawn) == 77.0
        assert drawn[-1][0] == times[-1] // 1000

    @pytest.mark.parametrize(
        ("sent", "field"),
        [({"limit": 101}, "limit"), ({"from": 5, "until": 5}, ""), ({"from": 1e13}, "from")],
    )
    def test_refuses_an_invalid_page_or_window(self, ask, sent, field):
        data = ask("/metrics/mostanomalous", status=400, **sent)
        assert field in "".join(data["fields"])

    def test_shows_nothing_of_another_org(self, ask):
        for path in ("/metrics/mostanomalous", "/metrics/mostrecentlyanomalous"):
            assert ask(path, who="charlie") == {"metrics": [], "total": 0}


class TestMostRecentlyAnomalous:
    def test_ranks_all_time(self, ask):
        found = ask("/metrics/mostrecentlyanomalous")
        assert (names(found), found["total"]) == (["lately", "often", "old"], 3)
        stamps = [one["last_timestamp"] for one in found["metrics"]]
        assert stamps == sorted(stamps, reverse=True)


class TestAnomalySummary:
    def test_counts_the_last_thirty_days_day_by_day(self, ask):
        found = ask("/metric/often/anomalysummary")["summary"]
        assert (found["total"], found["open"], found["mean_score"]) == (3, 0, 0.9)
        assert found["by_severity"] == {"low": 0, "medium": 0, "high": 3}
        assert len(found["by_bucket"]) in {30, 31}
        assert sum(one["count"] for one in found["by_bucket"]) == 3
        assert found["last"] - found["first"] == 2 * 86_400

    def test_counts_in_other_intervals(self, ask):
        until = int(now().timestamp())
        sent = {"from": until - 7 * 86_400, "until": until}
        hours = ask("/metric/anomalysummary", metric="often", bucket="hour", **sent)["summary"]
        assert (hours["bucket"], hours["total"]) == (3_600, 3)
        assert len(hours["by_bucket"]) in {168, 169}
        seconds = ask("/metric/often/anomalysummary", bucket=7_200, **sent)["summary"]
        assert seconds["bucket"] == 7_200

    @pytest.mark.parametrize("sent", [{"bucket": "month"}, {"bucket": 59}, {"bucket": 60}])
    def test_refuses_invalid_intervals(self, ask, sent):
        data = ask("/metric/often/anomalysummary", status=400, **sent)
        assert "bucket" in "".join(data["fields"])

    def test_does_not_find_a_metric_of_another_org(self, ask):
        foreign = ask("/metric/often/anomalysummary", who="charlie", status=404)
        assert foreign == ask("/metric/nothing/anomalysummary", who="charlie", status=404)


class TestDetails:
    def test_contain_watchers_anomalies_and_reporting(self, ask, points_of, cast, database):
        with database.unit_of_work():
            make_watcher(cast.acme, "OFT", name="Ours", is_alerting=False)
            make_watcher(cast.acme, "old", name="Another's")
            make_watcher(cast.globex, "oft", name="Theirs")
        points_of("often")
        found = ask("/metric/often")
        assert [(one["name"], one["alert"]) for one in found["watchers"]] == [("Ours", False)]
        assert found["counts"]["anomalies"] >= 3
        assert found["counts"]["anomalies_7d"] >= 3
        quality = found["quality"]
        assert (quality["resolution"], quality["derivative"], quality["stale"]) == (
            60,
            False,
            False,
        )
        assert quality["sparsity"] == pytest.approx(75, abs=1)

    def test_of_a_metric_without_points_are_null(self, ask):
        found = ask("/metric/never")
        assert found["quality"] == {
            "resolution": None,
            "sparsity": None,
            "derivative": False,
            "stale": False,
        }
        assert found["counts"] == {
            "anomalies": 0,
            "anomalies_7d": 0,
            "open": 0,
            "patterns": 0,
            "matches": 0,
        }
        assert found["watchers"] == []


class TestMetricsList:
    def test_suggests_words_when_asked(self, ask):
        assert ask("/metrics")["chips"] is None
        found = ask("/metrics", include_chips="true", q="o")
        assert {"chip": "often", "count": 1} in found["chips"]
        assert {one["chip"] for one in found["chips"]} == {"often", "old"}

    def test_has_the_requested_order(self, ask, points_of):
        points_of("old")
        assert names(ask("/metrics")) == ["lately", "never", "often", "old"]
        assert names(ask("/metrics", order="newest"))[0] == "never"
        assert names(ask("/metrics", order="recent"))[0] == "old"
        assert names(ask("/metrics", state="live", order="recent"))[0] == "old"
        assert ask("/metrics", state="inactive")["total"] == 0
        ask("/metrics", status=400, order="size")

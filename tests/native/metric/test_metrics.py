"""/metrics and /metric over HTTP: exact points, honest learning, and nothing for strangers."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from flask.testing import FlaskClient

from anomify.clock import now_ms
from anomify.db import Database
from anomify.edge.app_state import AppState
from anomify.metric.state import PARTITIONS
from anomify.native import anomaly
from anomify.native.metric import metrics as metric
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.factories import Cast, make_cast, make_metric, make_token
from tests.kit.points import START
from tests.kit.web import error, make_app, strict
from tests.storage.test_setaside import ROWS, fill, put_blob

MINUTE = 60_000
COUNT = 400
SUB_ROUTES = ["timeseries", "yhat", "anomalies", "graph", "bundle"]
ODD_NAMES = [
    "cpu.load",
    'http_requests_total{code="200",path="/a b/c?d=e&f"}',
    "büro/温度/🌡",
    "timeseries",
    "a/timeseries",
    "50%.of+all",
    '"><svg onload=alert(1)>',
]


@dataclass
class Shop:
    """An app with the metric and anomaly doors, its cast, and points to ask for."""

    client: FlaskClient
    app_state: AppState
    cast: Cast
    read_token: str
    ingest_token: str

    def get(self, url: str, who: str = "alice", **query: Any) -> Any:
        return self.client.get(url, headers=self.cast.headers(who), query_string=query)

    def data(self, url: str, who: str = "alice", **query: Any) -> Any:
        reply = self.get(url, who, **query)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def make_metric(self, name: str = "cpu.load") -> int:
        with self.app_state.database.unit_of_work():
            return make_metric(self.cast.acme, name).id

    def send(self, metric_id: int, times: np.ndarray, values: np.ndarray) -> None:
        ids = np.full(len(times), metric_id, np.int64)
        self.app_state.points.append(Entry(Points(ids, times, values), Points.empty()))

    def judge(self) -> None:
        analyser = Analyser(
            self.app_state.database, self.app_state.points.log, self.app_state.points.chunks
        )
        analyser.recover()
        while analyser.run_once():
            pass
        analyser.checkpoint(range(0, PARTITIONS, 2))
        self.app_state.points.follow()


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    with database.unit_of_work():
        cast = make_cast()
        _, read_token = make_token(cast.acme, "read")
        _, ingest_token = make_token(cast.acme, "ingest", name="sender")
    app = make_app(database, tmp_path, [metric.blueprint, anomaly.blueprint])
    app_state: AppState = app.extensions["anomify"]
    yield Shop(app.test_client(), app_state, cast, read_token, ingest_token)
    app_state.points.close()


def minutes(count: int = COUNT) -> np.ndarray:
    return now_ms() // MINUTE * MINUTE - MINUTE * np.arange(count, dtype=np.int64)[::-1]


def noise(count: int = COUNT) -> np.ndarray:
    return 100 + np.random.default_rng(7).normal(0, 1, count)


class TestMetrics:
    def test_lists_by_name_with_totals_and_words(self, shop: Shop) -> None:
        for name in ("web.cpu", "db.cpu", "db.disk"):
            shop.make_metric(name)
        assert [one["metric"] for one in shop.data("/metrics")["metrics"]] == [
            "db.cpu",
            "db.disk",
            "web.cpu",
        ]
        found = shop.data("/metrics", chips="db,CPU")
        assert ([one["metric"] for one in found["metrics"]], found["total"]) == (["db.cpu"], 1)
        assert shop.data("/metrics", limit=1, offset=1)["metrics"][0]["metric"] == "db.disk"

    def test_says_how_far_learning_is(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        assert shop.data("/metrics")["metrics"][0]["state"] == "waiting"
        shop.send(metric_id, minutes()[-37:], noise()[-37:])
        shop.judge()
        [found] = shop.data("/metrics", state="learning")["metrics"]
        assert (found["learned_points"], found["state_sentence"]) == (
            37,
            "Learning: 37 of 100 points.",
        )
        assert shop.data("/metrics", state="judged")["total"] == 0

    def test_is_empty_for_another_org(self, shop: Shop) -> None:
        shop.make_metric()
        nothing = {"metrics": [], "total": 0, "chips": None}
        assert shop.data("/metrics", who="charlie") == nothing

    @pytest.mark.parametrize(
        "sought", [{"chips": ["a"] * 21}, {"chips": ["a" * 201]}, {"q": "a" * 201}]
    )
    def test_searches_for_so_much_only(self, shop: Shop, sought: dict[str, Any]) -> None:
        headers = shop.cast.headers("alice")
        reply = shop.client.post("/metrics", headers=headers, json=sought)
        assert (reply.status_code, error(reply)["code"]) == (400, "invalid")

    def test_refuses_a_page_that_is_none(self, shop: Shop) -> None:
        reply = shop.get("/metrics", limit=0)
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {"limit"})


class TestMetric:
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_is_found_by_path_and_by_parameter_whatever_its_name(
        self, shop: Shop, name: str
    ) -> None:
        shop.make_metric(name)
        assert shop.data("/metric", metric=name)["metric"]["metric"] == name
        path = "/metric/" + quote(name, safe="")
        assert shop.data(path)["metric"]["metric"] == name
        assert shop.data(path + "/timeseries")["timeseries"] == []

    def test_is_found_by_its_path_whatever_words_and_slashes_are_in_its_name(
        self, shop: Shop
    ) -> None:
        rng = random.Random(20_261_128)
        words = ["x", "graph", "yhat", "settings", "delete", "", "%2F", "größe", "12", "a b?c#d"]
        names = {"/".join(rng.choices(words, k=rng.randint(1, 4))) for _ in range(150)}
        names = {name for name in names if name.strip("/ ") and not name.isdigit()}
        names |= {f"alone/{word}" for word in SUB_ROUTES} | set(SUB_ROUTES)
        ids = {name: shop.make_metric(name) for name in names}
        for name, metric_id in ids.items():
            shown = [shop.data("/metric", metric=name), shop.data(f"/metric/{metric_id}")]
            head, _, word = name.rpartition("/")
            if not (word in SUB_ROUTES and head in names):
                # Where both x and x/graph are there, /metric/x/graph is the graph of x.
                shown += [
                    shop.data("/metric/" + quote(name, safe="/")),
                    shop.data("/metric/" + quote(name, safe="")),
                ]
            assert [one["metric"]["metric"] for one in shown] == [name] * len(shown)
            for path in (f"/metric/{quote(name)}/yhat", f"/metric/{metric_id}/yhat"):
                assert shop.data(path)["yhat"] == {}, name

    def test_is_asked_before_a_name_that_ends_like_the_question(self, shop: Shop) -> None:
        shop.make_metric("x")
        shop.make_metric("x/timeseries")
        assert "timeseries" in shop.data("/metric/x/timeseries")
        assert shop.data("/metric/x/timeseries/timeseries")["timeseries"] == []
        whole = shop.data("/metric", metric="x/timeseries")
        assert whole["metric"]["metric"] == "x/timeseries"

    def test_is_found_by_its_id_where_no_name_is_that_number(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        for url in (f"/metric/{metric_id}", f"/metric/{metric_id}/timeseries", "/metric/bundle"):
            query = {"metric": metric_id} if "bundle" in url else {}
            assert shop.get(url, **query).status_code == 200, url
            assert shop.get(url, "charlie", **query).status_code == 404, url
        assert shop.data("/anomalies", metric=metric_id)["total"] == 0
        for nobodys in ("0", "-1", f"0{metric_id}", f"{metric_id}.0", "9" * 30, str(2**31)):
            assert shop.get(f"/metric/{nobodys}").status_code == 404, nobodys
        shop.make_metric(str(metric_id))
        assert shop.data(f"/metric/{metric_id}")["metric"]["metric"] == str(metric_id)

    def test_is_not_found_where_neither_part_nor_whole_is_a_name(self, shop: Shop) -> None:
        for word in SUB_ROUTES:
            assert shop.get(f"/metric/none/{word}").status_code == 404
            assert error(shop.get(f"/metric/{word}"))["fields"] == {
                "metric": "This parameter is needed."
            }

    def test_answers_post_like_get(self, shop: Shop) -> None:
        shop.make_metric()
        headers = shop.cast.headers("alice")
        asked = [
            shop.client.post("/metric", headers=headers, data={"metric": "cpu.load"}),
            shop.client.post("/metric", headers=headers, json={"metric": "cpu.load"}),
            shop.client.post("/metric/cpu.load", headers=headers),
        ]
        assert [strict(one)["data"]["metric"]["metric"] for one in asked] == ["cpu.load"] * 3

    @pytest.mark.parametrize(
        "path", ["", "/timeseries", "/yhat", "/anomalies", "/bundle", "/graph"]
    )
    def test_does_not_exist_for_another_org_nor_for_nobody(self, shop: Shop, path: str) -> None:
        shop.make_metric()
        foreign = shop.get(f"/metric/cpu.load{path}", who="charlie")
        unknown = shop.get(f"/metric/no.such{path}", who="charlie")
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert error(foreign) == error(unknown)
        assert shop.client.get(f"/metric/cpu.load{path}").status_code == 401

    def test_lets_a_reading_token_in_and_an_ingesting_one_not(self, shop: Shop) -> None:
        shop.make_metric()
        statuses = [
            shop.client.get("/metric/cpu.load", headers={"X-Auth-Token": token}).status_code
            for token in (shop.read_token, shop.ingest_token)
        ]
        assert statuses == [200, 403]


class TestTimeseries:
    def test_gives_every_point_back_exactly(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        times, values = minutes(), noise()
        times[5] += 123
        shop.send(metric_id, times, values)
        shop.judge()
        told = shop.data("/metric/cpu.load/timeseries", resolution="raw")["timeseries"]
        assert told == [
            [time / 1000, value] for time, value in zip(times, values.tolist(), strict=True)
        ]

    def test_says_where_stored_points_cannot_be_read(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        points = shop.app_state.points
        chunks = points.chunks
        fill(chunks, metric_id)
        window = {"from": START // 1000, "until": START // 1000 + 86_400}
        assert shop.data("/metric/cpu.load/timeseries", **window)["missing"] == []
        put_blob(chunks._database, metric_id, b"rubbish")
        for resolution in ("raw", 60):
            found = shop.data("/metric/cpu.load/timeseries", resolution=resolution, **window)
            begin = START // 1000
            assert found["missing"] == [{"begin": begin, "end": begin + 4 * 3600}]
            assert len(found["timeseries"]) == ROWS
        assert shop.data("/metric/cpu.load/bundle", **window)["missing"] == found["missing"]
        window = {"from": START // 1000 - 86_400, "until": START // 1000}
        assert shop.data("/metric/cpu.load/timeseries", **window)["missing"] == []

    def test_shows_a_point_of_a_clock_that_is_ahead(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        ahead_ms = now_ms() // 1000 * 1000 + np.array([60_000, 290_000], np.int64)
        shop.send(metric_id, ahead_ms, np.array([1.0, 2.0]))
        pairs = [[ahead_ms[0] // 1000, 1.0], [ahead_ms[1] // 1000, 2.0]]
        shop.judge()
        assert shop.data("/metric/cpu.load/timeseries")["timeseries"] == pairs
        assert shop.data("/metric/cpu.load/timeseries", resolution="raw")["timeseries"] == pairs
        assert shop.data("/metric/cpu.load/bundle")["timeseries"] == pairs
        until = int(ahead_ms[0]) // 1000 + 1
        told = shop.data("/metric/cpu.load/timeseries", until=until)
        assert told["timeseries"] == pairs[:1]

    def test_thins_a_long_window_and_keeps_the_spike(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        count = 10_000
        times = now_ms() // 1000 * 1000 - 1000 * np.arange(count, dtype=np.int64)[::-1]
        values = np.zeros(count)
        values[4321] = 99.0
        shop.send(metric_id, times, values)
        told = shop.data("/metric/cpu.load/timeseries")
        assert told["downsampled"]
        assert len(told["timeseries"]) <= 2000
        assert [times[4321] / 1000, 99.0] in told["timeseries"]

    def test_thins_by_a_resolution_in_seconds(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        start = now_ms() // 3_600_000 * 3_600_000 - 7_200_000
        times = start + MINUTE * np.arange(120, dtype=np.int64)
        shop.send(metric_id, times, np.arange(120.0))
        told = shop.data("/metric/cpu.load/timeseries", resolution=3600)
        assert [value for _, value in told["timeseries"]] == [0.0, 59.0, 60.0, 119.0]
        assert (told["resolution"], told["downsampled"]) == (3600, True)

    def test_says_the_step_of_what_it_shows(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        shop.send(metric_id, minutes(), noise())
        shop.judge()
        for asked, step, is_thinned in (("raw", 60, False), (30, 60, False), (300, 300, True)):
            told = shop.data("/metric/cpu.load/timeseries", resolution=asked)
            assert (told["resolution"], told["downsampled"]) == (step, is_thinned)
            assert shop.data("/metric/cpu.load")["metric"]["resolution"] == 60

    def test_refuses_more_raw_points_than_a_reply_holds(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        times = now_ms() - 100 * np.arange(200_001, dtype=np.int64)[::-1]
        shop.send(metric_id, times, np.zeros(len(times)))
        reply = shop.get("/metric/cpu.load/timeseries", resolution="raw")
        assert reply.status_code == 400
        assert "200,000" in error(reply)["message"]
        for thinned in ("/metric/cpu.load/timeseries", "/metric/cpu.load/bundle"):
            told = shop.data(thinned)
            assert told["downsampled"] is True
            assert len(told["timeseries"]) <= 2000

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"from": 2_000, "until": 1_000}, None),
            ({"from": 1_700_000_000_000}, "from"),
            ({"from": "yesterday"}, "from"),
            ({"resolution": -5}, "resolution"),
        ],
    )
    def test_refuses_a_window_that_is_none(
        self, shop: Shop, query: dict[str, Any], field: str | None
    ) -> None:
        shop.make_metric()
        reply = shop.get("/metric/cpu.load/timeseries", **query)
        assert reply.status_code == 400
        if field:
            assert any(name.startswith(field) for name in error(reply)["fields"])

    def test_gives_a_counters_rate_when_asked(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        shop.send(metric_id, minutes(4), np.array([0.0, 60.0, 180.0, 30.0]))
        told = shop.data("/metric/cpu.load/timeseries", resolution="raw", derivative="true")
        assert [value for _, value in told["derivative"]] == [1.0, 2.0, 0.5]


class TestYhat:
    def test_is_the_same_however_far_one_zooms(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        times = minutes()
        shop.send(metric_id, times, noise())
        shop.judge()
        wide = shop.data("/metric/cpu.load/yhat")["yhat"]
        narrow = shop.data(
            "/metric/cpu.load/yhat", **{"from": int(times[300] // 1000), "include_value": "true"}
        )["yhat"]
        assert len(wide) == COUNT - 100
        assert len(narrow) == COUNT - 300
        for timestamp, expected in narrow.items():
            assert expected.pop("value") is not None
            for bound in ("3sigma_lower", "3sigma_upper"):
                expected.pop(bound)
                wide[timestamp].pop(bound)
            assert wide[timestamp] == expected
            assert expected["yhat_lower"] < expected["yhat_upper"]

    def test_gives_the_classical_bounds_beside_the_range(self, shop: Shop) -> None:
        times, values = minutes(), noise()
        # A second one: its state is among those that are kept here.
        shop.make_metric("first")
        shop.send(shop.make_metric(), times, values)
        shop.judge()
        yhat = shop.data("/metric/cpu.load/yhat", until=int(times[-1] // 1000) + 600)["yhat"]
        for place in (100, 250, COUNT - 1):
            seen, said = values[: place + 1], yhat[str(int(times[place] // 1000))]
            assert said["3sigma_lower"] == pytest.approx(seen.mean() - 3 * seen.std())
            assert said["3sigma_upper"] == pytest.approx(seen.mean() + 3 * seen.std())
        *_, last, ahead = sorted(yhat)[: COUNT - 100 + 1]
        assert yhat[ahead]["forecast"]
        assert yhat[ahead]["3sigma_upper"] == yhat[last]["3sigma_upper"]


class TestBundle:
    def test_adds_what_is_asked_for_and_nothing_else(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        times, values = minutes(), noise()
        values[200:203] += 60
        shop.send(metric_id, times, values)
        shop.judge()
        plain = shop.data("/metric/cpu.load/yhat")
        assert plain["anomalous_periods"] is None
        assert all(
            set(one) == {"yhat_lower", "yhat_upper", "3sigma_lower", "3sigma_upper", "score"}
            for one in plain["yhat"].values()
        )
        without = shop.data("/metric/cpu.load/yhat", include_3sigma="false")
        assert all(
            set(one) == {"yhat_lower", "yhat_upper", "score"} for one in without["yhat"].values()
        )
        asked = ("value", "mean", "yhat_real_lower", "anomalous_periods")
        full = shop.data("/metric/cpu.load/yhat", **{f"include_{one}": "true" for one in asked})
        [(began, ended)] = full["anomalous_periods"]
        assert began == times[200] // 1000 < ended
        for one in full["yhat"].values():
            assert one["mean"] == pytest.approx((one["yhat_lower"] + one["yhat_upper"]) / 2)
            least = max(one["yhat_lower"], float(values.min()))
            assert one["yhat_real_lower"] == pytest.approx(least)
            assert one["value"] >= values.min()

    def test_holds_all_that_a_page_shows(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        times, values = minutes(), noise()
        values[350:353] += 60
        shop.send(metric_id, times, values)
        shop.judge()
        told = shop.data("/metric/cpu.load/bundle")
        assert len(told["timeseries"]) == COUNT
        assert told["metric"]["state"] == "judged"
        [found] = told["anomalies"]
        assert found["timestamp"] == times[350] / 1000
        assert len(told["yhat"]) == COUNT - 100
        assert told["total"] == 1

    def test_holds_only_the_parts_that_were_asked_for(self, shop: Shop) -> None:
        shop.send(shop.make_metric(), minutes(), noise())
        shop.judge()
        fields = {
            "metric": {"metric"},
            "timeseries": {"timeseries", "derivative", "resolution", "downsampled", "missing"},
            "yhat": {"yhat"},
            "anomalies": {"anomalies", "total"},
            "events": {"events"},
        }
        whole = shop.data("/metric/cpu.load/bundle")
        assert set(whole) == set().union(*fields.values())
        for count in (1, 2, 5):
            for parts in combinations(fields, count):
                found = shop.data("/metric/cpu.load/bundle", parts=",".join(parts))
                assert set(found) == set().union(*(fields[part] for part in parts))
                for name, said in found.items():
                    if name != "yhat":
                        assert said == whole[name], name
        refused = shop.get("/metric/cpu.load/bundle", parts="yhat,matches")
        assert refused.status_code == 400
        assert "parts" in str(error(refused)["fields"])

    def test_draws_a_counter_as_what_is_judged_of_it(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        steps = np.random.default_rng(3).uniform(50, 70, COUNT)
        shop.send(metric_id, minutes(), np.cumsum(steps))
        shop.judge()
        told = shop.data("/metric/cpu.load/bundle")
        assert told["metric"]["is_counter"]
        expected = list(told["yhat"].values())[-1]
        rate = told["derivative"][-1][1]
        assert expected["yhat_lower"] <= rate <= expected["yhat_upper"]

    def test_expects_nothing_of_a_counters_point_without_a_rate(self, shop: Shop) -> None:
        times = minutes()
        shop.send(shop.make_metric(), times, np.cumsum(10 + np.abs(noise())))
        shop.judge()
        last = int(times[-1]) // 1000
        window = {"from": last, "until": last + 1, "include_value": True}
        told = shop.data("/metric/cpu.load/bundle", **window)
        assert len(told["timeseries"]) == 1
        assert told["derivative"] == []
        assert told["yhat"] == {}


class TestGraph:
    def test_is_a_png_that_is_not_sent_twice(self, shop: Shop) -> None:
        metric_id = shop.make_metric()
        shop.send(metric_id, minutes(), noise())
        window = {"from": int(minutes()[0] // 1000), "until": int(minutes()[-1] // 1000) + 60}
        reply = shop.get("/metric/cpu.load/graph", **window)
        assert (reply.status_code, reply.mimetype) == (200, "image/png")
        assert reply.data.startswith(b"\x89PNG")
        headers = {**shop.cast.headers("alice"), "If-None-Match": reply.headers["ETag"]}
        again = shop.client.get("/metric/cpu.load/graph", headers=headers, query_string=window)
        assert again.status_code == 304

    def test_draws_values_of_any_size(self, shop: Shop) -> None:
        most = 1.7976931348623157e308
        pairs = [(0, 5e-324), (5e-324, -5e-324), (most, -most), (1e308, 1e308), (1, 1 + 2**-52)]
        for number, values in enumerate([*pairs, (2.3e-308, 0), (0, -0.0), (most,), (5e-324,)]):
            times = minutes(len(values))
            name = f"extreme.{number}"
            shop.send(shop.make_metric(name), times, np.array(values, float))
            reply = shop.get(f"/metric/{name}/graph")
            assert (reply.status_code, reply.mimetype) == (200, "image/png"), values
            for route in ("timeseries", "yhat", "bundle"):
                assert shop.get(f"/metric/{name}/{route}", include_value="true").status_code == 200


class TestForecast:
    def judged_shop(self, shop: Shop) -> np.ndarray:
        times = minutes()
        shop.send(shop.make_metric(), times, noise())
        analyser = Analyser(
            shop.app_state.database, shop.app_state.points.log, shop.app_state.points.chunks
        )
        analyser.recover()
        while analyser.run_once():
            pass
        analyser.checkpoint(range(PARTITIONS))
        shop.app_state.points.follow()
        return times

    def test_goes_on_after_the_newest_point_as_far_as_is_asked(self, shop: Shop) -> None:
        times = self.judged_shop(shop)
        last = int(times[-1]) // 1000
        window = {"from": last - 3600, "until": last + 1800}
        for url in ("/metric/cpu.load/yhat", "/metric/cpu.load/bundle"):
            yhat = shop.data(url, **window)["yhat"]
            ahead = [int(time) for time, found in yhat.items() if found.get("forecast")]
            assert ahead == list(range(last + 60, last + 1800, 60))
            assert [int(time) for time in yhat if int(time) <= last][-1] == last
        first, judged = yhat[str(last + 60)], yhat[str(last)]
        assert first["yhat_lower"] == pytest.approx(judged["yhat_lower"], abs=0.5)
        assert first["yhat_upper"] == pytest.approx(judged["yhat_upper"], abs=0.5)

    def test_is_the_same_in_every_window_and_ends_a_day_ahead(self, shop: Shop) -> None:
        last = int(self.judged_shop(shop)[-1]) // 1000

        def ahead(until: int) -> dict[str, Any]:
            yhat = shop.data("/metric/cpu.load/yhat", until=until, **{"from": last})["yhat"]
            return {time: found for time, found in yhat.items() if found.get("forecast")}

        short, long = ahead(last + 600), ahead(last + 3 * 86_400)
        assert short.items() <= long.items()
        assert 86_300 <= max(map(int, long)) - last <= 86_400 + 60
        assert ahead(last + 1) == {}

    def test_is_none_while_the_metric_learns_or_nothing_was_kept(self, shop: Shop) -> None:
        shop.send(shop.make_metric(), minutes(50), noise(50))
        shop.judge()
        until = now_ms() // 1000 + 3600
        assert shop.data("/metric/cpu.load/yhat", until=until)["yhat"] == {}
        shop.make_metric("unheard")
        assert shop.data("/metric/unheard/yhat", until=until)["yhat"] == {}


class TestCounterRange:
    def test_has_a_range_at_the_first_point_of_any_window(self, shop: Shop) -> None:
        times = minutes()
        total = np.cumsum(np.round(np.abs(noise())))
        shop.send(shop.make_metric("requests_total"), times, total)
        shop.judge()
        start = int(times[250]) // 1000
        yhat = shop.data("/metric/requests_total/yhat", **{"from": start})["yhat"]
        assert min(map(int, yhat)) == start

"""/metric over HTTP: names of every kind in paths, ids, tenants and tokens."""

import random
from urllib.parse import quote

import numpy as np
import pytest

from anomify.clock import datetime_from_timestamp
from tests.kit.metric_api import MINUTE, MetricApi, minutes, noise
from tests.kit.web import error, strict

SUB_ROUTES = [
    *("timeseries", "yhat", "anomalies", "graph", "bundle"),
    *("settings", "anomalysummary"),
]
ODD_NAMES = [
    "cpu.load",
    'http_requests_total{code="200",path="/a b/c?d=e&f"}',
    "büro/温度/🌡",
    "timeseries",
    "a/timeseries",
    "50%.of+all",
    '"><svg onload=alert(1)>',
]


class TestMetric:
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_is_found_by_path_and_by_parameter_with_any_name(
        self, api: MetricApi, name: str
    ) -> None:
        api.make_metric(name)
        assert api.data("/metric", metric=name)["metric"]["metric"] == name
        path = "/metric/" + quote(name, safe="")
        assert api.data(path)["metric"]["metric"] == name
        assert api.data(path + "/timeseries")["timeseries"] == []

    def test_is_found_by_path_with_words_and_slashes_in_its_name(self, api: MetricApi) -> None:
        rng = random.Random(20_261_128)
        words = ["x", "graph", "yhat", "settings", "delete", "", "%2F", "größe", "12", "a b?c#d"]
        names = {"/".join(rng.choices(words, k=rng.randint(1, 4))) for _ in range(150)}
        names = {name for name in names if name.strip("/ ") and not name.isdigit()}
        names |= {f"alone/{word}" for word in SUB_ROUTES} | set(SUB_ROUTES)
        ids = {name: api.make_metric(name) for name in names}
        for name, metric_id in ids.items():
            shown = [api.data("/metric", metric=name), api.data(f"/metric/{metric_id}")]
            head, _, word = name.rpartition("/")
            if not (word in SUB_ROUTES and head in names):
                # Where both x and x/graph are there, /metric/x/graph is the graph of x.
                shown += [
                    api.data("/metric/" + quote(name, safe="/")),
                    api.data("/metric/" + quote(name, safe="")),
                ]
            assert [one["metric"]["metric"] for one in shown] == [name] * len(shown)
            for path in (f"/metric/{quote(name)}/yhat", f"/metric/{metric_id}/yhat"):
                assert api.data(path)["yhat"] == {}, name

    def test_a_route_of_a_metric_precedes_a_name_that_ends_with_its_word(
        self, api: MetricApi
    ) -> None:
        api.make_metric("x")
        api.make_metric("x/timeseries")
        assert "timeseries" in api.data("/metric/x/timeseries")
        assert api.data("/metric/x/timeseries/timeseries")["timeseries"] == []
        whole = api.data("/metric", metric="x/timeseries")
        assert whole["metric"]["metric"] == "x/timeseries"

    def test_is_found_by_its_id_where_no_name_is_that_number(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        for url in (f"/metric/{metric_id}", f"/metric/{metric_id}/timeseries", "/metric/bundle"):
            query = {"metric": metric_id} if "bundle" in url else {}
            assert api.get(url, **query).status_code == 200, url
            assert api.get(url, "charlie", **query).status_code == 404, url
        assert api.data("/anomalies", metric=metric_id)["total"] == 0
        for nobodys in ("0", "-1", f"0{metric_id}", f"{metric_id}.0", "9" * 30, str(2**31)):
            assert api.get(f"/metric/{nobodys}").status_code == 404, nobodys
        api.make_metric(str(metric_id))
        assert api.data(f"/metric/{metric_id}")["metric"]["metric"] == str(metric_id)

    def test_is_not_found_if_neither_part_nor_whole_is_a_name(self, api: MetricApi) -> None:
        for word in SUB_ROUTES:
            assert api.get(f"/metric/none/{word}").status_code == 404
            assert error(api.get(f"/metric/{word}"))["fields"] == {
                "metric": "This parameter is needed."
            }

    def test_answers_post_like_get(self, api: MetricApi) -> None:
        api.make_metric()
        headers = api.cast.headers("alice")
        requested = [
            api.client.post("/metric", headers=headers, data={"metric": "cpu.load"}),
            api.client.post("/metric", headers=headers, json={"metric": "cpu.load"}),
            api.client.post("/metric/cpu.load", headers=headers),
        ]
        assert [strict(one)["data"]["metric"]["metric"] for one in requested] == ["cpu.load"] * 3

    @pytest.mark.parametrize(
        "path", ["", "/timeseries", "/yhat", "/anomalies", "/bundle", "/graph"]
    )
    def test_is_not_found_by_another_org_and_refused_to_anonymous_callers(
        self, api: MetricApi, path: str
    ) -> None:
        api.make_metric()
        foreign = api.get(f"/metric/cpu.load{path}", who="charlie")
        unknown = api.get(f"/metric/no.such{path}", who="charlie")
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert error(foreign) == error(unknown)
        assert api.client.get(f"/metric/cpu.load{path}").status_code == 401

    def test_tells_until_when_a_new_metric_reports_only_strong_deviations(
        self, api: MetricApi
    ) -> None:
        first, second = api.make_metric("a"), api.make_metric("b")
        # `judge` stores the states of the metrics with an even id.
        new, name = (first, "a") if first % 2 == 0 else (second, "b")
        assert api.data(f"/metric/{name}")["metric"]["young_until"] is None
        times = minutes()
        api.send(new, times, noise())
        api.judge()
        until = int(times[0]) // 1000 + 4 * 86_400
        words = f"{datetime_from_timestamp(until):%Y-%m-%d %H:%M} UTC"
        shown = [
            api.data(f"/metric/{name}")["metric"],
            api.data(f"/metric/{name}/bundle")["metric"],
            api.data(f"/metric/{name}/bundle", parts="metric")["metric"],
            *(one for one in api.data("/metrics")["metrics"] if one["metric"] == name),
        ]
        assert len(shown) == 4
        for one in shown:
            assert one["young_until"] == until
            assert one["state_sentence"] == (
                "Judged: every new point is compared with its own past."
                f" New: until {words} only strong deviations are reported."
            )

    def test_a_metric_that_came_with_its_past_is_not_new(self, api: MetricApi) -> None:
        first, second = api.make_metric("a"), api.make_metric("b")
        old, name = (first, "a") if first % 2 == 0 else (second, "b")
        count = 7 * 24
        hours = minutes(1) - 60 * MINUTE * np.arange(count, dtype=np.int64)[::-1]
        api.send(old, hours, noise(count))
        api.judge()
        one = api.data(f"/metric/{name}")["metric"]
        assert (one["state"], one["young_until"]) == ("judged", None)
        assert "New:" not in one["state_sentence"]

    def test_accepts_a_token_for_reading_and_refuses_one_for_ingestion(
        self, api: MetricApi
    ) -> None:
        api.make_metric()
        statuses = [
            api.client.get("/metric/cpu.load", headers={"X-Auth-Token": token}).status_code
            for token in (api.read_token, api.ingest_token)
        ]
        assert statuses == [200, 403]

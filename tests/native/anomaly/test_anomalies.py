"""/anomalies and /anomaly over HTTP: the seed's fields exactly, and nothing without a session."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from anomify.clock import now
from anomify.db import Database
from anomify.native import image
from anomify.native.anomaly.blueprints import anomaly_blueprints
from tests.factories import Cast, make_anomaly, make_cast, make_metric, make_watcher
from tests.kit.web import ApiClient, error, make_app

# Fields marked [S] in the specification, without those of parts that are not built yet.
SEED_FIELDS = {
    "id",
    "metric_id",
    "metric",
    "value",
    "timestamp",
    "timestamp_string",
    "until_timestamp",
    "score",
    "expected_range_lower",
    "expected_range_upper",
    "expected_range_lower_string",
    "expected_range_upper_string",
}


@dataclass
class Ward(ApiClient):
    """An app with the anomaly routes, and one ended and one running anomaly of Acme."""

    client: FlaskClient
    database: Database
    cast: Cast
    ended: int
    running: int
    started: int

    def ids(self, **query: Any) -> list[int]:
        return [one["id"] for one in self.data("/anomalies", **query)["anomalies"]]


@pytest.fixture
def ward(database: Database, tmp_path: Path) -> Iterator[Ward]:
    started = now().replace(microsecond=0) - timedelta(hours=3)
    with database.unit_of_work():
        cast = make_cast()
        ended = make_anomaly(make_metric(cast.acme, "shop.orders"), started, severity="low")
        running = make_anomaly(
            make_metric(cast.acme, "shop.errors"), started + timedelta(hours=1), minutes=None
        )
        ids = (ended.id, running.id)
    app = make_app(database, tmp_path, [*anomaly_blueprints(), image.blueprint])
    yield Ward(app.test_client(), database, cast, *ids, int(started.timestamp()))
    app.extensions["anomify"].points.close()


class TestAnomalies:
    def test_lists_the_newest_first(self, ward: Ward) -> None:
        assert ward.ids() == [ward.running, ward.ended]
        assert ward.ids(order="oldest") == [ward.ended, ward.running]
        assert ward.data("/anomalies", limit=1)["total"] == 2

    @pytest.mark.parametrize(
        ("query", "wanted"),
        [
            ({"status": "open"}, ["running"]),
            ({"status": "ended"}, ["ended"]),
            ({"severity": "medium"}, ["running"]),
            ({"metric": "shop.orders"}, ["ended"]),
            ({"chips": "shop,err"}, ["running"]),
            ({"min_score": 1}, []),
        ],
    )
    def test_applies_the_filters(
        self, ward: Ward, query: dict[str, Any], wanted: list[str]
    ) -> None:
        assert ward.ids(**query) == [getattr(ward, name) for name in wanted]

    def test_lists_anomalies_that_overlap_the_window(self, ward: Ward) -> None:
        inside = {"from": ward.started + 60, "until": ward.started + 120}
        assert ward.ids(**inside) == [ward.ended]
        assert ward.ids(**{"from": ward.started + 3_000}) == [ward.running]

    @pytest.mark.parametrize("chips", [["a"] * 21, ["a" * 201]])
    def test_refuses_too_many_or_too_long_search_words(self, ward: Ward, chips: list[str]) -> None:
        headers = ward.cast.headers("alice")
        reply = ward.client.post("/anomalies", headers=headers, json={"chips": chips})
        assert (reply.status_code, error(reply)["code"]) == (400, "invalid")

    def test_finds_a_metric_however_its_labels_are_sorted(self, ward: Ward) -> None:
        name = '{mode="idle",job="shop"}'
        with ward.database.unit_of_work():
            metric = make_metric(ward.cast.acme, 'cpu{job="shop",mode="idle"}')
            of_cpu = make_anomaly(metric, now() - timedelta(hours=1)).id
        assert ward.ids(metric=f"cpu{name}") == [of_cpu]

    def test_finds_nothing_for_an_impossible_name(self, ward: Ward) -> None:
        reply = ward.get("/anomalies", metric="shop.orders}")
        assert (reply.status_code, error(reply)["code"]) == (404, "not_found")

    def test_is_empty_for_another_org(self, ward: Ward) -> None:
        assert ward.data("/anomalies", who="charlie") == {"anomalies": [], "total": 0}
        assert ward.get("/anomalies", who="charlie", metric="shop.orders").status_code == 404

    def test_refuses_callers_without_a_session(self, ward: Ward) -> None:
        assert ward.client.get("/anomalies").status_code == 401


class TestAnomaly:
    def test_has_exactly_the_fields_of_the_seed(self, ward: Ward) -> None:
        data = ward.data(f"/anomaly/{ward.ended}")
        assert set(data["anomaly"]) >= SEED_FIELDS
        assert data["anomaly"]["timestamp"] == ward.started
        assert data["anomaly"]["until_timestamp"] == ward.started + 300
        assert data["anomaly"]["expected_range_upper_string"] == "40"
        assert 0 <= data["anomaly"]["score"] <= 1

    def test_has_no_end_while_it_runs(self, ward: Ward) -> None:
        assert ward.data(f"/anomaly/{ward.running}")["anomaly"]["until_timestamp"] is None

    def test_links_to_a_picture_that_anybody_may_open(self, ward: Ward) -> None:
        url = ward.data(f"/anomaly/{ward.ended}")["anomaly_graph_url"]
        picture = ward.client.get(url[url.index("/image") :])
        assert (picture.status_code, picture.mimetype) == (200, "image/png")

    def test_answers_the_same_for_foreign_and_unknown_ids(self, ward: Ward) -> None:
        foreign = ward.get(f"/anomaly/{ward.ended}", who="charlie")
        unknown = ward.get("/anomaly/987654", who="charlie")
        assert foreign.status_code == unknown.status_code == 404
        assert error(foreign) == error(unknown)
        for too_large in (2**31, 2**52, 2**60):
            assert ward.get(f"/anomaly/{too_large}").status_code == 404


class TestOfAWatcher:
    def test_are_those_of_its_metrics(self, ward: Ward) -> None:
        with ward.database.unit_of_work():
            orders = make_watcher(ward.cast.acme, "shop", "ORDERS").id
            foreign = make_watcher(ward.cast.globex, "shop").id
        assert ward.ids(watcher_id=orders) == [ward.ended]
        assert ward.ids(watcher_id=orders, chips="errors") == []
        result = [ward.get("/anomalies", watcher_id=one) for one in (foreign, 999_999)]
        assert [(reply.status_code, error(reply)) for reply in result] == [
            (404, error(result[0]))
        ] * 2


class TestLookup:
    def test_finds_by_metric_and_moment(self, ward: Ward) -> None:
        for moment in (ward.started, ward.started + 300, ward.started - 59):
            data = ward.data("/anomaly/lookup", metric="shop.orders", timestamp=moment)
            assert data["anomaly"]["id"] == ward.ended

    def test_finds_nothing_elsewhere(self, ward: Ward) -> None:
        for query in (
            {"metric": "shop.orders", "timestamp": ward.started - 600},
            {"metric": "shop.nothing", "timestamp": ward.started},
        ):
            assert ward.get("/anomaly/lookup", **query).status_code == 404
        requested = {"metric": "shop.orders", "timestamp": ward.started}
        assert ward.get("/anomaly/lookup", who="charlie", **requested).status_code == 404

    def test_names_the_missing_parameter(self, ward: Ward) -> None:
        reply = ward.get("/anomaly/lookup", metric="shop.orders")
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {"timestamp"})

    @pytest.mark.parametrize("moment", ["1e400", "1e300", "nan", "-1", "99999999999"])
    def test_refuses_an_invalid_time(self, ward: Ward, moment: str) -> None:
        reply = ward.get("/anomaly/lookup", metric="shop.orders", timestamp=moment)
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {"timestamp"})

    def test_prefers_the_anomaly_that_had_begun(self, ward: Ward) -> None:
        with ward.database.unit_of_work():
            metric = make_metric(ward.cast.acme, "shop.carts")
            started = now().replace(microsecond=0) - timedelta(hours=2)
            first = make_anomaly(metric, started, minutes=1).id
            later = make_anomaly(metric, started + timedelta(minutes=2), minutes=1).id
        requested = [int(started.timestamp()) + seconds for seconds in (30, 90, 120)]
        found = [
            ward.data("/anomaly/lookup", metric="shop.carts", timestamp=moment)["anomaly"]["id"]
            for moment in requested
        ]
        assert found == [first, first, later]

    def test_is_not_for_demo_orgs(self, ward: Ward) -> None:
        with ward.database.unit_of_work() as session:
            session.merge(ward.cast.acme).is_demo = True
        reply = ward.get("/anomaly/lookup", metric="shop.orders", timestamp=ward.started)
        assert (reply.status_code, error(reply)["code"]) == (403, "demo_read_only")
        assert ward.get(f"/anomaly/{ward.ended}").status_code == 200


class TestWindowAhead:
    def test_is_empty(self, ward: Ward) -> None:
        at = int(now().timestamp())
        for start, end in ((60, 3600), (3600, 7200), (86_400 * 30, 86_400 * 31)):
            for narrowed in ({}, {"status": "open"}, {"metric": "shop.errors"}):
                window = {"from": at + start, "until": at + end}
                found = ward.data("/anomalies", **window, **narrowed)
                assert found == {"anomalies": [], "total": 0}
        # One that runs is of every window until now, however far ahead that ends.
        for window in ({"from": at - 60}, {"from": at - 60, "until": at + 3600}):
            assert ward.ids(**window) == [ward.running]

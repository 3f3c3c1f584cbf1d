"""Events of web pages: taken from any site, with a key that can do nothing else, and never lost."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from anomify.ingest import flux, page_events
from anomify.metric.model import Metric
from anomify.native import js
from anomify.native.org import info as org
from anomify.worker.page_event_counts import PageEventWriter
from tests.factories import make_org, make_token
from tests.kit.web import make_app

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
MINUTE = 60_000
ELSEWHERE = {"Origin": "https://shop.example", "Content-Type": "text/plain"}


@pytest.fixture
def app(database, tmp_path):
    made = make_app(
        database, tmp_path, [page_events.blueprint, flux.blueprint, js.blueprint, org.blueprint]
    )
    yield made
    made.extensions["anomify"].points.close()


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def key(database):
    with database.unit_of_work():
        return make_token(make_org(), "events")[1]


def send(app, key, *events, site="shop", **more):
    body = json.dumps({"key": key, "site": site, "events": list(events)})
    return app.test_client().post("/flux/events", data=body, headers=ELSEWHERE, **more)


def stored(app, name):
    """The counts of a metric by minute after noon, as charts show them."""
    app_state = app.extensions["anomify"]
    PageEventWriter(app_state.database, app_state.points).run_once()
    with app_state.database.unit_of_work(write=False) as session:
        metric = session.query(Metric).filter_by(name=name).one()
    series = app_state.points.read(metric.id, 0, NOON_MS * 2)
    minutes = (series.times - NOON_MS) // MINUTE
    return dict(zip(minutes.tolist(), series.values.tolist(), strict=True))


class TestEvents:
    def test_become_a_count_a_minute_with_noughts_between(self, app, key, clock):
        for seconds in (0, 20, 59, 61, 190):
            clock.move_to(NOON + timedelta(seconds=seconds))
            assert send(app, key, {"name": "signup", "count": 2}).status_code == 204
        clock.move_to(NOON + timedelta(seconds=256))
        assert stored(app, "events.shop.signup") == {0: 6, 1: 2, 2: 0, 3: 2}

    def test_are_stored_once_if_recording_that_fails(self, app, key, clock, monkeypatch):
        send(app, key, {"name": "signup", "count": 2})
        clock.move_to(NOON + timedelta(seconds=70))
        monkeypatch.setattr("anomify.worker.page_event_counts.mark_stored", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stored(app, "events.shop.signup")
        monkeypatch.undo()
        assert stored(app, "events.shop.signup") == {0: 2}

    def test_are_all_there_when_many_send_at_once(self, app, key, clock):
        def send_some(_: int) -> list[int]:
            return [send(app, key, {"name": "signup"}).status_code for _ in range(5)]

        with ThreadPoolExecutor(8) as pool:
            codes = [code for some in pool.map(send_some, range(8)) for code in some]
        assert codes == [204] * 40
        clock.move_to(NOON + timedelta(seconds=70))
        assert stored(app, "events.shop.signup") == {0: 40}

    def test_report_which_of_them_are_not_counted_and_why(self, app, key, clock):
        reply = send(app, key, {"name": "a b"}, {"name": "signup"})
        assert reply.status_code == 207
        assert reply.json["status"] == "partly counted"
        assert [one["name"] for one in reply.json["rejected"]] == ["a b"]
        clock.move_to(NOON + timedelta(seconds=70))
        assert stored(app, "events.shop.signup") == {0: 1}

    def test_get_400_where_none_of_them_is_counted(self, app, key):
        reply = send(app, key, {"name": "a b"}, {"name": "b", "count": 0}, 17, {"name": "\udcff"})
        assert reply.status_code == 400
        assert reply.json["status"] == "nothing was counted"
        assert [one["name"] for one in reply.json["rejected"]] == ["a b", "b", "", "\\udcff"]

    def test_are_counted_beside_any_that_are_none(self, app, key, clock):
        bad = [None, [], {"name": "x", "count": 10**400}, {"name": "y", "count": 1e400}]
        assert send(app, key, *bad, {"name": "signup"}, *bad).status_code == 207
        clock.move_to(NOON + timedelta(seconds=70))
        assert stored(app, "events.shop.signup") == {0: 1}

    def test_keep_to_the_quota(self, app, database):
        with database.unit_of_work():
            key = make_token(make_org(metric_quota=1), "events")[1]
        assert send(app, key, {"name": "first"}).status_code == 204
        reply = send(app, key, {"name": "first"}, {"name": "second"})
        assert reply.status_code == 207
        [refused] = reply.json["rejected"]
        assert refused["name"] == "second"
        assert "limit" in refused["reason"]

    def test_are_no_metrics_of_another_org(self, app, key, database):
        with database.unit_of_work():
            other = make_token(make_org("Globex"), "events")[1]
        send(app, key, {"name": "signup"})
        send(app, other, {"name": "signup"})
        with database.unit_of_work(write=False) as session:
            assert session.query(Metric).filter_by(name="events.shop.signup").count() == 2


class TestKey:
    def test_opens_nothing_else(self, app, key):
        point = {"key": key, "metric": "a", "timestamp": 1_763_640_000, "value": 1}
        assert app.test_client().post("/flux/metric_data_post", json=point).status_code == 403
        reply = app.test_client().get("/org/info", headers={"X-Auth-Token": key})
        assert reply.status_code == 403

    def test_is_the_only_one_that_opens_this(self, app, database):
        with database.unit_of_work():
            acme = make_org()
            ingest = make_token(acme, "ingest", "read", "write", "admin")[1]
        assert send(app, ingest, {"name": "a"}).status_code == 403
        assert send(app, "nonsense", {"name": "a"}).status_code == 401

    def test_is_counted_apart_and_not_without_end(self, database, tmp_path, key):
        api = [page_events.blueprint]
        app = make_app(database, tmp_path, api, rate_limits=("write=5/600",))
        replies = [send(app, key, {"name": "a b"}) for _ in range(6)]
        assert [reply.status_code for reply in replies] == [400] * 5 + [429]
        assert int(replies[-1].headers["Retry-After"]) > 0
        assert replies[-1].headers["Access-Control-Allow-Origin"] == "*"
        app.extensions["anomify"].points.close()

    def test_is_counted_alike_from_everywhere_in_one_network(self, database, tmp_path, key):
        app = make_app(database, tmp_path, [page_events.blueprint], rate_limits=("write=5/600",))
        codes = [
            send(
                app, key, {"name": "a b"}, environ_base={"REMOTE_ADDR": f"2001:db8::{last}"}
            ).status_code
            for last in range(1, 7)
        ]
        assert codes == [400] * 5 + [429]
        app.extensions["anomify"].points.close()


class TestCors:
    def test_lets_any_page_read_every_answer_of_this_route(self, app, key):
        for reply in (
            send(app, key, {"name": "a"}),
            send(app, key, {"name": "a b"}),
            send(app, "nonsense", {"name": "a"}),
            app.test_client().post("/flux/events", data=b"{", headers=ELSEWHERE),
        ):
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in reply.headers
            assert "Set-Cookie" not in reply.headers

    def test_is_for_this_route_only(self, app):
        reply = app.test_client().post("/flux/metric_data_post", data=b"{}", headers=ELSEWHERE)
        assert "Access-Control-Allow-Origin" not in reply.headers


class TestScript:
    def test_is_the_same_for_everybody_and_may_be_loaded_by_any_page(self, app):
        client = app.test_client()
        reply = client.get("/js/eventsender", headers={"Cookie": "session_id=" + "a" * 32})
        plain = client.get("/js/eventsender")
        assert reply.status_code == 200
        assert reply.data == plain.data
        assert reply.mimetype == "text/javascript"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in reply.headers
        known = {"If-None-Match": reply.headers["ETag"]}
        assert client.get("/js/eventsender", headers=known).status_code == 304

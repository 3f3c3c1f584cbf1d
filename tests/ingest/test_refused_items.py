"""What is refused is counted for its org, by route and kind of reason, whichever way it came."""

import gzip
import json

import pytest
from sqlalchemy.exc import OperationalError

from anomify.clock import now_ms
from anomify.org.model import Org, RefusedItems
from anomify.org.refused_items import HOUR_MS, KEPT_MS, Refused, forget_refused_items, list_refused
from tests.kit.clock import LONG_AGO_SECONDS
from tests.kit.remote_write import body_1, body_2, series, snappy

AT = LONG_AGO_SECONDS
ONE = "application/x-protobuf"
TWO = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


def refused_counts(api, org_id=None):
    """How many items were refused, by route and kind."""
    api.app_state.refused.flush()
    with api.app_state.database.unit_of_work(write=False):
        found = list_refused(org_id or api.org_id, now_ms() - HOUR_MS, now_ms() + HOUR_MS)
    return {(one.route, one.kind): one.items for one in found}


class TestEveryRoute:
    def test_json(self, api):
        org_id, token = api.make_org("Small", quota=1)
        ahead = now_ms() // 1000 + 3_600
        items = [
            {"metric": "first", "timestamp": AT, "value": 1},
            {"metric": "second", "timestamp": AT, "value": 1},
            {"metric": "second", "timestamp": AT + 1, "value": 1},
            {"metric": "first", "timestamp": ahead, "value": 1},
            {"metric": "x" * 600, "timestamp": AT, "value": 1},
            {"metric": 'm{a="1",a="2"}', "timestamp": AT, "value": 1},
            {"metric": "first", "timestamp": 5, "value": 1},
            {"metric": "first", "timestamp": AT, "value": "x"},
            None,
        ]
        for _ in range(2):
            document = json.dumps({"metrics": items})
            assert api.post("/flux/metric_data_post", document, token).status_code == 207
        assert refused_counts(api, org_id) == {
            ("flux", "quota"): 4,
            ("flux", "future"): 2,
            ("flux", "name_too_long"): 2,
            ("flux", "duplicate_label"): 2,
            ("flux", "too_old"): 2,
            ("flux", "unreadable"): 4,
        }
        assert refused_counts(api) == {}

    def test_get(self, api):
        query = {"key": api.token, "metric": "m", "timestamp": "x", "value": 1}
        assert api.client.get("/flux/metric_data", query_string=query).status_code == 400
        assert refused_counts(api) == {("flux", "unreadable"): 1}

    def test_telegraf(self, api):
        item = {"name": "n", "fields": {"a": 1, "b": "text", "c": True}, "timestamp": AT}
        document = json.dumps({"metrics": [item]})
        assert api.post("/flux/metric_data_post", document, telegraf="1").status_code == 207
        assert refused_counts(api) == {("telegraf", "unreadable"): 2}

    @pytest.mark.parametrize(
        ("path", "route"),
        [("/api/v1/write", "prometheus"), ("/flux/prometheus/write", "flux_prometheus")],
    )
    def test_remote_write(self, api, path, route):
        ahead = now_ms() + HOUR_MS
        twice = [("__name__", "d"), ("a", "1"), ("a", "2")]
        one = body_1(series({"__name__": "m"}, (ahead, 1.0)), series(twice, (AT * 1000, 1.0)))
        two = body_2(({"__name__": "m"}, [(ahead, 1.0)], {"histograms": [{"sum": 1.0}]}))
        for body, content_type in ((one, ONE), (two, TWO)):
            api.post(path, snappy(body), Content_Type=content_type)
        assert refused_counts(api) == {
            (route, "future"): 2,
            (route, "duplicate_label"): 1,
            (route, "histogram"): 1,
        }

    def test_whole_requests(self, api):
        bomb = gzip.compress(bytes(33 * 1024 * 1024))
        api.post("/flux/metric_data_post", b"{")
        api.post("/flux/metric_data_post", bomb, Content_Encoding="gzip")
        api.post("/api/v1/write", b"no snappy", Content_Type=ONE)
        api.post("/api/v1/write", b"no snappy", token="nonsense", Content_Type=ONE)
        assert refused_counts(api) == {
            ("flux", "bad_json"): 1,
            ("flux", "too_large"): 1,
            ("prometheus", "bad_snappy"): 1,
        }

    def test_tests_count_nothing(self, api):
        item = {"metric": "m", "timestamp": AT, "value": "x", "test": True}
        assert api.post("/flux/metric_data_post", json.dumps(item)).status_code == 200
        assert refused_counts(api) == {}


class TestCounter:
    def refuse(self, api, org_id, items, at_ms, metric="m"):
        api.app_state.refused.add(org_id, "flux", {"nan": Refused(items, metric, "why")}, at_ms)

    def test_adds_up_the_hours_and_shows_the_last_example(self, api):
        at_ms = now_ms()
        for hours, metric in ((3, "old"), (0, "new"), (1, "mid\0dle")):
            self.refuse(api, api.org_id, 2, at_ms - hours * HOUR_MS, metric)
            api.app_state.refused.flush()
        with api.app_state.database.unit_of_work(write=False):
            [found] = list_refused(api.org_id, at_ms - 3 * HOUR_MS, at_ms + 1)
            [late] = list_refused(api.org_id, at_ms, at_ms + 1)
        assert (found.items, found.metric, found.last_ms) == (6, "new", at_ms)
        assert late.items == 2

    def test_keeps_what_cannot_be_written_now(self, api, monkeypatch):
        self.refuse(api, api.org_id, 2, now_ms())

        def fail(**_):
            raise OperationalError("", {}, Exception("locked"))

        monkeypatch.setattr(api.app_state.database, "unit_of_work", fail)
        api.app_state.refused.flush()
        self.refuse(api, api.org_id, 3, now_ms())
        monkeypatch.undo()
        assert refused_counts(api) == {("flux", "nan"): 5}

    def test_passes_over_an_org_that_is_gone(self, api):
        gone, _ = api.make_org("Gone")
        self.refuse(api, gone, 1, now_ms())
        self.refuse(api, api.org_id, 1, now_ms())
        with api.app_state.database.unit_of_work() as session:
            session.delete(session.get_one(Org, gone))
        assert refused_counts(api) == {("flux", "nan"): 1}
        assert refused_counts(api, gone) == {}

    def test_forgets_after_ninety_days(self, api):
        self.refuse(api, api.org_id, 1, now_ms() - KEPT_MS - HOUR_MS)
        self.refuse(api, api.org_id, 1, now_ms())
        api.app_state.refused.flush()
        with api.app_state.database.unit_of_work() as session:
            forget_refused_items(now_ms())
            assert session.query(RefusedItems).count() == 1

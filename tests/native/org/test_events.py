"""/org/events, on both databases."""

import pytest

from anomify.clock import now_timestamp
from anomify.native.metric.blueprints import metric_blueprints
from anomify.native.org import events as org_event
from tests.factories import make_metric, make_token
from tests.kit.web import error, make_app, strict


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [org_event.blueprint, *metric_blueprints()])
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


def reported(client, headers, **fields):
    return client.post("/org/events/create", headers=headers, json=fields)


class TestCreate:
    def test_is_listed_at_once(self, client, cast):
        reply = reported(
            client, cast.headers("bob"), type="deploy", text="v2 is live", tags="shop", chips="cpu"
        )
        event = strict(reply)["data"]["event"]
        assert (event["type"], event["text"], event["actor"]) == ("deploy", "v2 is live", "Bob")
        assert (event["tags"], event["chips"]) == (["shop"], ["cpu"])
        feed = strict(client.get("/org/events", headers=cast.headers("dave")))["data"]
        assert feed["events"] == [
            {
                "id": f"event-{event['id']}",
                "type": "deploy",
                "timestamp": event["timestamp"],
                "actor": "Bob",
                "metric": None,
                "text": "v2 is live",
            }
        ]
        assert feed["total"] == 1
        theirs = strict(client.get("/org/events", headers=cast.headers("charlie")))["data"]
        assert theirs["total"] == 0

    def test_is_for_editors_and_tokens_with_write(self, client, cast, database):
        with database.unit_of_work():
            _, write = make_token(cast.acme, "write", name="ci")
            _, read = make_token(cast.acme, "read")
        assert reported(client, cast.headers("dave"), text="v2").status_code == 403
        assert reported(client, {"X-Auth-Token": read}, text="v2").status_code == 403
        assert reported(client, {}, text="v2").status_code == 401
        reply = reported(client, {"X-Auth-Token": write}, text="v2")
        assert strict(reply)["data"]["event"]["actor"] == "token:ci"

    def test_names_the_unusable_field(self, client, cast):
        later = now_timestamp() + 3600
        for fields in ({"text": ""}, {"text": "x", "type": "party"}):
            reply = reported(client, cast.headers("bob"), **fields)
            assert reply.status_code == 400
            assert set(error(reply)["fields"]) <= set(fields)
        reply = reported(client, cast.headers("bob"), text="x", timestamp=later)
        assert list(error(reply)["fields"]) == ["timestamp"]


class TestBundle:
    def test_contains_the_events_of_the_metric_and_its_window(self, client, cast, database):
        with database.unit_of_work():
            make_metric(cast.acme, "cpu.load")
        at = now_timestamp() - 600
        for text, chips, timestamp in (
            ("its", "cpu", at),
            ("others", "disk", at),
            ("before", "", at - 200_000),
        ):
            reported(client, cast.headers("bob"), text=text, chips=chips, timestamp=timestamp)
        query = {"metric": "cpu.load", "from": at - 60, "until": at + 60}
        reply = client.get("/metric/bundle", query_string=query, headers=cast.headers("dave"))
        [event] = strict(reply)["data"]["events"]
        assert (event["text"], event["timestamp"], event["type"]) == ("its", at, "custom")

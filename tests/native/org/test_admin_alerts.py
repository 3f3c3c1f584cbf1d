"""/org/adminalerts and /org/adminalert, on both databases."""

from datetime import UTC, datetime

import pytest

from anomify.admin_alert.model import RaisedAlert, SilentMetric
from anomify.audit.queries import list_audit
from anomify.db import session
from anomify.native.org import admin_alerts as org_alert
from tests.factories import make_metric
from tests.kit.web import error, make_app, strict

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CODE = "0123456789abcdef" * 2


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [org_alert.blueprint])
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


def listed(reply):
    return {one["id"]: one for one in strict(reply)["data"]["admin_alerts"]}


class TestAdminAlerts:
    def test_have_defaults_until_they_are_changed(self, client, cast):
        found = listed(client.get("/org/adminalerts", headers=cast.headers("alice")))
        assert found[2] == {
            "id": 2,
            "name": "Some metrics have stopped",
            "wait_seconds": 500,
            "expiration_seconds": 3600,
            "enabled": True,
            "alerts": [
                {
                    "method": "email",
                    "ref": cast.alice.id,
                    "user": {
                        "id": cast.alice.id,
                        "name": "Alice",
                        "email": "alice@acme.example",
                    },
                }
            ],
        }
        assert set(found) == {1, 2, 3}

    def test_are_changed_by_what_is_sent_and_the_change_is_audited(self, client, cast, database):
        sent = {
            "type_1_enabled": "false",
            "type_2_wait_seconds": 900,
            "type_2_email": f"{cast.bob.id},{cast.dave.id}",
        }
        found = listed(client.post("/org/adminalerts", headers=cast.headers("alice"), data=sent))
        assert (found[1]["enabled"], found[1]["wait_seconds"]) == (False, 500)
        assert (found[2]["enabled"], found[2]["wait_seconds"]) == (True, 900)
        assert [one["user"]["name"] for one in found[2]["alerts"]] == ["Bob", "Dave"]
        again = listed(client.get("/org/adminalerts", headers=cast.headers("alice")))
        assert again == found
        theirs = listed(client.get("/org/adminalerts", headers=cast.headers("charlie")))
        assert theirs[1]["enabled"] is True
        with database.unit_of_work(write=False):
            assert list_audit(cast.acme.id, action="adminalert.update").total == 2
        sent = {"type_2_email": []}
        found = listed(client.post("/org/adminalerts", headers=cast.headers("alice"), json=sent))
        assert [one["user"]["name"] for one in found[2]["alerts"]] == ["Alice"]

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            ({"type_3_enabled": False}, 409),
            ({"type_2_wait_seconds": 299}, 400),
            ({"type_1_expiration_seconds": 10**9}, 400),
            ({"type_2_email": [10**6]}, 400),
        ],
    )
    def test_refuse_invalid_values(self, client, cast, sent, status):
        reply = client.post("/org/adminalerts", headers=cast.headers("alice"), json=sent)
        assert reply.status_code == status
        assert error(reply)["fields"].keys() == sent.keys()

    def test_refuse_slack_before_anything_is_changed(self, client, cast):
        ask, headers = client.post, cast.headers("alice")
        for named in ("type_1_slack", "type_2_slack"):
            sent = {named: "C024BE7LH,#ops", "type_1_wait_seconds": 900}
            reply = ask("/org/adminalerts", headers=headers, data=sent)
            assert reply.status_code == 409
            assert "Slack is not connected" in error(reply)["message"]
            assert list(error(reply)["fields"]) == [named]
            unchanged = listed(client.get("/org/adminalerts", headers=headers))
            assert unchanged[1]["wait_seconds"] == 500
            # No user is what is set now.
            sent = {named: [], "type_1_wait_seconds": 500}
            assert ask("/org/adminalerts", headers=headers, json=sent).status_code == 200

    def test_refuse_users_of_other_orgs(self, client, cast):
        sent = {"type_2_email": [cast.charlie.id]}
        reply = client.post("/org/adminalerts", headers=cast.headers("alice"), json=sent)
        assert reply.status_code == 400

    def test_are_for_admins_and_changed_by_post_only(self, client, cast):
        assert client.get("/org/adminalerts", headers=cast.headers("bob")).status_code == 403
        assert client.get("/org/adminalerts").status_code == 401
        query = {"type_1_enabled": "false"}
        reply = client.get("/org/adminalerts", headers=cast.headers("alice"), query_string=query)
        assert reply.status_code == 400
        assert "POST" in error(reply)["message"] + str(error(reply)["fields"])


class TestAdminAlert:
    @pytest.fixture
    def raised(self, cast, database):
        with database.unit_of_work():
            raised = RaisedAlert(
                org_id=cast.acme.id,
                type_id=2,
                code=CODE,
                raised_at=NOON,
                began_at=NOON,
                metric_count=1,
            )
            session().add(raised)
            session().flush()
            session().add(
                SilentMetric(
                    alert_id=raised.id,
                    metric_id=make_metric(cast.acme).id,
                    silent_since=NOON,
                    noticed_at=NOON,
                    last_ms=0,
                )
            )

    @pytest.mark.usefixtures("raised")
    def test_lists_the_metrics_and_since_when(self, client, cast):
        reply = client.get(f"/org/adminalert/{CODE}", headers=cast.headers("dave"))
        at = int(NOON.timestamp())
        assert strict(reply)["data"]["alert"] == {
            "type": 2,
            "name": "Some metrics have stopped",
            "raised": at,
            "since": at,
            "recovered_at": None,
            "metric_count": 1,
            "metrics": [{"metric": "cpu.load", "since": at, "returned": None, "left": None}],
            "rejected": [],
        }

    @pytest.mark.usefixtures("raised")
    def test_is_not_found_by_other_orgs(self, client, cast):
        path = f"/org/adminalert/{CODE}"
        assert client.get(path).status_code == 401
        theirs = client.get(path, headers=cast.headers("charlie"))
        nobodys = client.get(f"/org/adminalert/{'f' * 32}", headers=cast.headers("charlie"))
        assert theirs.status_code == nobodys.status_code == 404
        assert error(theirs) == error(nobodys)

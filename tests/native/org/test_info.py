"""/org, on both databases."""

import pytest

from anomify.audit.queries import list_audit
from anomify.native.org import info as org
from tests.factories import make_token
from tests.kit.web import error, make_app, strict


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [org.blueprint])
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


class TestInfo:
    def test_returns_the_callers_org(self, client, cast):
        for name, expected in (("dave", "Acme"), ("charlie", "Globex")):
            data = strict(client.get("/org/info", headers=cast.headers(name)))["data"]["org"]
            assert data["name"] == expected
            assert data["alert_muting"] == {
                "muted": False,
                "muted_until_timestamp": None,
                "muted_until_timestamp_string": None,
                "minutes_remaining": 0,
            }
            assert data["onboarding_status"] == {"id": 1, "name": "no metrics"}
            assert data["connected_services"] == {"slack": False, "ms_teams": False}
            assert (data["plan"], data["metric_quota"]) == ("Self-hosted", None)
            assert data["metric_count"] == 0
        assert client.get("/org/info").status_code == 401

    def test_shows_the_beginning_of_tokens_to_admins_only(self, client, cast, database):
        with database.unit_of_work():
            token, text = make_token(cast.acme, "ingest")
        for name, shown in (("alice", f"anm_{token.public_id}_..."), ("bob", "anm_...")):
            data = strict(client.get("/org/info", headers=cast.headers(name)))["data"]["org"]
            assert data["keys"] == [{"name": "robot", "key": shown, "scopes": ["ingest"]}]
            assert text not in str(data)


class TestUpdate:
    def ask(self, client, cast, who="alice", **fields):
        return client.post("/org/update", headers=cast.headers(who), json=fields)

    def test_changes_only_the_sent_fields(self, client, cast):
        data = strict(self.ask(client, cast, timezone="Asia/Kolkata"))["data"]["org"]
        assert (data["name"], data["timezone"]) == ("Acme", "Asia/Kolkata")
        data = strict(self.ask(client, cast, name="Acme & Sons"))["data"]["org"]
        assert (data["name"], data["timezone"]) == ("Acme & Sons", "Asia/Kolkata")

    def test_mutes_for_some_minutes_and_ends_it(self, client, cast):
        muting = strict(self.ask(client, cast, mute_minutes=30))["data"]["org"]["alert_muting"]
        assert (muting["muted"], muting["minutes_remaining"]) == (True, 30)
        assert muting["muted_until_timestamp_string"].endswith(" UTC")
        shown = strict(client.get("/org/info", headers=cast.headers("dave")))["data"]["org"]
        assert shown["alert_muting"] == muting
        other = strict(client.get("/org/info", headers=cast.headers("charlie")))["data"]["org"]
        assert other["alert_muting"]["muted"] is False
        muting = strict(self.ask(client, cast, mute_minutes=0))["data"]["org"]["alert_muting"]
        assert muting == {
            "muted": False,
            "muted_until_timestamp": None,
            "muted_until_timestamp_string": None,
            "minutes_remaining": 0,
        }

    def test_refuses_invalid_values_and_callers_below_admin(self, client, cast):
        for fields in ({"timezone": "Mars/Base"}, {"mute_minutes": -1}, {"name": " "}):
            reply = self.ask(client, cast, **fields)
            assert error(reply)["fields"].keys() == fields.keys(), fields
            assert reply.status_code == 400
        assert self.ask(client, cast, "bob", mute_minutes=30).status_code == 403
        assert client.post("/org/update", json={"mute_minutes": 30}).status_code == 401

    def test_is_audited(self, client, cast, database):
        self.ask(client, cast, name="Acme & Sons", mute_minutes=5)
        with database.unit_of_work(write=False):
            found = list_audit(cast.acme.id, action="org").items
            assert [(entry.actor, entry.action) for entry in found] == [
                ("Alice", "org.mute"),
                ("Alice", "org.update"),
            ]
            assert found[1].before == {"name": "Acme"}
            assert found[1].after == {"name": "Acme & Sons"}

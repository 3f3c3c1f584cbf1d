"""/org, on both databases."""

import pytest

from anomify.native import org
from tests.factories import make_cast, make_token
from tests.kit.web import make_app, strict


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [org.door])
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        return make_cast()


class TestInfo:
    def test_is_the_callers_own(self, client, cast):
        for name, expected in (("dave", "Acme"), ("charlie", "Globex")):
            told = strict(client.get("/org/info", headers=cast.headers(name)))["data"]["org"]
            assert told["name"] == expected
            assert told["alert_muting"]["muted"] is False
            assert told["connected_services"] == {"slack": False, "ms_teams": False}
        assert client.get("/org/info").status_code == 401


class TestUsers:
    def test_lists_those_of_the_org_by_name(self, client, cast):
        told = strict(client.get("/org/users", headers=cast.headers("dave")))["data"]
        assert [user["name"] for user in told["users"]] == ["Alice", "Bob", "Dave"]
        assert told["total"] == 3
        assert set(told["users"][0]) == {"id", "name", "email", "role", "admin"}

    def test_shows_charlie_nobody_of_acme(self, client, cast):
        told = strict(client.get("/org/users", headers=cast.headers("charlie")))["data"]
        assert [user["name"] for user in told["users"]] == ["Charlie"]

    def test_may_be_read_by_a_token(self, client, cast, database):
        with database.unit_of_work():
            _, text = make_token(cast.acme, "read")
        assert client.get("/org/users", headers={"X-Auth-Token": text}).status_code == 200

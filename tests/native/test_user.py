"""/user, on both databases."""

from datetime import timedelta

import pytest
import time_machine

from anomify.clock import now
from anomify.native import login, user
from tests.factories import PASSWORD, make_cast, make_token
from tests.kit.web import make_app, strict


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, [login.door, user.door])
    yield app
    app.extensions["anomify"].points.close()


@pytest.fixture
def client(app):
    return app.test_client(use_cookies=False)


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        return make_cast()


class TestInfo:
    def test_says_who_is_signed_in(self, client, cast):
        for name in ("alice", "bob", "charlie"):
            told = strict(client.get("/user/info", headers=cast.headers(name)))["data"]["user"]
            assert told["name"] == name.capitalize()

    def test_refuses_strangers_and_tokens(self, client, cast, database):
        assert client.get("/user/info").status_code == 401
        with database.unit_of_work():
            _, text = make_token(cast.acme, "read", "write", "admin", "ingest")
        assert client.get("/user/info", headers={"X-Auth-Token": text}).status_code == 403

    def test_tells_no_secret(self, client, cast):
        text = client.get("/user/info", headers=cast.headers("alice")).text.lower()
        for word in ("hash", "password", "secret", "token"):
            assert word not in text


class TestLogout:
    def test_ends_the_session_at_once_and_may_be_repeated(self, client, cast):
        headers = cast.headers("bob")
        reply = client.post("/user/logout", headers=headers)
        assert reply.status_code == 200
        fresh = strict(reply)["status"]["session_id"]
        assert fresh not in {None, cast.sessions["bob"]}
        assert client.get("/user/info", headers=headers).status_code == 401
        assert client.post("/user/logout", headers=headers).status_code == 200
        assert client.post("/user/logout").status_code == 200

    def test_leaves_the_browser_with_a_strangers_cookie(self, app, cast):
        browser = app.test_client()
        browser.post("/login", data={"email": cast.bob.email, "password": PASSWORD})
        before = browser.get_cookie("session_id").value
        reply = browser.post("/user/logout", headers={"Origin": "http://localhost"})
        assert reply.status_code == 200
        after = browser.get_cookie("session_id").value
        assert after == strict(reply)["status"]["session_id"] != before
        assert browser.get("/user/info").status_code == 401

    def test_leaves_other_sessions_alone(self, client, cast):
        client.post("/user/logout", headers=cast.headers("bob"))
        assert client.get("/user/info", headers=cast.headers("alice")).status_code == 200


class TestPing:
    def test_keeps_the_session_alive_and_says_its_age(self, client, cast):
        with time_machine.travel(now() + timedelta(minutes=5)):
            told = strict(client.get("/user/ping", headers=cast.headers("bob")))["data"]
        assert told["user_id"] == cast.bob.id
        assert 300 <= told["session_age"] < 360

    def test_refuses_strangers(self, client):
        assert client.get("/user/ping").status_code == 401

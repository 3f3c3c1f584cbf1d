"""/login, on both databases."""

import pytest
from sqlalchemy import select

from anomify.native import login, user
from anomify.user.model import SessionRow
from tests.factories import PASSWORD, make_cast
from tests.kit.web import error, make_app, strict

USER_FIELDS = {
    "id",
    "org_id",
    "name",
    "email",
    "phone_number",
    "slack_member_id",
    "demo",
    "admin",
    "role",
    "org",
    "notifications",
    "onboarding_flags",
}


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [login.door, user.door])
    yield app.test_client()
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        return make_cast()


class TestLogin:
    def test_gives_a_session_and_the_user(self, client, cast):
        reply = client.post("/login", data={"email": cast.alice.email, "password": PASSWORD})
        told = strict(reply)
        session = told["data"]["session"]
        assert session["id"] == told["status"]["session_id"]
        assert set(session["user"]) == USER_FIELDS
        assert session["user"]["email"] == "alice@acme.example"
        assert session["user"]["org"]["name"] == "Acme"
        assert session["user"]["admin"] is True
        assert strict(client.get("/user/info"))["data"]["user"] == session["user"]

    def test_takes_json_and_says_who_is_no_admin(self, client, cast):
        reply = client.post("/login", json={"email": cast.bob.email, "password": PASSWORD})
        assert strict(reply)["data"]["session"]["user"]["admin"] is False

    def test_is_by_post_only(self, client, cast):
        wish = {"email": cast.bob.email, "password": PASSWORD}
        reply = client.get("/login", query_string=wish)
        assert reply.status_code == 405
        assert "GET" not in reply.headers["Allow"]

    def test_refuses_in_the_same_words_whoever_it_is(self, client, cast):
        told = []
        for email in (cast.bob.email, "nobody@acme.example"):
            reply = client.post("/login", data={"email": email, "password": "wrong"})
            assert reply.status_code == 401
            assert strict(reply)["status"]["session_id"]
            told.append(error(reply))
        assert told[0] == told[1]

    def test_says_how_long_to_wait_after_too_many_tries(self, client, cast):
        wish = {"email": cast.bob.email, "password": "wrong"}
        replies = [client.post("/login", data=wish) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [401, 401, 429]
        assert int(replies[-1].headers["Retry-After"]) >= 1

    @pytest.mark.parametrize("missing", ["email", "password"])
    def test_names_what_is_missing(self, client, missing):
        wish = {"email": "a@b.example", "password": "x"}
        del wish[missing]
        reply = client.post("/login", data=wish)
        assert reply.status_code == 400
        assert set(error(reply)["fields"]) == {missing}

    def test_remembers_where_from_and_with_what(self, client, cast, database):
        client.post(
            "/login",
            data={"email": cast.bob.email, "password": PASSWORD},
            headers={"User-Agent": "curl/8 " + "x" * 300},
            environ_base={"REMOTE_ADDR": "192.0.2.7"},
        )
        with database.unit_of_work(write=False) as session:
            row = session.scalars(select(SessionRow).order_by(SessionRow.created_at.desc())).first()
        assert row.user_id == cast.bob.id
        assert row.address == "192.0.2.7"
        assert row.client.startswith("curl/8")
        assert len(row.client) == 200

"""/login, on both databases."""

import pytest
from sqlalchemy import select

from anomify.auth import sign_in as sign_in_module
from anomify.auth.sign_in import GUARD_KEY
from anomify.db import session
from anomify.native import login
from anomify.native.user import account
from anomify.user.login import BESIEGING_NETWORKS, Origin
from anomify.user.model import SessionRow, User
from anomify.user.recovery import change_password
from tests.factories import PASSWORD
from tests.kit.web import error, make_app, strict

USER_FIELDS = {
    "id",
    "org_id",
    "name",
    "email",
    "phone_number",
    "quiet_hours",
    "telegram_member_id",
    "slack_member_id",
    "demo",
    "admin",
    "role",
    "org",
    "notifications",
    "onboarding_flags",
}


@pytest.fixture
def app(database, tmp_path):
    made = make_app(database, tmp_path, [login.blueprint, account.blueprint])
    yield made
    made.extensions["anomify"].points.close()


@pytest.fixture
def client(app):
    return app.test_client()


class TestLogin:
    def test_returns_a_session_and_the_user(self, client, cast):
        reply = client.post("/login", data={"email": cast.alice.email, "password": PASSWORD})
        answer = strict(reply)
        session = answer["data"]["session"]
        assert session["id"] == answer["status"]["session_id"]
        assert set(session["user"]) == USER_FIELDS
        assert session["user"]["email"] == "alice@acme.example"
        assert session["user"]["org"]["name"] == "Acme"
        assert session["user"]["admin"] is True
        assert strict(client.get("/user/info"))["data"]["user"] == session["user"]

    def test_opens_no_session_where_the_password_is_changed_meanwhile(
        self, client, cast, database, monkeypatch
    ):
        """Comparing passwords is slow; a user who changes a stolen one meanwhile must succeed."""
        compare = sign_in_module.sign_in_with_password

        def compare_then_change(*args, **more):
            user = compare(*args, **more)
            with database.unit_of_work():
                change_password(session().get_one(User, user.id), "another")
            return user

        monkeypatch.setattr(sign_in_module, "sign_in_with_password", compare_then_change)
        form = {"email": cast.alice.email, "password": PASSWORD}
        reply = client.post("/login", data=form)
        assert reply.status_code == 401
        with database.unit_of_work(write=False):
            users = session().scalars(select(SessionRow.user_id)).all()
        assert cast.alice.id not in users

    def test_accepts_json_and_returns_whether_the_user_is_admin(self, client, cast):
        reply = client.post("/login", json={"email": cast.bob.email, "password": PASSWORD})
        assert strict(reply)["data"]["session"]["user"]["admin"] is False

    def test_accepts_post_only(self, client, cast):
        requested = {"email": cast.bob.email, "password": PASSWORD}
        reply = client.get("/login", query_string=requested)
        assert reply.status_code == 405
        assert "GET" not in reply.headers["Allow"]

    def test_refuses_known_and_unknown_accounts_with_the_same_message(self, client, cast):
        result = []
        for email in (cast.bob.email, "nobody@acme.example"):
            reply = client.post("/login", data={"email": email, "password": "wrong"})
            assert reply.status_code == 401
            assert strict(reply)["status"]["session_id"]
            result.append(error(reply))
        assert result[0] == result[1]

    def test_returns_how_long_to_wait_after_too_many_tries(self, client, cast):
        requested = {"email": cast.bob.email, "password": "wrong"}
        replies = [client.post("/login", data=requested) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [401, 401, 429]
        assert int(replies[-1].headers["Retry-After"]) >= 1

    @pytest.mark.parametrize("missing", ["email", "password"])
    def test_names_the_missing_parameter(self, client, missing):
        requested = {"email": "a@b.example", "password": "x"}
        del requested[missing]
        reply = client.post("/login", data=requested)
        assert reply.status_code == 400
        assert set(error(reply)["fields"]) == {missing}

    def test_records_address_and_client(self, client, cast, database):
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


class TestGuessing:
    """An attacker who guesses Bob's password has to wait, and Bob does not."""

    @pytest.fixture
    def sign_in(self, cast):
        def sign_in(browser, password, address="192.0.2.1"):
            # The session that was signed in before is closed.
            browser.delete_cookie("session_id")
            return browser.post(
                "/login",
                data={"email": cast.bob.email, "password": password},
                environ_base={"REMOTE_ADDR": address},
            )

        return sign_in

    def test_does_not_lock_out_the_owner(self, app, sign_in):
        attacker, at_home, elsewhere = (app.test_client() for _ in range(3))
        # A client is known once the right password came from it.
        assert sign_in(at_home, PASSWORD).status_code == 200
        assert at_home.get_cookie("client_id") is not None
        verdicts = []
        for number in range(92):
            verdicts.append(sign_in(attacker, f"guess {number}").status_code)
            if number % 30 == 5:
                # In the attacker's own network, and in another one from a client never seen.
                assert sign_in(at_home, PASSWORD).status_code == 200, number
                address = f"198.51.100.{number}"
                assert sign_in(elsewhere, PASSWORD, address).status_code == 200, number
        assert verdicts.count(401) <= 12
        assert set(verdicts) == {401, 429}
        # With the right password the attacker has to wait, too.
        assert sign_in(attacker, PASSWORD).status_code == 429

    def test_from_many_networks_requires_a_code_of_unknown_clients(self, database, tmp_path, cast):
        app = make_app(
            database,
            tmp_path,
            [login.blueprint, account.blueprint],
            smtp_host="127.0.0.1",
            login_codes=False,
        )
        known, attacker = (app.test_client(use_cookies=False) for _ in range(2))
        requested = {"email": cast.bob.email, "password": PASSWORD}
        client_id = strict(known.post("/login", data=requested))["data"]["client_id"]
        for number in range(BESIEGING_NETWORKS):
            app.extensions[GUARD_KEY].fail(cast.bob.email, Origin(f"198.51.100.{number}"))
        answers = strict(attacker.post("/login", data=requested))["data"]
        assert (answers["session"], answers["validation_by"]) == (None, "email")
        let_in = strict(known.post("/login", data={**requested, "client_id": client_id}))["data"]
        assert let_in["session"]["user"]["id"] == cast.bob.id
        app.extensions["anomify"].points.close()

    def test_at_a_known_client_is_delayed_too(self, app, sign_in):
        stolen = app.test_client()
        assert sign_in(stolen, PASSWORD).status_code == 200
        verdicts = [sign_in(stolen, f"guess {number}").status_code for number in range(10)]
        assert verdicts.count(401) <= 5
        assert verdicts[-1] == 429

    def test_does_not_reveal_which_client_is_known(self, app, cast, sign_in):
        bobs = app.test_client()
        assert sign_in(bobs, PASSWORD).status_code == 200
        for email in (cast.alice.email, "nobody@acme.example"):
            bobs.delete_cookie("session_id")
            result = [
                bobs.post("/login", data={"email": email, "password": "wrong"}).status_code
                for _ in range(4)
            ]
            assert result == [401, 401, 429, 429]

    def test_returns_the_client_id_to_programs(self, app, cast):
        client = app.test_client(use_cookies=False)
        requested = {"email": cast.bob.email, "password": PASSWORD}
        first = strict(client.post("/login", data=requested))["data"]
        assert first["client_id"]
        again = client.post("/login", data={**requested, "client_id": first["client_id"]})
        assert strict(again)["data"]["client_id"] is None
        for _ in range(4):
            client.post("/login", data={**requested, "password": "wrong"})
        assert client.post("/login", data=requested).status_code == 429
        known = client.post("/login", data={**requested, "client_id": first["client_id"]})
        assert known.status_code == 200

"""/login/forgotpassword and /login/resetpassword, on both databases."""

from collections import Counter
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from anomify.clock import now
from anomify.native import login
from anomify.native.user import account
from anomify.org.model import Letter
from anomify.user.authenticator import begin_enrolment
from anomify.user.model import KnownClient, ResetLink, User
from tests.factories import PASSWORD, make_session
from tests.kit.letters import link_in, read_letters
from tests.kit.web import error, make_app, strict

NEW = "another quite long phrase"


@pytest.fixture
def app(database, tmp_path):
    blueprints = [login.blueprint, account.blueprint]
    app = make_app(
        database, tmp_path, blueprints, smtp_host="127.0.0.1", public_url="https://anomify.example"
    )
    yield app
    app.extensions["anomify"].points.close()


def forget(client, email, **more):
    return client.post("/login/forgotpassword", data={"email": email}, **more)


def reset(client, link, password=NEW, **more):
    requested = {**link, "password_1": password, "password_2": password, **more}
    return client.post("/login/resetpassword", data=requested)


@pytest.fixture
def link(client, database, cast):
    assert forget(client, " Bob@acme.example ").status_code == 200
    (letter,) = read_letters(database, cast.bob.email)
    path, carried = link_in(letter)
    assert path == "/ui/reset"
    return carried


class TestForgot:
    def test_gives_the_same_reply_for_every_address(self, client, database, cast):
        result = [
            strict(forget(client, email))["data"]
            for email in (cast.bob.email, "nobody@acme.example", "no address")
        ]
        assert result[0] == result[1] == result[2]
        assert [letter.to for letter in read_letters(database)] == [cast.bob.email]

    def test_does_the_same_work_for_every_address(self, client, database, cast):
        for email in (cast.bob.email, "nobody@acme.example"):
            for _ in range(5):
                forget(client, email)
        with database.unit_of_work(write=False) as session:
            written = Counter(session.scalars(select(Letter.recipient)))
        assert written == {cast.bob.email: 3, "nobody@acme.example": 3}
        assert len(read_letters(database)) == 3

    def test_links_to_the_configured_url_and_never_to_the_host_header(self, client, database, cast):
        forget(client, cast.bob.email, headers={"Host": "evil.example"})
        (letter,) = read_letters(database)
        assert "https://anomify.example/ui/reset?" in letter.text
        assert "evil" not in letter.text

    def test_writes_at_most_three_letters_an_hour(self, client, database, cast):
        for _ in range(5):
            assert forget(client, cast.bob.email).status_code == 200
        assert len(read_letters(database)) == 3
        with time_machine.travel(now() + timedelta(minutes=61)):
            forget(client, cast.bob.email)
            assert len(read_letters(database)) == 1

    def test_returns_what_to_do_where_no_mail_is_sent(self, database, tmp_path, cast):
        app = make_app(database, tmp_path, [login.blueprint])
        data = strict(forget(app.test_client(), cast.bob.email))
        assert "anomify user reset-link" in data["data"]["message"]
        app.extensions["anomify"].points.close()


class TestReset:
    def test_sets_the_password_and_signs_in(self, client, cast, link):
        answer = strict(reset(client, link))["data"]
        assert answer["session"]["user"]["email"] == cast.bob.email
        headers = {"X-Session-Id": answer["session"]["id"]}
        assert client.get("/user/info", headers=headers).status_code == 200
        requested = {"email": cast.bob.email, "password": PASSWORD}
        assert client.post("/login", data=requested).status_code == 401
        assert client.post("/login", data={**requested, "password": NEW}).status_code == 200

    def test_ends_every_session_and_deletes_known_clients(self, client, database, cast, link):
        with database.unit_of_work() as session:
            other = make_session(cast.bob)
            session.add(
                KnownClient(
                    id_hash=b"c" * 32,
                    user_id=cast.bob.id,
                    way="email",
                    created_at=now(),
                    expires_at=now() + timedelta(days=1),
                )
            )
        reset(client, link)
        for old in (other, cast.sessions["bob"]):
            assert client.get("/user/info", headers={"X-Session-Id": old}).status_code == 401
        assert client.get("/user/info", headers=cast.headers("alice")).status_code == 200
        with database.unit_of_work(write=False) as session:
            assert session.get(KnownClient, (b"c" * 32, cast.bob.id)) is None

    def test_works_once(self, client, link):
        assert reset(client, link).status_code == 200
        again = reset(client, link, "yet another long phrase")
        assert (again.status_code, error(again)["code"]) == (400, "bad_reset_link")

    def test_is_valid_for_half_an_hour(self, client, link):
        with time_machine.travel(now() + timedelta(minutes=30)):
            assert reset(client, link).status_code == 400

    def test_is_valid_only_for_its_user(self, client, cast, link):
        result = error(reset(client, {**link, "email": cast.alice.email}))
        assert result["code"] == "bad_reset_link"
        assert error(reset(client, {**link, "reset_token": "0" * 32}))["code"] == "bad_reset_link"

    def test_the_link_stays_valid_after_a_refused_password(self, client, link):
        for requested, field in (
            ({"password_2": "a different long phrase"}, "password_2"),
            ({"password_1": "short", "password_2": "short"}, "password_1"),
            ({"password_1": "password12345", "password_2": "password12345"}, "password_1"),
        ):
            reply = reset(client, link, **requested)
            assert reply.status_code == 400
            assert set(error(reply)["fields"]) == {field}
        assert reset(client, link).status_code == 200

    def test_keeps_and_requires_the_second_factor(self, client, database, cast, link):
        with database.unit_of_work() as session:
            bob = session.get_one(User, cast.bob.id)
            begin_enrolment(bob)
            bob.totp_confirmed_at = now()
        data = strict(reset(client, link))
        assert data["data"]["session"] is None
        assert data["data"]["validation_by"] == "totp"
        headers = {"X-Session-Id": data["status"]["session_id"]}
        assert client.get("/user/info", headers=headers).status_code == 401

    def test_stores_only_a_hash_of_the_link(self, database, link):
        with database.unit_of_work(write=False) as session:
            kept = session.scalars(select(ResetLink)).one()
        assert link["reset_token"] not in repr(vars(kept))

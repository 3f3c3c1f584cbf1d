"""Tokens in requests: where they may be, their order and their scopes."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from anomify.clock import now
from anomify.org.model import Token
from anomify.org.token import revoke_token
from anomify.user.model import SessionRow
from tests.factories import make_token
from tests.kit.web import error, strict

OPENS = {
    "ingest": {"public", "ingest", "anyone"},
    "read": {"public", "ingest", "anyone", "viewer", "signed"},
    "write": {"public", "ingest", "anyone", "editor"},
    "admin": {"public", "ingest", "anyone", "admin"},
}
ACCESSES = ("public", "signed", "ingest", "anyone", "viewer", "editor", "admin", "owner", "user")


@pytest.fixture
def token_for(database, cast):
    def make(*scopes, **more):
        with database.unit_of_work():
            return make_token(cast.acme, *scopes, **more)[1]

    return make


def sessions(database):
    with database.unit_of_work(write=False) as session:
        return session.scalar(select(func.count()).select_from(SessionRow))


def opened(client, headers):
    """The accesses whose route answers, and what the others say."""
    answers = {
        access: client.get(f"/probe/{access}", headers=headers).status_code for access in ACCESSES
    }
    refusals = {status for status in answers.values() if status != 200}
    return {access for access, status in answers.items() if status == 200}, refusals


class TestInvalidTokens:
    def test_start_no_session(self, client, database, token_for):
        before = sessions(database)
        revoked = token_for("read")
        with database.unit_of_work() as session:
            session.query(Token).update({"revoked_at": now()})
        elsewhere = token_for("read", networks=["198.51.100.0/24"])
        for text in (revoked, elsewhere, "anm_x", "x" * 500, "é", " ", "0" * 32):
            for path in ("anyone", "viewer", "owner/change", "user"):
                for how in (
                    {"headers": {"X-Auth-Token": text.encode()}},
                    {"json": {"data": {"token": text}}},
                    {"query_string": {"data": text}, "headers": {"X-Auth-Token": text.encode()}},
                ):
                    reply = client.post(f"/probe/{path}", **how)
                    assert reply.status_code in {400, 401, 403}, (text, path)
                    assert strict(reply)["status"]["session_id"] is None
                    assert "Set-Cookie" not in reply.headers
        assert sessions(database) == before

    def test_do_not_change_the_session_of_the_request(self, client, database):
        mine = strict(client.get("/probe/anyone"))["status"]["session_id"]
        reply = client.get("/probe/anyone", headers={"X-Session-Id": mine, "X-Auth-Token": "x"})
        assert reply.status_code == 401
        assert strict(reply)["status"]["session_id"] == mine
        assert sessions(database) == 1


class TestScopes:
    def test_each_allows_only_its_own_routes(self, client, token_for):
        for scope, expected in OPENS.items():
            assert opened(client, {"X-Auth-Token": token_for(scope)}) == (expected, {403}), scope

    @pytest.mark.parametrize("access", ["owner", "user"])
    def test_all_scopes_together_do_not_allow_routes_for_users(self, client, token_for, access):
        text = token_for(*OPENS)
        reply = client.get(f"/probe/{access}", headers={"X-Auth-Token": text})
        assert reply.status_code == 403
        assert "user" in error(reply)["message"]

    def test_signing_out_is_for_users(self, client, token_for):
        reply = client.post("/user/logout", headers={"X-Auth-Token": token_for(*OPENS)})
        assert reply.status_code == 403


class TestRoles:
    def test_each_role_may_do_everything_of_lower_roles(self, client, cast):
        everybody = {"public", "ingest", "anyone"}
        viewers = everybody | {"viewer", "user", "signed"}
        assert opened(client, cast.headers("dave")) == (viewers, {403})
        assert opened(client, cast.headers("bob")) == (viewers | {"editor"}, {403})
        assert opened(client, cast.headers("alice")) == (set(ACCESSES), set())
        assert opened(client, {}) == (everybody, {401})


class TestPresented:
    def test_is_read_from_header_or_body_and_is_the_recorded_actor(self, client, token_for):
        text = token_for("read", name="grafana")
        by_header = client.get("/probe/viewer", headers={"X-Auth-Token": text})
        in_body = client.post("/probe/viewer", json={"data": {"token": text}})
        for reply in (by_header, in_body):
            assert strict(reply)["data"]["caller"] == "token:grafana"

    def test_starts_no_session(self, client, database, token_for):
        text = token_for("read")
        before = sessions(database)
        data = strict(client.get("/probe/viewer", headers={"X-Auth-Token": text}))
        assert data["status"]["session_id"] is None
        assert sessions(database) == before

    def test_a_session_of_a_user_takes_precedence(self, client, cast, token_for):
        headers = {**cast.headers("bob"), "X-Auth-Token": token_for("read")}
        assert strict(client.get("/probe/viewer", headers=headers))["data"]["caller"] == "Bob"

    def test_an_invalid_token_beside_a_users_session_is_ignored(self, client, cast):
        headers = {**cast.headers("bob"), "X-Auth-Token": "nonsense"}
        assert client.get("/probe/viewer", headers=headers).status_code == 200

    def test_takes_precedence_over_an_anonymous_session(self, client, token_for):
        given = strict(client.get("/probe/anyone"))["status"]["session_id"]
        headers = {"X-Session-Id": given, "X-Auth-Token": token_for("read")}
        reply = client.get("/probe/viewer", headers=headers)
        assert strict(reply)["data"]["caller"] == "token:robot"

    def test_an_invalid_token_is_refused(self, client):
        for text in ("nonsense", f"anm_00000000_{'0' * 32}_00000000", "Ã¼"):
            reply = client.get("/probe/viewer", headers={"X-Auth-Token": text})
            assert reply.status_code == 401

    def test_a_valid_token_in_the_address_is_refused(self, client, token_for):
        text = token_for("read")
        for place in ("X-Auth-Token", "token", "key", "anything"):
            reply = client.get("/probe/viewer", query_string={place: text})
            assert reply.status_code == 400
            assert error(reply)["code"] == "token_in_address"

    def test_a_body_of_another_shape_has_no_token(self, client):
        for body in ({"data": None}, {"data": []}, {"data": {"token": 1}}, []):
            assert client.post("/probe/viewer", json=body).status_code == 401

    def test_an_expired_or_revoked_token_is_refused(self, client, database, cast, token_for):
        with time_machine.travel(now() - timedelta(hours=1)):
            expired = token_for("read", expires_at=now() + timedelta(minutes=1))
        with database.unit_of_work():
            row, revoked = make_token(cast.acme, "read")
            revoke_token(cast.acme, row.id, "Alice")
        for text in (expired, revoked):
            reply = client.get("/probe/viewer", headers={"X-Auth-Token": text})
            assert reply.status_code == 401

    def test_the_last_use_is_written_once_a_minute(self, client, database, token_for):
        def last_used():
            with database.unit_of_work(write=False) as session:
                return session.scalar(select(Token.last_used_at))

        text = token_for("read")
        with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
            client.get("/probe/viewer", headers={"X-Auth-Token": text})
            first = last_used()
            clock.shift(timedelta(seconds=59))
            client.get("/probe/viewer", headers={"X-Auth-Token": text})
            assert last_used() == first
            clock.shift(timedelta(seconds=1))
            client.get("/probe/viewer", headers={"X-Auth-Token": text})
            assert last_used() == first + timedelta(minutes=1)

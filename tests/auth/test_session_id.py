"""The session of a request, on both databases."""

import sqlite3
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from itertools import product

import pytest
import time_machine
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from anomify.clock import now
from anomify.edge.access import USER
from anomify.edge.contract import DeclaredBlueprint
from anomify.user.model import SessionRow
from anomify.user.session import session_key
from tests.factories import PASSWORD, make_session, make_token
from tests.kit.web import error, make_app, probe_blueprint, strict

UNKNOWN = "f" * 32
PLACES = ("header", "parameter", "cookie")


def rows(database):
    with database.unit_of_work(write=False) as session:
        return session.scalar(select(func.count()).select_from(SessionRow))


def ask(client, header=None, parameter=None, cookie=None, path="/probe/anyone"):
    headers = {"X-Session-Id": header} if header else {}
    if cookie:
        headers["Cookie"] = f"session_id={cookie}"
    query = {"session_id": parameter} if parameter else {}
    return client.get(path, headers=headers, query_string=query)


class TestOrder:
    @pytest.mark.parametrize(
        "states", list(product(("absent", "valid", "unknown"), repeat=3)), ids="-".join
    )
    def test_the_first_place_with_an_id_decides_even_if_the_id_is_bad(self, client, cast, states):
        # Each place has the session of another user, so that the reply shows which one was used.
        people = dict(zip(PLACES, ("alice", "bob", "dave"), strict=True))
        ids = {
            place: {
                "absent": None,
                "valid": cast.sessions[people[place]],
                "unknown": UNKNOWN,
            }[state]
            for place, state in zip(PLACES, states, strict=True)
        }

        reply = ask(client, **ids)

        first = next((place for place in PLACES if ids[place]), None)
        data = strict(reply)
        assert ("Warning" in reply.headers) == (first == "parameter")
        if first is not None and ids[first] != UNKNOWN:
            assert data["data"]["caller"] == people[first].capitalize()
            assert data["status"]["session_id"] == ids[first]
            assert "Set-Cookie" not in reply.headers
        else:
            assert data["data"]["caller"] == "anonymous"
            given = data["status"]["session_id"]
            assert given not in {UNKNOWN, *cast.sessions.values()}
            # An id that came by header or parameter must never become a browser's.
            assert ("Set-Cookie" in reply.headers) == (first in {None, "cookie"})

    def test_the_parameter_may_be_in_the_address_the_form_or_the_json(self, client, cast):
        sent = {"session_id": cast.sessions["bob"]}
        for place in ("query_string", "data", "json"):
            reply = client.post("/probe/anyone", **{place: sent})
            assert strict(reply)["data"]["caller"] == "Bob", place
            assert reply.headers["Warning"].startswith("299")

    def test_two_different_parameters_are_refused_by_name(self, client):
        reply = client.post(
            "/probe/anyone", query_string={"session_id": UNKNOWN}, data={"session_id": "e" * 32}
        )
        assert reply.status_code == 400
        assert "session_id" in error(reply)["fields"]

    def test_a_malformed_id_counts_as_unknown(self, client):
        for text in ("", " ", "x", "F" * 32, "f" * 33, "é" * 32, "f" * 5000, "'"):
            reply = ask(client, parameter=text)
            assert reply.status_code == 200
            assert strict(reply)["status"]["session_id"] != text

    def test_pages_use_only_the_cookie(self, database, tmp_path, cast):

        class Pages(DeclaredBlueprint):
            is_cookie_only = True

        blueprint = Pages("pages", __name__)

        @blueprint.route("/ui/me", access=USER)
        def me():
            """Return that a user is signed in."""
            return "you"

        app = make_app(database, tmp_path, [blueprint])
        pages = app.test_client(use_cookies=False)
        assert ask(pages, header=cast.sessions["bob"], path="/ui/me").status_code == 401
        assert ask(pages, parameter=cast.sessions["bob"], path="/ui/me").status_code == 401
        assert ask(pages, cookie=cast.sessions["bob"], path="/ui/me").text == "you"
        app.extensions["anomify"].points.close()


class TestAnonymous:
    def test_an_unauthorised_request_gets_an_id_that_is_valid_next_time(self, client):
        refused = client.get("/probe/viewer")
        assert refused.status_code == 401
        given = strict(refused)["status"]["session_id"]
        assert strict(ask(client, header=given))["status"]["session_id"] == given

    @pytest.mark.parametrize("access", ["public", "ingest"])
    def test_some_routes_start_no_session(self, client, database, cast, access):
        before = rows(database)
        data = strict(ask(client, cookie=cast.sessions["bob"], path=f"/probe/{access}"))
        assert data["status"]["session_id"] is None
        assert data["data"]["caller"] == "anonymous"
        assert rows(database) == before

    def test_an_unknown_address_starts_no_session_but_identifies_the_user(
        self, client, database, cast
    ):
        before = rows(database)
        assert error(client.get("/nothing"))["code"] == "not_found"
        data = strict(ask(client, header=cast.sessions["bob"], path="/nothing"))
        assert data["status"]["session_id"] == cast.sessions["bob"]
        assert rows(database) == before

    def test_beyond_the_limit_ids_have_no_row_and_stay_valid(self, client, database, monkeypatch):
        monkeypatch.setattr("anomify.user.session.ANONYMOUS_MAX", 3)
        monkeypatch.setattr("anomify.user.session.ANONYMOUS_HEADROOM", 0)
        ids = [strict(ask(client))["status"]["session_id"] for _ in range(6)]
        assert len(set(ids)) == 6
        assert rows(database) == 3
        for given in ids:
            assert strict(ask(client, header=given))["status"]["session_id"] == given
        assert rows(database) == 3

    def test_expired_anonymous_sessions_are_replaced(self, client, database, monkeypatch):
        monkeypatch.setattr("anomify.user.session.ANONYMOUS_MAX", 2)
        monkeypatch.setattr("anomify.user.session.ANONYMOUS_HEADROOM", 0)
        ask(client)
        ask(client)
        with database.unit_of_work() as session:
            session.execute(update(SessionRow).values(expires_at=now() - timedelta(seconds=1)))
        given = strict(ask(client))["status"]["session_id"]
        assert rows(database) == 1
        assert strict(ask(client, header=given))["status"]["session_id"] == given

    def test_an_id_without_a_row_expires_too(self, client, monkeypatch):
        monkeypatch.setattr("anomify.user.session.ANONYMOUS_MAX", 0)
        monkeypatch.setattr("anomify.user.session.ANONYMOUS_HEADROOM", 0)
        with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
            given = strict(ask(client))["status"]["session_id"]
            clock.shift(timedelta(minutes=59))
            assert strict(ask(client, header=given))["status"]["session_id"] == given
            clock.shift(timedelta(minutes=2))
            assert strict(ask(client, header=given))["status"]["session_id"] != given


class TestCookie:
    def test_is_http_only_and_same_site(self, client):
        cookie = ask(client).headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        # The default address is this machine's own, where there is no https.
        assert "Secure" not in cookie

    def test_is_secure_on_https(self, database, tmp_path):

        app = make_app(
            database, tmp_path, [probe_blueprint()], public_url="https://metrics.example"
        )
        reply = ask(app.test_client())
        assert "Secure" in reply.headers["Set-Cookie"]
        assert "Strict-Transport-Security" in reply.headers
        app.extensions["anomify"].points.close()

    def test_is_set_once(self, browser):
        assert "Set-Cookie" in browser.get("/probe/anyone").headers
        assert "Set-Cookie" not in browser.get("/probe/anyone").headers


class TestLifetime:
    def test_a_user_idle_for_eight_hours_is_signed_out(self, client, database, cast):
        with time_machine.travel(now(), tick=False) as clock:
            with database.unit_of_work():
                session_id = make_session(cast.bob)
            clock.shift(timedelta(hours=7, minutes=59))
            assert ask(client, header=session_id, path="/probe/user").status_code == 200
            clock.shift(timedelta(hours=7, minutes=59))
            assert ask(client, header=session_id, path="/probe/user").status_code == 200
            clock.shift(timedelta(hours=8, minutes=1))
            assert ask(client, header=session_id, path="/probe/user").status_code == 401

    def test_an_active_user_is_signed_out_after_two_weeks(self, client, database, cast):
        with time_machine.travel(now(), tick=False) as clock:
            with database.unit_of_work():
                session_id = make_session(cast.bob)
            for _ in range(14 * 24 // 7 - 1):
                clock.shift(timedelta(hours=7))
                assert ask(client, header=session_id, path="/probe/user").status_code == 200
            clock.shift(timedelta(hours=7))
            assert ask(client, header=session_id, path="/probe/user").status_code == 401

    def test_last_seen_is_written_once_a_minute(self, client, database, cast):
        def seen():
            with database.unit_of_work(write=False) as session:
                return session.get_one(SessionRow, session_key(session_id)).last_seen_at

        with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
            with database.unit_of_work():
                session_id = make_session(cast.bob)
            opened = seen()
            clock.shift(timedelta(seconds=59))
            ask(client, header=session_id)
            assert seen() == opened
            clock.shift(timedelta(seconds=1))
            ask(client, header=session_id)
            assert seen() == opened + timedelta(seconds=60)

    def test_a_clock_set_back_ends_no_session(self, client, database, cast):
        with time_machine.travel(now(), tick=False) as clock:
            with database.unit_of_work():
                session_id = make_session(cast.bob)
            clock.shift(timedelta(hours=-1))
            assert ask(client, header=session_id, path="/probe/user").status_code == 200


class TestFixation:
    def test_signing_in_ends_the_former_session(self, browser, client, cast):
        planted = strict(browser.get("/probe/anyone"))["status"]["session_id"]
        signed_in = browser.post("/login", data={"email": cast.bob.email, "password": PASSWORD})
        fresh = strict(signed_in)["status"]["session_id"]
        assert fresh != planted
        assert fresh in signed_in.headers["Set-Cookie"]
        assert strict(ask(client, header=planted))["data"]["caller"] == "anonymous"
        assert strict(browser.get("/probe/user"))["data"]["caller"] == "Bob"

    def test_an_id_in_a_link_sets_no_cookie(self, browser, cast):
        linked = browser.get("/probe/anyone", query_string={"session_id": cast.sessions["charlie"]})
        assert strict(linked)["data"]["caller"] == "Charlie"
        assert strict(browser.get("/probe/anyone"))["data"]["caller"] == "anonymous"

    def test_signing_in_by_header_sets_no_cookie(self, client, cast):
        anonymous = strict(ask(client, header=UNKNOWN))["status"]["session_id"]
        reply = client.post(
            "/login",
            data={"email": cast.bob.email, "password": PASSWORD},
            headers={"X-Session-Id": anonymous},
        )
        assert "Set-Cookie" not in reply.headers
        fresh = strict(reply)["data"]["session"]["id"]
        assert strict(ask(client, header=fresh))["data"]["caller"] == "Bob"

    def test_data_of_the_anonymous_session_is_not_kept_after_sign_in(self, browser, cast):
        browser.get("/probe/remember", query_string={"note": "the anonymous note"})
        assert strict(browser.get("/probe/remember"))["data"]["note"] == "the anonymous note"
        browser.post("/login", data={"email": cast.bob.email, "password": PASSWORD})
        assert strict(browser.get("/probe/remember"))["data"]["note"] == ""


class TestStorage:
    def test_stores_only_hashes_of_ids(self, client, database, cast):
        given = strict(ask(client))["status"]["session_id"]
        with database.unit_of_work(write=False) as session:
            for row in session.scalars(select(SessionRow)):
                kept = repr(vars(row)).encode() + row.id_hash + row.id_hash.hex().encode()
                for clear in (given, *cast.sessions.values()):
                    assert clear.encode() not in kept

    def test_stores_the_data_as_json(self, client):
        given = strict(ask(client))["status"]["session_id"]
        headers = {"X-Session-Id": given}
        client.get("/probe/remember", query_string={"note": "ünïcode"}, headers=headers)
        data = strict(client.get("/probe/remember", headers=headers))
        assert data["data"]["note"] == "ünïcode"

    def test_a_planted_pickle_is_refused_and_never_loaded(self, client, database, cast):
        # The opcodes of a pickle that raises the moment it is loaded.
        planted = "cposix\nabort\n(tR."
        with database.unit_of_work() as session:
            session.execute(
                update(SessionRow)
                .where(SessionRow.id_hash == session_key(cast.sessions["bob"]))
                .values(state=planted)
            )
        assert strict(ask(client, header=cast.sessions["bob"]))["data"]["caller"] == "anonymous"

    def test_the_twenty_first_session_of_a_user_ends_the_oldest(self, client, database, cast):
        with (
            time_machine.travel(now(), tick=False) as clock,
            database.unit_of_work(),
        ):
            ids = []
            for _ in range(21):
                clock.shift(timedelta(seconds=1))
                ids.append(make_session(cast.bob))
        answers = [ask(client, header=one, path="/probe/user").status_code for one in ids]
        assert answers == [401] + [200] * 20


class TestStoreFailure:
    @pytest.fixture
    def elsewhere_written(self, database, monkeypatch):
        """Let another process write for as long as a test wants; rows need to be seen anew."""
        if not database.is_sqlite:
            # Its writers do not wait for each other.
            return nullcontext

        @contextmanager
        def write():
            # Who is impatient gives up at once, and who is not would be noticed.
            monkeypatch.setattr("anomify.auth.session_id.SHORT_WAIT_SECONDS", 0)
            with database.unit_of_work() as session:
                session.execute(update(SessionRow).values(last_seen_at=now() - timedelta(hours=1)))
            writer = sqlite3.connect(database.url.database, isolation_level=None)
            with closing(writer):
                writer.execute("BEGIN IMMEDIATE")
                yield

        return write

    @pytest.fixture
    def broken(self, monkeypatch):

        def fail(*_arguments, **_options):
            raise OperationalError("SELECT secret", {}, Exception("the disk is on fire"))

        return lambda name: monkeypatch.setattr(f"anomify.auth.session_id.{name}", fail)

    def test_a_failure_to_open_is_a_503_in_the_envelope(self, client, broken):
        broken("find_session")
        reply = ask(client, header=UNKNOWN)
        assert reply.status_code == 503
        assert reply.headers["Retry-After"]
        assert "fire" not in reply.text
        assert error(reply)["code"] == "unavailable"

    def test_an_anonymous_session_that_cannot_be_written_has_no_row(self, client, database, broken):
        broken("open_anonymous_session")
        reply = ask(client)
        assert reply.status_code == 200
        given = strict(reply)["status"]["session_id"]
        with database.unit_of_work(write=False) as session:
            assert session.scalars(select(SessionRow)).all() == []
        again = ask(client, header=given)
        assert strict(again)["status"]["session_id"] == given

    def test_reading_does_not_wait_for_a_writer(self, client, database, cast, elsewhere_written):
        with database.unit_of_work():
            _, text = make_token(cast.acme, "read")
        with elsewhere_written():
            token = {"X-Auth-Token": text}
            assert client.get("/probe/viewer", headers=token).status_code == 200
            assert ask(client).status_code == 200
            assert ask(client, header=cast.sessions["bob"]).status_code == 200

    def test_a_failure_to_save_is_a_503_in_the_envelope(self, client, cast, broken):
        broken("change_session")
        reply = client.get(
            "/probe/remember",
            query_string={"note": "x"},
            headers=cast.headers("bob"),
        )
        assert reply.status_code == 503
        assert error(reply)["code"] == "unavailable"

    def test_reading_works_when_the_last_use_cannot_be_written(
        self, client, database, cast, broken
    ):
        broken("record_session_use")
        with database.unit_of_work() as session:
            session.execute(update(SessionRow).values(last_seen_at=now() - timedelta(hours=1)))
        assert ask(client, header=cast.sessions["bob"]).status_code == 200

    def test_a_body_that_is_too_large_is_a_413_in_the_envelope(self, client):
        reply = client.post("/probe/anyone", data={"session_id": "f" * (1024 * 1024 + 1)})
        assert reply.status_code == 413
        assert error(reply)["code"] == "too_large"

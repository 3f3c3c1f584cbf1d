"""/login with codes: mailed to new clients, or shown by an authenticator app; on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest
import time_machine
from sqlalchemy import select

from anomify.clock import now, now_timestamp
from anomify.native import login
from anomify.native.user import account
from anomify.native.user import sessions as user_session
from anomify.native.user import totp as user_totp
from anomify.user.model import KnownClient, LoginAttempt, RecoveryCode, SessionRow, User
from anomify.user.session import session_key
from tests.factories import PASSWORD, make_session
from tests.kit.letters import code_in, link_in, read_letters
from tests.kit.web import error, make_app, strict

BLUEPRINTS = [login.blueprint, account.blueprint, user_session.blueprint, user_totp.blueprint]
MAIL = {"smtp_host": "127.0.0.1"}
WRONG = "000000"


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, BLUEPRINTS, **MAIL)
    yield app
    app.extensions["anomify"].points.close()


class Caller:
    """A program that sends its session id as a header, as the API would have it."""

    def __init__(self, app) -> None:
        self.client = app.test_client(use_cookies=False)
        self.session_id = ""

    def post(self, path, **requested):
        headers = {"X-Session-Id": self.session_id} if self.session_id else {}
        reply = self.client.post(path, data=requested, headers=headers)
        self.session_id = strict(reply)["status"]["session_id"] or self.session_id
        return reply

    def login(self, who, **more):
        reply = self.post("/login", email=who.email, password=PASSWORD, **more)
        return strict(reply)["data"] if reply.status_code == 200 else reply

    def confirm(self, code, **more):
        return self.post("/login/validateclient", code=code, **more)

    def is_signed_in(self) -> bool:
        return self.post("/user/info").status_code == 200


@pytest.fixture
def caller(app, cast):
    return Caller(app)


def mailed_code(database, who) -> str:
    (letter,) = read_letters(database, who.email)
    return code_in(letter)


class TestMailedCodes:
    def test_a_new_client_needs_the_mailed_code(self, caller, database, cast):
        result = caller.login(cast.bob)
        assert result["session"] is None
        assert (result["needs_client_validation"], result["validation_by"]) == (True, "email")
        assert not caller.is_signed_in()
        before = caller.session_id

        reply = caller.confirm(mailed_code(database, cast.bob))

        session = strict(reply)["data"]["session"]
        assert session["user"]["email"] == cast.bob.email
        assert session["id"] == caller.session_id != before
        assert caller.is_signed_in()

    def test_the_password_alone_replaces_the_session(self, caller, cast):
        caller.post("/user/logout")
        planted = caller.session_id
        caller.login(cast.bob)
        assert caller.session_id != planted

    def test_a_known_client_needs_no_code(self, caller, app, database, cast):
        caller.login(cast.bob)
        known_as = strict(caller.confirm(mailed_code(database, cast.bob)))["data"]["client_id"]
        again = Caller(app)
        assert again.login(cast.bob, client_id=known_as)["session"]
        assert Caller(app).login(cast.bob)["needs_client_validation"]
        assert Caller(app).login(cast.alice, client_id=known_as)["needs_client_validation"]
        with time_machine.travel(now() + timedelta(days=91)):
            assert Caller(app).login(cast.bob, client_id=known_as)["needs_client_validation"]

    def test_a_browser_is_known_by_its_cookie(self, app, database, cast):
        browser = app.test_client()
        requested = {"email": cast.bob.email, "password": PASSWORD}
        browser.post("/login", data=requested)
        reply = browser.post(
            "/login/validateclient", data={"code": mailed_code(database, cast.bob)}
        )
        assert reply.status_code == 200
        cookie = browser.get_cookie("client_id")
        assert cookie.http_only
        assert cookie.same_site == "Lax"
        browser.post("/user/logout", headers={"Origin": "http://localhost"})
        assert strict(browser.post("/login", data=requested))["data"]["session"]
        with database.unit_of_work(write=False) as session:
            kept = session.scalars(select(KnownClient.id_hash)).all()
        assert bytes.fromhex(cookie.value) not in kept

    def test_an_unknown_client_id_is_replaced(self, caller, database, cast):
        caller.login(cast.bob)
        reply = caller.confirm(mailed_code(database, cast.bob), client_id="f" * 32)
        assert strict(reply)["data"]["client_id"] != "f" * 32

    def test_another_client_can_sign_in_with_the_mailed_token(self, caller, app, database, cast):
        caller.login(cast.bob)
        (letter,) = read_letters(database, cast.bob.email)
        path, carried = link_in(letter)
        assert path == "/ui/login/code"
        other = Caller(app)
        assert other.confirm(code_in(letter)).status_code == 401
        assert other.confirm(code_in(letter), token="0" * 32).status_code == 401
        assert other.confirm(code_in(letter), token=carried["token"]).status_code == 200
        assert other.is_signed_in()
        assert not caller.is_signed_in()
        assert caller.confirm(code_in(letter)).status_code == 401

    def test_is_valid_once(self, caller, database, cast):
        caller.login(cast.bob)
        code, waiting = mailed_code(database, cast.bob), caller.session_id
        assert caller.confirm(code).status_code == 200
        caller.session_id = waiting
        assert error(caller.confirm(code))["code"] == "wrong_code"

    def test_is_valid_for_ten_minutes(self, caller, database, cast):
        with time_machine.travel(now(), tick=False) as clock:
            caller.login(cast.bob)
            code = mailed_code(database, cast.bob)
            clock.shift(timedelta(minutes=10))
            assert caller.confirm(code).status_code == 401

    def test_is_valid_for_five_tries(self, caller, database, cast):
        with time_machine.travel(now(), tick=False) as clock:
            caller.login(cast.bob)
            code = mailed_code(database, cast.bob)
            wrong = WRONG if code != WRONG else "111111"
            for _ in range(5):
                clock.shift(timedelta(seconds=61))
                assert caller.confirm(wrong).status_code == 401
            clock.shift(timedelta(seconds=61))
            assert caller.confirm(code).status_code == 401

    def test_wrong_codes_delay_the_account(self, caller, cast):
        caller.login(cast.bob)
        statuses = [caller.confirm("no code").status_code for _ in range(3)]
        assert statuses == [401, 401, 429]

    def test_are_invalid_after_a_change_of_the_password(self, caller, app, database, cast):
        caller.login(cast.bob)
        code = mailed_code(database, cast.bob)
        at_home = Caller(app)
        at_home.session_id = cast.sessions["bob"]
        fresh = "tulip anchor 92 rain"
        requested = {"current": PASSWORD, "password_1": fresh, "password_2": fresh}
        assert at_home.post("/user/updatepassword", **requested).status_code == 200
        assert caller.confirm(code).status_code == 401

    def test_of_simultaneous_requests_one_is_signed_in(self, app, database, cast, monkeypatch):
        caller = Caller(app)
        caller.login(cast.bob)
        code, waiting = mailed_code(database, cast.bob), caller.session_id
        monkeypatch.setattr("anomify.user.second_factor.TRIES_MAX", 100)

        def confirm(_number):
            one = Caller(app)
            one.session_id = waiting
            return one.confirm(code).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(confirm, range(16)))
        assert statuses.count(200) == 1
        assert set(statuses) <= {200, 401, 429}

    def test_limits_the_mails_to_a_user(self, app, database, cast):
        for _ in range(5):
            assert Caller(app).login(cast.bob)["needs_client_validation"]
        refused = Caller(app).login(cast.bob)
        assert refused.status_code == 429
        assert error(refused)["code"] == "too_many_codes"
        assert len(read_letters(database)) == 5

    def test_are_accepted_with_sessions_without_a_row(self, database, tmp_path, cast):
        app = make_app(database, tmp_path, BLUEPRINTS, **MAIL, rate_limits=("anonymous=1/3600",))
        app.test_client().post("/user/logout")
        caller = Caller(app)
        caller.login(cast.bob)
        with database.unit_of_work(write=False) as session:
            assert session.get(SessionRow, session_key(caller.session_id)) is None
        assert caller.confirm(mailed_code(database, cast.bob)).status_code == 200
        assert caller.is_signed_in()
        app.extensions["anomify"].points.close()

    def test_are_not_required_if_switched_off(self, database, tmp_path, cast):
        for settings in ({}, {**MAIL, "login_codes": False}):
            app = make_app(database, tmp_path, BLUEPRINTS, **settings)
            assert Caller(app).login(cast.bob)["session"]
            app.extensions["anomify"].points.close()

    def test_are_stored_as_hashes(self, caller, database, cast):
        caller.login(cast.bob)
        with database.unit_of_work(write=False) as session:
            attempt = session.scalars(select(LoginAttempt)).one()
        (letter,) = read_letters(database)
        assert code_in(letter).encode() not in attempt.code_hash
        assert link_in(letter)[1]["token"] not in repr(vars(attempt))

    def test_by_get_need_the_header_instead_of_a_cookie(self, caller, database, cast):
        caller.login(cast.bob)
        code = mailed_code(database, cast.bob)
        cookie = {"Cookie": f"session_id={caller.session_id}"}
        query = {"code": code}
        refused = caller.client.get("/login/validateclient", query_string=query, headers=cookie)
        assert refused.status_code == 405
        header = {"X-Session-Id": caller.session_id}
        reply = caller.client.get("/login/validateclient", query_string=query, headers=header)
        assert reply.status_code == 200


@pytest.fixture
def enrolled(caller, database, cast):
    """Bob's seed; his app is asked for."""
    caller.session_id = cast.sessions["bob"]
    seed = strict(caller.post("/user/totp/begin", password=PASSWORD))["data"]["setup_key"]
    with time_machine.travel(now() - timedelta(minutes=2), tick=False):
        reply = caller.post("/user/totp/confirm", code=code_of(seed))
    assert reply.status_code == 200
    caller.recovery_codes = strict(reply)["data"]["recovery_codes"]
    return seed


def code_of(seed, later_seconds=0) -> str:
    return pyotp.TOTP(seed).at(now_timestamp() + later_seconds)


class TestAuthenticator:
    def test_returns_the_key_and_requires_no_code_yet(self, caller, app, cast):
        caller.session_id = cast.sessions["bob"]
        data = strict(caller.post("/user/totp/begin", password=PASSWORD))["data"]
        assert data["setup_key"] in data["uri"]
        assert data["uri"].startswith("otpauth://totp/Anomify:bob%40acme.example")
        assert data["qr"].startswith("data:image/svg+xml")
        assert strict(caller.post("/user/totp"))["data"] == {
            "is_on": False,
            "recovery_codes_left": 0,
        }
        assert Caller(app).login(cast.bob)["validation_by"] == "email"

    def test_requires_the_password_and_a_right_code(self, caller, cast):
        caller.session_id = cast.sessions["bob"]
        assert caller.post("/user/totp/begin", password="not this one").status_code == 401
        assert error(caller.post("/user/totp/confirm", code=WRONG))["code"] == "totp_not_begun"
        caller.post("/user/totp/begin", password=PASSWORD)
        assert error(caller.post("/user/totp/confirm", code="12345x"))["code"] == "wrong_code"

    def test_returns_a_new_session_and_ends_the_others(self, caller, app, database, cast, request):
        with database.unit_of_work():
            other = make_session(cast.bob)
        request.getfixturevalue("enrolled")
        assert caller.is_signed_in()
        for session_id in (cast.sessions["bob"], other):
            old = Caller(app)
            old.session_id = session_id
            assert not old.is_signed_in()

    def test_is_required_instead_of_a_mailed_code(self, app, database, cast, enrolled):
        other = Caller(app)
        result = other.login(cast.bob)
        assert result["validation_by"] == "totp"
        assert read_letters(database) == []
        reply = other.confirm(code_of(enrolled))
        assert reply.status_code == 200
        assert strict(reply)["data"]["client_id"] is None
        assert Caller(app).login(cast.bob)["needs_client_validation"]

    def test_invalidates_an_earlier_mailed_code(self, app, database, cast, request):
        guest = Caller(app)
        guest.login(cast.bob)
        code = mailed_code(database, cast.bob)
        request.getfixturevalue("enrolled")
        assert guest.confirm(code).status_code == 401

    @pytest.mark.usefixtures("enrolled")
    def test_delays_guesses_of_codes_for_turning_it_off(self, caller):
        requested = {"password": PASSWORD, "code": WRONG}
        with time_machine.travel(now(), tick=False):
            for path in ("/user/totp/disable", "/user/totp/recoverycodes"):
                assert error(caller.post(path, **requested))["code"] == "wrong_code"
            assert error(caller.post("/user/totp/disable", **requested))["code"] == "too_many_tries"

    def test_remembers_a_client_on_request(self, app, cast, enrolled):
        other = Caller(app)
        other.login(cast.bob, remember="true")
        known_as = strict(other.confirm(code_of(enrolled)))["data"]["client_id"]
        assert Caller(app).login(cast.bob, client_id=known_as)["session"]

    def test_refuses_used_and_earlier_codes(self, app, cast, enrolled):
        with time_machine.travel(now(), tick=False):
            code, earlier = code_of(enrolled), code_of(enrolled, -30)
            first = Caller(app)
            first.login(cast.bob)
            assert first.confirm(code).status_code == 200
            for used in (code, earlier):
                again = Caller(app)
                again.login(cast.bob)
                assert again.confirm(used).status_code == 401

    def test_accepts_clocks_that_differ_by_one_step(self, app, cast, enrolled):
        with time_machine.travel(now(), tick=False):
            far = Caller(app)
            far.login(cast.bob)
            assert far.confirm(code_of(enrolled, 60)).status_code == 401
            near = Caller(app)
            near.login(cast.bob)
            assert near.confirm(code_of(enrolled, 30)).status_code == 200

    @pytest.mark.usefixtures("enrolled")
    def test_a_recovery_code_replaces_the_app_once(self, caller, app, database, cast):
        paper = caller.recovery_codes
        assert len(set(paper)) == 10
        first = Caller(app)
        first.login(cast.bob)
        assert first.confirm(paper[0].upper()).status_code == 200
        assert strict(first.post("/user/totp"))["data"]["recovery_codes_left"] == 9
        again = Caller(app)
        again.login(cast.bob)
        assert again.confirm(paper[0]).status_code == 401
        assert again.confirm(paper[1].replace("-", " ")).status_code == 200
        with database.unit_of_work(write=False) as session:
            kept = repr(session.scalars(select(RecoveryCode.code_hash)).all())
        assert paper[2] not in kept

    def test_refuses_codes_of_other_users(self, app, cast, enrolled):
        other = Caller(app)
        other.login(cast.alice)
        assert other.confirm(code_of(enrolled)).status_code == 401

    @pytest.mark.usefixtures("enrolled")
    def test_new_recovery_codes_end_the_old_ones(self, caller, app, cast):
        old = caller.recovery_codes
        requested = {"password": PASSWORD, "code": old[0]}
        fresh = strict(caller.post("/user/totp/recoverycodes", **requested))["data"][
            "recovery_codes"
        ]
        assert not set(fresh) & set(old)
        other = Caller(app)
        other.login(cast.bob)
        assert other.confirm(old[1]).status_code == 401
        assert other.confirm(fresh[0]).status_code == 200

    @pytest.mark.usefixtures("enrolled")
    def test_is_turned_off_with_password_and_code(self, caller, app, cast):
        for requested in (
            {"password": "not this one", "code": caller.recovery_codes[0]},
            {"password": PASSWORD, "code": "no code"},
        ):
            assert caller.post("/user/totp/disable", **requested).status_code in {400, 401}
        code = caller.recovery_codes[1]
        assert caller.post("/user/totp/disable", password=PASSWORD, code=code).status_code == 200
        assert Caller(app).login(cast.bob)["validation_by"] == "email"
        assert (
            error(caller.post("/user/totp/recoverycodes", password=PASSWORD, code="x"))["code"]
            == "totp_is_off"
        )

    @pytest.mark.usefixtures("enrolled")
    def test_cannot_be_set_up_again_while_it_is_on(self, caller):
        result = error(caller.post("/user/totp/begin", password=PASSWORD))
        assert result["code"] == "totp_is_on"

    def test_encrypts_the_seed_in_the_database(self, database, cast, enrolled):
        with database.unit_of_work(write=False) as session:
            assert enrolled not in session.get_one(User, cast.bob.id).totp_sealed

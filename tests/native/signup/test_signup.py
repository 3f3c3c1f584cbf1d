"""/signup, with mail that is really sent, on both databases."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from pydantic import ValidationError
from sqlalchemy import func, select

from anomify.clock import now, now_ms
from anomify.config import Settings
from anomify.metric.model import Metric
from anomify.native import login, watcher
from anomify.native.org import info as org
from anomify.native.signup import signup
from anomify.native.user import account as user
from anomify.org.model import Org
from anomify.user.model import SessionRow, User
from anomify.worker.letters import LetterSender
from tests.factories import make_metric, make_org, make_session, make_user
from tests.kit.letters import link_in, read_letters
from tests.kit.smtpsink import smtp_sink
from tests.kit.web import error, make_app, strict
from tests.native.test_login import USER_FIELDS

BLUEPRINTS = [login.blueprint, org.blueprint, signup.blueprint, user.blueprint, watcher.blueprint]
ON = {"smtp_host": "127.0.0.1", "signup": True}
PASSWORD = "tulip anchor 92 rain"
SIGN_UP = {
    "email": "Erin@initech.example",
    "user_name": "Erin",
    "org_name": "Initech",
    "timezone": "Europe/Berlin",
    "test_data": "false",
}


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, BLUEPRINTS, **ON)
    yield app
    app.extensions["anomify"].points.close()


def ask(client, **changes):
    return client.post("/signup/selfserve", data={**SIGN_UP, **changes})


def verify(client, link, password=PASSWORD, **more):
    requested = {**link, "password_1": password, "password_2": password, **more}
    return client.post("/signup/verify", data=requested)


def count(database, rows) -> int:
    with database.unit_of_work(write=False) as session:
        return session.scalar(select(func.count()).select_from(rows))


@pytest.fixture
def link(client, database):
    ask(client)
    (letter,) = read_letters(database)
    path, carried = link_in(letter)
    assert path == "/ui/verify"
    return carried


class TestSelfserve:
    def test_returns_the_requested_user_and_creates_nothing_yet(self, client, database):
        data = strict(ask(client))["data"]
        assert set(data["user"]) == USER_FIELDS - {"quiet_hours", "telegram_member_id"}
        assert data["user"]["email"] == "erin@initech.example"
        assert data["user"]["org"]["onboarding_status"] == {"id": 1, "name": "no metrics"}
        assert data["user"]["id"] is None
        assert (count(database, User), count(database, Org)) == (0, 0)

    def test_gives_the_same_reply_for_an_existing_account_and_mails_a_notice(
        self, client, database, cast
    ):
        known = strict(ask(client, email=cast.bob.email))["data"]
        fresh = strict(ask(client))["data"]
        assert {**known["user"], "email": ""} == {**fresh["user"], "email": ""}
        assert known["message"].replace(cast.bob.email, fresh["user"]["email"]) == fresh["message"]
        (to_bob,) = read_letters(database, cast.bob.email)
        assert "account already" in to_bob.subject
        assert "verification_token" not in to_bob.text

    def test_names_the_unusable_field(self, client):
        for field, value in (
            ("email", "no address"),
            ("user_name", "\u200b"),
            ("org_name", "\u200b"),
            ("timezone", "Europe/Nowhere"),
        ):
            reply = ask(client, **{field: value})
            assert reply.status_code == 400
            assert set(error(reply)["fields"]) == {field}

    def test_its_mail_links_only_to_this_server(self, client, database):
        lure = "You won! Open https://evil.example/prize now, or www.evil.example"
        ask(client, user_name=lure, org_name=lure)
        (letter,) = read_letters(database)
        assert "/ui/verify?" in letter.text
        assert "https://evil" not in letter.text
        assert "www." not in letter.text

    def test_writes_at_most_three_letters_an_hour_to_one_address(self, client, database):
        for _ in range(5):
            assert ask(client).status_code == 200
        assert len(read_letters(database)) == 3

    def test_is_off_by_default(self, database, tmp_path):
        app = make_app(database, tmp_path, BLUEPRINTS, smtp_host="127.0.0.1")
        reply = ask(app.test_client())
        assert (reply.status_code, error(reply)["code"]) == (403, "signup_is_off")
        app.extensions["anomify"].points.close()

    def test_cannot_be_turned_on_where_no_mail_is_sent(self):
        with pytest.raises(ValidationError, match="smtp_host"):
            Settings(signup=True)


class TestVerify:
    def test_creates_the_org_and_its_owner_with_the_mailed_link(self, client, database):
        ask(client)
        with smtp_sink() as sink:
            settings = Settings(smtp_host="127.0.0.1", smtp_port=sink.port, smtp_starttls=False)
            assert LetterSender(database, settings).run_once() == 1
        (mail,) = sink.mails
        assert sink.recipients == ["erin@initech.example"]
        token = re.search(r"verification_token=([0-9a-f]{32})", mail.get_content())[1]

        reply = verify(client, {"email": SIGN_UP["email"], "verification_token": token})

        session = strict(reply)["data"]["session"]
        assert set(session["user"]) == USER_FIELDS
        assert session["user"]["org"]["name"] == "Initech"
        assert session["user"]["org"]["timezone"] == "Europe/Berlin"
        assert session["user"]["org"]["onboarding_status"]["id"] == 1
        assert (session["user"]["role"], session["user"]["admin"]) == ("owner", True)
        headers = {"X-Session-Id": session["id"]}
        assert client.get("/user/info", headers=headers).status_code == 200

    def test_signs_a_browser_in_and_remembers_it(self, app, link):
        browser = app.test_client()
        assert verify(browser, link).status_code == 200
        browser.post("/user/logout", headers={"Origin": "http://localhost"})
        requested = {"email": link["email"], "password": PASSWORD}
        assert strict(browser.post("/login", data=requested))["data"]["session"]

    def test_fills_the_org_with_sample_metrics(self, client, app, database):
        ask(client, test_data="true")
        data = strict(verify(client, link_in(*read_letters(database))[1]))
        with database.unit_of_work(write=False) as session:
            metrics = session.scalars(select(Metric)).all()
        assert {metric.org_id for metric in metrics} == {data["data"]["session"]["user"]["org_id"]}
        assert len(metrics) > 5
        assert all(metric.name.startswith("example.") for metric in metrics)
        points = app.extensions["anomify"].points
        for metric in metrics:
            assert len(points.read(metric.id, 0, now_ms()).times) > 1_000

    def test_works_once(self, client, database, link):
        assert verify(client, link).status_code == 200
        again = verify(client, link)
        assert (again.status_code, error(again)["code"]) == (400, "bad_verification_token")
        assert (count(database, User), count(database, Org)) == (1, 1)

    def test_of_two_simultaneous_requests_one_creates_the_org(self, app, database, link):
        def open_it(_number):
            return verify(app.test_client(use_cookies=False), link).status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(open_it, range(4)))
        assert statuses == [200, 400, 400, 400]
        assert (count(database, User), count(database, Org)) == (1, 1)

    def test_is_valid_for_a_day_and_for_its_address(self, client, link):
        assert verify(client, {**link, "email": "mallory@evil.example"}).status_code == 400
        assert verify(client, {**link, "verification_token": "0" * 32}).status_code == 400
        with time_machine.travel(now() + timedelta(hours=24)):
            assert verify(client, link).status_code == 400

    def test_the_link_stays_valid_after_a_refused_password(self, client, link):
        assert set(error(verify(client, link, "short"))["fields"]) == {"password_1"}
        assert set(error(verify(client, link, password_2="x"))["fields"]) == {"password_2"}
        assert set(error(verify(client, link, "initech12345"))["fields"]) == {"password_1"}
        assert verify(client, link).status_code == 200

    def test_is_refused_when_the_address_got_an_account_meanwhile(self, client, database, link):
        ask(client)
        (letter,) = read_letters(database)
        verify(client, link_in(letter)[1])
        assert error(verify(client, link))["code"] == "email_taken"
        assert count(database, Org) == 1


@pytest.fixture
def demo(database):
    with database.unit_of_work():
        made = make_org("Demo", is_demo=True)
        make_metric(made, "shop.orders")
    return made


class TestDemo:
    def visit(self, client, **requested):
        return strict(client.post("/signup/demo", data=requested))["data"]["session"]

    def test_orgs_are_listed_for_every_caller(self, client, demo):
        (listed,) = strict(client.get("/signup/demo-orgs"))["data"]["orgs"]
        assert (listed["id"], listed["name"], listed["metrics"]) == (demo.id, "Demo", 1)
        assert listed["description"]

    def test_signs_each_visitor_in_as_a_new_user(self, client, demo):
        first, second = self.visit(client), self.visit(client, demo_org_id=demo.id)
        assert first["user"]["demo"] is True
        assert first["user"]["role"] == "viewer"
        assert first["user"]["id"] != second["user"]["id"]
        headers = {"X-Session-Id": first["id"]}
        assert strict(client.get("/org/info", headers=headers))["data"]["org"]["demo"] is True

    def test_refuses_orgs_that_are_no_demo(self, client, cast):
        for requested in ({"demo_org_id": cast.acme.id}, {"demo_org_id": 999}, {}):
            assert client.post("/signup/demo", data=requested).status_code == 404

    @pytest.mark.usefixtures("demo")
    def test_refuses_changes_with_a_reason(self, client):
        headers = {"X-Session-Id": self.visit(client)["id"]}
        for path in ("/user/update", "/user/delete", "/user/reportissue"):
            reply = client.post(path, data={"name": "Mallory", "message": "x"}, headers=headers)
            assert (reply.status_code, error(reply)["code"]) == (403, "demo_read_only"), path
        assert client.post("/user/logout", headers=headers).status_code == 200

    def test_refuses_changes_by_the_owner_of_a_demo(self, client, database, demo):
        with database.unit_of_work():
            owner = make_session(make_user(demo, "Olga", "owner", email="olga@demo.example"))
        reply = client.post(
            "/watcher/create", data={"name": "x", "chips": "x"}, headers={"X-Session-Id": owner}
        )
        assert error(reply)["code"] == "demo_read_only"

    @pytest.mark.usefixtures("demo")
    def test_limits_the_number_of_visitors(self, client, database, monkeypatch):
        monkeypatch.setattr("anomify.user.demo_visitor.VISITORS_MAX", 3)
        ids = [self.visit(client)["user"]["id"] for _ in range(5)]
        with database.unit_of_work(write=False) as session:
            assert sorted(session.scalars(select(User.id))) == ids[2:]
            assert (
                session.scalar(
                    select(func.count())
                    .select_from(SessionRow)
                    .where(SessionRow.user_id.is_not(None))
                )
                == 3
            )

    @pytest.mark.usefixtures("demo")
    def test_a_visitor_cannot_sign_in_with_a_password(self, client):
        email = self.visit(client)["user"]["email"]
        reply = client.post("/login", data={"email": email, "password": "*"})
        assert reply.status_code == 401

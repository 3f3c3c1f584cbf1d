"""/user, on both databases."""

from datetime import timedelta

import pytest
import time_machine

from anomify.audit.queries import list_audit
from anomify.clock import now
from anomify.metric.queries import find_metric
from anomify.native import login
from anomify.native.anomaly.blueprints import anomaly_blueprints
from anomify.native.user import account
from anomify.native.user import sessions as user_session
from anomify.user.queries import find_user
from anomify.user.session import session_key, session_name
from tests.factories import (
    PASSWORD,
    make_anomaly,
    make_metric,
    make_session,
    make_token,
    make_user,
)
from tests.kit.letters import read_letters
from tests.kit.web import error, make_app, strict


@pytest.fixture
def app(database, tmp_path):
    app = make_app(
        database,
        tmp_path,
        [*anomaly_blueprints(), login.blueprint, account.blueprint, user_session.blueprint],
    )
    yield app
    app.extensions["anomify"].points.close()


class TestInfo:
    def test_returns_the_signed_in_user(self, client, cast):
        for name in ("alice", "bob", "charlie"):
            data = strict(client.get("/user/info", headers=cast.headers(name)))["data"]["user"]
            assert data["name"] == name.capitalize()

    def test_refuses_anonymous_callers_and_tokens(self, client, cast, database):
        assert client.get("/user/info").status_code == 401
        with database.unit_of_work():
            _, text = make_token(cast.acme, "read", "write", "admin", "ingest")
        assert client.get("/user/info", headers={"X-Auth-Token": text}).status_code == 403

    def test_contains_no_secret(self, client, cast):
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

    def test_gives_the_browser_an_anonymous_session(self, app, cast):
        browser = app.test_client()
        browser.post("/login", data={"email": cast.bob.email, "password": PASSWORD})
        before = browser.get_cookie("session_id").value
        reply = browser.post("/user/logout", headers={"Origin": "http://localhost"})
        assert reply.status_code == 200
        after = browser.get_cookie("session_id").value
        assert after == strict(reply)["status"]["session_id"] != before
        assert browser.get("/user/info").status_code == 401

    def test_ends_every_session_on_request(self, client, cast, database):
        with database.unit_of_work():
            other = make_session(cast.bob)
        client.post("/user/logout", data={"all": "true"}, headers=cast.headers("bob"))
        for old in (other, cast.sessions["bob"]):
            assert client.get("/user/info", headers={"X-Session-Id": old}).status_code == 401
        assert client.get("/user/info", headers=cast.headers("alice")).status_code == 200

    def test_keeps_other_sessions(self, client, cast):
        client.post("/user/logout", headers=cast.headers("bob"))
        assert client.get("/user/info", headers=cast.headers("alice")).status_code == 200


class TestPing:
    def test_extends_the_session_and_returns_its_age(self, client, cast):
        with time_machine.travel(now() + timedelta(minutes=5)):
            data = strict(client.get("/user/ping", headers=cast.headers("bob")))["data"]
        assert data["user_id"] == cast.bob.id
        assert 300 <= data["session_age"] < 360

    def test_counts_anomalies_since_the_list_was_read(self, client, cast, database):
        def unread(name="bob"):
            return strict(client.get("/user/ping", headers=cast.headers(name)))["data"]["unread"]

        def look(**query):
            reply = client.get("/anomalies", headers=cast.headers("bob"), query_string=query)
            assert reply.status_code == 200

        def begin(org, days=0):
            with database.unit_of_work():
                metric = find_metric(org.id, "cpu.load") or make_metric(org)
                make_anomaly(metric, now() + timedelta(minutes=1) - timedelta(days=days))

        # Before they joined.
        begin(cast.acme, days=9)
        assert unread() == 0
        begin(cast.acme)
        begin(cast.globex)
        assert unread() == unread("alice") == unread("charlie") == 1
        until = int(now().timestamp()) + 600
        for narrowed in ({"status": "open"}, {"offset": 1}, {"chips": "cpu"}, {"order": "oldest"}):
            look(until=until, **narrowed)
            assert unread() == 1, narrowed
        with time_machine.travel(now() + timedelta(minutes=2)):
            look()
            assert (unread(), unread("alice"), unread("charlie")) == (0, 1, 1)
            # What is found late began before the list was looked at.
            begin(cast.acme, days=2)
            assert unread() == 1
            look(limit=1, order="newest")
            look()
            assert unread() == 0

    def test_refuses_callers_without_a_session(self, client):
        assert client.get("/user/ping").status_code == 401


class TestUpdate:
    def update(self, client, cast, **requested):
        return client.post("/user/update", data=requested, headers=cast.headers("bob"))

    def test_changes_only_the_sent_fields(self, client, cast):
        reply = self.update(
            client,
            cast,
            name="Robert",
            phone_number="+49 30 123456",
            slack_member_id="U024BE7LH",
            telegram_member_id="123456789",
        )
        data = strict(reply)["data"]["user"]
        assert (data["name"], data["phone_number"]) == ("Robert", "+4930123456")
        assert (data["slack_member_id"], data["telegram_member_id"]) == ("U024BE7LH", "123456789")
        assert data["notifications"] == {"email_alerts": True}
        assert strict(client.get("/user/info", headers=cast.headers("bob")))["data"]["user"] == data
        cleared = strict(self.update(client, cast, phone_number="", slack_member_id=""))
        assert cleared["data"]["user"]["phone_number"] is None
        assert cleared["data"]["user"]["slack_member_id"] is None
        assert cleared["data"]["user"]["name"] == "Robert"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("phone_number", "030 123456"),
            ("phone_number", "+49 1"),
            ("phone_number", "+1 call me"),
            ("slack_member_id", "<!channel>"),
            ("telegram_member_id", "@bob"),
            ("name", "\u200b"),
        ],
    )
    def test_names_the_unusable_field(self, client, cast, field, value):
        reply = self.update(client, cast, **{field: value})
        assert reply.status_code == 400
        assert set(error(reply)["fields"]) == {field}

    def test_accepts_notifications_flat_and_as_an_object(self, client, cast):
        data = strict(self.update(client, cast, email_alerts="false"))["data"]["user"]
        assert data["notifications"] == {"email_alerts": False}
        requested = {"notifications": {"email_alerts": True}}
        reply = client.post("/user/update", json=requested, headers=cast.headers("bob"))
        assert strict(reply)["data"]["user"]["notifications"] == {"email_alerts": True}

    def test_stores_the_steps_that_were_shown(self, client, cast):
        requested = {"onboarding_flags": {"main_intro": True, "alerts_intro": True}}
        client.post("/user/update", json=requested, headers=cast.headers("bob"))
        self.update(client, cast, onboarding_flags='{"alerts_intro": false}')
        data = strict(self.update(client, cast, onboarding_flags="training_intro"))
        flags = data["data"]["user"]["onboarding_flags"]
        assert {step for step, is_taken in flags.items() if is_taken} == {
            "main_intro",
            "training_intro",
        }
        assert data["status"]["user_onboarding_flags"] == flags
        other = strict(client.get("/user/info", headers=cast.headers("alice")))
        assert not any(other["status"]["user_onboarding_flags"].values())

    @pytest.mark.parametrize("step", ["alert_created", "two_alerts_sent", "pattern_trained", "x"])
    def test_refuses_steps_that_are_set_by_what_happens(self, client, cast, step):
        reply = self.update(client, cast, onboarding_flags=step)
        assert set(error(reply)["fields"]) == {"onboarding_flags"}

    def test_does_not_change_role_org_or_address(self, client, cast, database):
        self.update(client, cast, role="owner", org_id="2", email="x@y.example", admin="true")
        with database.unit_of_work(write=False):
            bob = find_user(cast.bob.id)
        assert (bob.role, bob.org_id, bob.email) == ("editor", cast.acme.id, cast.bob.email)


class TestQuietHours:
    def test_are_set_and_ended(self, client, cast):
        def update(**requested):
            reply = client.post("/user/update", data=requested, headers=cast.headers("bob"))
            return strict(reply)["data"]["user"]["quiet_hours"]

        assert update(name="Bob") is None
        assert update(quiet_from="22:00", quiet_until="7:00", quiet_weekdays="sat,sun") == {
            "quiet_from": "22:00",
            "quiet_until": "07:00",
            "timezone": "UTC",
            "weekdays": ["saturday", "sunday"],
            "except_severity": None,
        }
        assert update(quiet_except_severity="high")["except_severity"] == "high"
        assert update(quiet_from="", quiet_until="") is None

    def test_refusals_name_the_field(self, client, cast):
        reply = client.post(
            "/user/update",
            data={"name": "Robert", "quiet_from": "25:00", "quiet_until": "7:00"},
            headers=cast.headers("bob"),
        )
        assert list(error(reply)["fields"]) == ["quiet_from"]
        user = strict(client.get("/user/info", headers=cast.headers("bob")))["data"]["user"]
        assert (user["name"], user["quiet_hours"]) == ("Bob", None)


class TestUpdatePassword:
    NEW = "another quite long phrase"

    def change(self, client, cast, **requested):
        requested = {
            "current": PASSWORD,
            "password_1": self.NEW,
            "password_2": self.NEW,
            **requested,
        }
        return client.post("/user/updatepassword", data=requested, headers=cast.headers("bob"))

    def test_renews_this_session_and_ends_the_others(self, client, cast, database):
        with database.unit_of_work():
            other = make_session(cast.bob)
        fresh = strict(self.change(client, cast))["status"]["session_id"]
        for old in (other, cast.sessions["bob"]):
            assert client.get("/user/info", headers={"X-Session-Id": old}).status_code == 401
        assert client.get("/user/info", headers={"X-Session-Id": fresh}).status_code == 200
        requested = {"email": cast.bob.email, "password": self.NEW}
        assert client.post("/login", data=requested).status_code == 200

    def test_requires_the_present_password_and_delays_guessing(self, client, cast):
        replies = [self.change(client, cast, current="not this one") for _ in range(3)]
        assert [reply.status_code for reply in replies] == [401, 401, 429]
        assert error(replies[0])["code"] == "wrong_password"
        assert client.get("/user/info", headers=cast.headers("bob")).status_code == 200

    def test_refuses_a_weak_password(self, client, cast):
        for requested, field in (
            ({"password_2": "something else entirely"}, "password_2"),
            ({"password_1": "short", "password_2": "short"}, "password_1"),
        ):
            assert set(error(self.change(client, cast, **requested))["fields"]) == {field}

    def test_refuses_a_password_in_the_address(self, client, cast):
        reply = client.post(
            "/user/updatepassword",
            query_string={"current": PASSWORD, "password_1": self.NEW, "password_2": self.NEW},
            headers=cast.headers("bob"),
        )
        assert error(reply)["code"] == "password_in_address"


class TestDelete:
    def delete(self, client, cast, who, **requested):
        return client.post("/user/delete", data=requested, headers=cast.headers(who))

    def test_deletes_oneself_at_once(self, client, cast):
        answer = strict(self.delete(client, cast, "dave"))
        assert answer["data"]["deleted"] == cast.dave.id
        assert client.get("/user/info", headers=cast.headers("dave")).status_code == 401
        requested = {"email": cast.dave.email, "password": PASSWORD}
        assert client.post("/login", data=requested).status_code == 401

    def test_deletes_another_user_for_an_admin_only(self, client, cast):
        assert self.delete(client, cast, "bob", user_id=cast.dave.id).status_code == 403
        assert self.delete(client, cast, "alice", user_id=cast.dave.id).status_code == 200

    def test_refuses_to_delete_the_last_owner(self, client, cast):
        reply = self.delete(client, cast, "alice")
        assert (reply.status_code, error(reply)["code"]) == (409, "last_owner")
        assert client.get("/user/info", headers=cast.headers("alice")).status_code == 200

    def test_an_admin_deletes_no_owner(self, client, cast, database):
        with database.unit_of_work():
            erin = make_user(cast.acme, "Erin", "admin", email="erin@acme.example")
            headers = {"X-Session-Id": make_session(erin)}
        requested = {"user_id": cast.alice.id}
        assert client.post("/user/delete", data=requested, headers=headers).status_code == 403

    def test_does_not_find_users_of_other_orgs(self, client, cast):
        foreign = error(self.delete(client, cast, "alice", user_id=cast.charlie.id))
        unused = error(self.delete(client, cast, "alice", user_id=999_999))
        assert foreign == unused
        assert client.get("/user/info", headers=cast.headers("charlie")).status_code == 200

    def test_is_recorded_in_the_audit_trail(self, client, cast, database):
        self.delete(client, cast, "alice", user_id=cast.dave.id)
        with database.unit_of_work(write=False):
            (entry,) = list_audit(cast.acme.id, action="user.delete").items
        assert (entry.actor, entry.target) == ("Alice", cast.dave.email)


class TestReportIssue:
    def report(self, client, cast, **requested):
        requested = {"message": "The chart is empty.", "url": "/ui/metrics", **requested}
        return client.post("/user/reportissue", data=requested, headers=cast.headers("bob"))

    def test_is_mailed_to_the_operator_five_times_an_hour(self, database, tmp_path, cast):
        mail = {"smtp_host": "127.0.0.1", "operator_email": "ops@acme.example"}
        app = make_app(database, tmp_path, [account.blueprint], **mail)
        client = app.test_client(use_cookies=False)
        ticket = strict(self.report(client, cast))["data"]["ticket_id"]
        (letter,) = read_letters(database, "ops@acme.example")
        assert letter.id.startswith(ticket)
        assert "The chart is empty." in letter.text
        assert cast.bob.email in letter.text
        statuses = [self.report(client, cast).status_code for _ in range(5)]
        assert statuses == [200] * 4 + [429]
        app.extensions["anomify"].points.close()

    def test_is_refused_without_an_address_for_reports(self, client, cast):
        reply = self.report(client, cast)
        assert (reply.status_code, error(reply)["code"]) == (409, "nobody_to_tell")


class TestSessions:
    def listed(self, client, headers):
        return strict(client.get("/user/sessions", headers=headers))["data"]["sessions"]

    def test_list_clients_and_addresses(self, client, cast):
        client.post(
            "/login",
            data={"email": cast.bob.email, "password": PASSWORD},
            headers={"User-Agent": "curl/8.5.0"},
            environ_base={"REMOTE_ADDR": "192.0.2.7"},
        )
        found = self.listed(client, cast.headers("bob"))
        assert len(found) == 2
        other = next(row for row in found if not row["is_current"])
        assert (other["device"], other["address"]) == ("curl/8.5.0", "192.0.2.7")
        assert other["created_timestamp"] <= other["last_seen_timestamp"]
        assert other["last_seen_timestamp"] < other["expires_timestamp"]
        text = str(found)
        assert cast.sessions["bob"] not in text
        assert session_key(cast.sessions["bob"]).hex() not in text

    def test_are_ended_one_by_one(self, client, cast, database):
        with database.unit_of_work():
            other = make_session(cast.bob)
        name = session_name(session_key(other))
        requested = {"session": name}
        headers = cast.headers("bob")
        assert (
            client.post("/user/sessions/revoke", data=requested, headers=headers).status_code == 200
        )
        assert client.get("/user/info", headers={"X-Session-Id": other}).status_code == 401
        assert (
            client.post("/user/sessions/revoke", data=requested, headers=headers).status_code == 404
        )

    def test_end_all_others(self, client, cast, database):
        with database.unit_of_work():
            others = [make_session(cast.bob) for _ in range(3)]
        headers = cast.headers("bob")
        reply = client.post("/user/sessions/revoke", data={"others": "true"}, headers=headers)
        assert strict(reply)["data"]["revoked"] == 3
        for other in others:
            assert client.get("/user/info", headers={"X-Session-Id": other}).status_code == 401
        assert client.get("/user/info", headers=headers).status_code == 200

    def test_of_other_users_are_not_found(self, client, cast):
        name = session_name(session_key(cast.sessions["dave"]))
        for who in ("alice", "bob", "charlie"):
            reply = client.post(
                "/user/sessions/revoke", data={"session": name}, headers=cast.headers(who)
            )
            assert reply.status_code == 404
        assert client.get("/user/info", headers=cast.headers("dave")).status_code == 200

    def test_are_ended_only_by_name(self, client, cast):
        reply = client.post("/user/sessions/revoke", headers=cast.headers("bob"))
        assert set(error(reply)["fields"]) == {"session"}

"""/org/users, /org/invitations and the link of an invitation, on both databases."""

import re
from datetime import timedelta

import pytest
import time_machine

from anomify.audit.queries import list_audit
from anomify.clock import now
from anomify.dashboard import inbox, invitation, sign_in
from anomify.db import session
from anomify.native import login
from anomify.native.org import users as org_user
from anomify.native.signup import invitation as signup_invitation
from anomify.native.user import account as user
from anomify.org.letter import claim_letters
from anomify.user.model import User
from tests.factories import PASSWORD, make_session, make_token, make_user
from tests.kit.web import error, make_app, strict

NEW_PASSWORD = "seven unrelated words of mine"


@pytest.fixture
def app(database, tmp_path):
    blueprints = (org_user, signup_invitation, login, user, invitation, inbox, sign_in)
    made = make_app(
        database,
        tmp_path,
        [module.blueprint for module in blueprints],
        smtp_host="127.0.0.1",
        public_url="http://anomify.test",
    )
    yield made
    made.extensions["anomify"].points.close()


@pytest.fixture
def erin(cast, database):
    with database.unit_of_work():
        return make_user(cast.acme, "Erin", "admin", email="erin@acme.example")


@pytest.fixture
def post(client, cast):
    def post(path, who, **requested):
        headers = cast.headers(who) if isinstance(who, str) else who
        return client.post(path, data=requested, headers=headers)

    return post


@pytest.fixture
def mailed(database):
    """The letters that were written since the last look, as (to, text)."""

    def mailed():
        with database.unit_of_work():
            return [(letter.to, letter.text) for letter in claim_letters(now(), 10)]

    return mailed


def link_in(text):
    return re.search(r"http://anomify\.test/ui/invitation\?token=(\S+)", text)[1]


def role_of(database, user_id):
    with database.unit_of_work(write=False):
        return session().get_one(User, user_id).role


class TestUsers:
    def test_lists_the_users_of_the_org_by_name(self, client, cast, database):
        data = strict(client.get("/org/users", headers=cast.headers("dave")))["data"]
        assert [each["name"] for each in data["users"]] == ["Alice", "Bob", "Dave"]
        assert data["total"] == 3
        assert set(data["users"][0]) == {"id", "name", "email", "role", "admin"}
        data = strict(client.get("/org/users", headers=cast.headers("charlie")))["data"]
        assert [each["name"] for each in data["users"]] == ["Charlie"]
        with database.unit_of_work():
            _, text = make_token(cast.acme, "read")
        assert client.get("/org/users", headers={"X-Auth-Token": text}).status_code == 200


class TestInvite:
    def test_mails_a_link_that_creates_an_account_once(self, client, cast, post, mailed, database):
        reply = post("/org/users", "alice", email=" Ann@Acme.example", name="Ann", role="editor")
        data = strict(reply)["data"]
        assert data["link"] is None
        assert (data["invitation"]["email"], data["invitation"]["waiting"]) == (
            "ann@acme.example",
            True,
        )
        ((to, text),) = mailed()
        assert to == "ann@acme.example"
        assert "Alice invites you into Acme" in text
        token = link_in(text)
        joined = post("/signup/invitation", {}, token=token, password=NEW_PASSWORD)
        began = strict(joined)["data"]["session"]
        assert (began["user"]["name"], began["user"]["role"]) == ("Ann", "editor")
        assert client.get("/user/info", headers={"X-Session-Id": began["id"]}).status_code == 200
        again = post("/signup/invitation", {}, token=token, password=NEW_PASSWORD)
        assert error(again)["code"] == "bad_invitation"
        assert strict(client.get("/org/invitations", headers=cast.headers("alice")))["data"] == {
            "invitations": [],
            "total": 0,
        }
        with database.unit_of_work(write=False):
            actions = [entry.action for entry in list_audit(cast.acme.id).items]
        assert {"user.invite", "user.accept", "user.login"} <= set(actions)

    def test_refuses_a_role_above_the_inviters(self, cast, post, erin, database):
        with database.unit_of_work():
            admin = {"X-Auth-Token": make_token(cast.acme, "admin")[1]}
            cast.sessions["erin"] = make_session(erin)
        for who in ("erin", admin):
            refused = post("/org/users", who, email="a@x.example", role="owner")
            assert (refused.status_code, error(refused)["code"]) == (403, "role_above")
            assert post("/org/users", who, email=f"{id(who)}@x.example", admin="true").json["data"][
                "invitation"
            ]["role"] == ("admin")
        for who in ("bob", "dave"):
            assert post("/org/users", who, email="a@x.example").status_code == 403

    def test_is_refused_for_members_and_invited_addresses(self, cast, post, mailed):
        assert error(post("/org/users", "alice", email=cast.bob.email))["code"] == "user_exists"
        # Nothing reveals users of other orgs; only the link does not work for them.
        assert post("/org/users", "alice", email=cast.charlie.email).status_code == 200
        again = post("/org/users", "alice", email=cast.charlie.email)
        assert (again.status_code, error(again)["code"]) == (409, "invited_already")
        ((_, text),) = mailed()
        joined = post(
            "/signup/invitation", {}, token=link_in(text), password=NEW_PASSWORD, name="C"
        )
        assert (joined.status_code, error(joined)["code"]) == (409, "email_taken")

    def test_only_the_letter_reveals_an_account_in_another_org(self, cast, post, mailed, database):
        with database.unit_of_work():
            erin = make_user(cast.globex, "Erin", "editor", email="erin@globex.example")
            key = make_session(erin)
        data = {}
        for email in ("nobody@x.example", erin.email, cast.charlie.email):
            reply = post("/org/users", "alice", email=email)
            assert reply.status_code == 200
            data[email] = reply.json["data"]
        # Nothing but what was typed, ids and moments differs for the inviter.
        plain = [{**one["invitation"], "email": "", "id": 0} for one in data.values()]
        assert plain[0] == plain[1] == plain[2]
        assert {one["link"] for one in data.values()} == {None}
        letters = dict(mailed())
        assert "account in another org" not in letters["nobody@x.example"]
        assert "last one" in letters[cast.charlie.email]
        result = letters[erin.email]
        for part in (
            f"Your address {erin.email} has an account in another org here, Globex",
            "/user/delete",
        ):
            assert part in result
        assert "last one" not in result
        joining = {"token": link_in(result), "password": NEW_PASSWORD, "name": "Erin"}
        joined = post("/signup/invitation", {}, **joining)
        assert (joined.status_code, error(joined)["code"]) == (409, "email_taken")
        # It is true: once the account is gone the same link works.
        assert post("/user/delete", {"X-Session-Id": key}).status_code == 200
        assert post("/signup/invitation", {}, **joining).status_code == 200

    def test_refuses_an_invalid_address(self, post, mailed):
        for email in (
            "ann@acme",
            "a..b@x.example",
            "ann@x.example\nBcc: b@x.example",
            "a" * 65 + "@x.example",
        ):
            reply = post("/org/users", "alice", email=email)
            assert reply.status_code == 400
            assert "ann@example.com" in error(reply)["fields"]["email"]
        assert mailed() == []

    def test_its_mail_links_only_to_this_server(self, post, mailed):
        post("/org/users", "alice", email="a@x.example", name="Win at http://evil.example now")
        ((_, text),) = mailed()
        assert re.findall(r"\w+://[^/\s]+", text) == ["http://anomify.test"]

    def test_writes_at_most_three_letters_an_hour_to_one_address(self, post, mailed):
        made = post("/org/users", "alice", email="a@x.example").json["data"]["invitation"]
        for _ in range(2):
            assert (
                post("/org/invitations/resend", "alice", invitation_id=made["id"]).status_code
                == 200
            )
        refused = post("/org/invitations/resend", "alice", invitation_id=made["id"])
        assert refused.status_code == 429
        assert len(mailed()) == 3

    def test_returns_the_link_where_no_mail_is_sent(self, database, tmp_path, cast):
        app = make_app(database, tmp_path, [org_user.blueprint])
        reply = app.test_client(use_cookies=False).post(
            "/org/users", data={"email": "a@x.example"}, headers=cast.headers("alice")
        )
        assert "/ui/invitation?token=" in strict(reply)["data"]["link"]
        app.extensions["anomify"].points.close()


class TestInvitations:
    def test_a_new_letter_ends_the_old_link_and_revoking_ends_the_new_one(
        self, client, cast, post, mailed
    ):
        made = post("/org/users", "alice", email="a@x.example", name="Ann").json["data"][
            "invitation"
        ]
        first = link_in(mailed()[0][1])
        post("/org/invitations/resend", "alice", invitation_id=made["id"])
        second = link_in(mailed()[0][1])
        joined = post("/signup/invitation", {}, token=first, password=NEW_PASSWORD)
        assert joined.status_code == 400
        listed = client.get("/org/invitations", headers=cast.headers("alice"))
        assert first not in listed.text
        assert second not in listed.text
        assert strict(listed)["data"]["total"] == 1
        assert post("/org/invitations/revoke", "alice", invitation_id=made["id"]).status_code == 200
        joined = post("/signup/invitation", {}, token=second, password=NEW_PASSWORD)
        assert joined.status_code == 400
        assert post("/org/invitations/revoke", "alice", invitation_id=made["id"]).status_code == 409

    def test_expire_after_three_days(self, post, mailed):
        post("/org/users", "alice", email="a@x.example", name="Ann")
        ((_, text),) = mailed()
        with time_machine.travel(now() + timedelta(hours=72, seconds=1)):
            late = post("/signup/invitation", {}, token=link_in(text), password=NEW_PASSWORD)
        assert error(late)["code"] == "bad_invitation"

    def test_are_not_found_by_other_orgs(self, post):
        made = post("/org/users", "alice", email="a@x.example").json["data"]["invitation"]
        for what in ("resend", "revoke"):
            reply = post(f"/org/invitations/{what}", "charlie", invitation_id=made["id"])
            assert reply.status_code == 404

    def test_stay_valid_after_a_refused_password(self, post, mailed):
        post("/org/users", "alice", email="a@x.example", name="Ann")
        ((_, text),) = mailed()
        refused = post("/signup/invitation", {}, token=link_in(text), password="short")
        assert "password" in error(refused)["fields"]
        joined = post("/signup/invitation", {}, token=link_in(text), password=NEW_PASSWORD)
        assert joined.status_code == 200


class TestPage:
    def test_accepts_an_invitation_in_the_browser(self, app, post, mailed):
        post("/org/users", "alice", email="a@x.example", role="viewer")
        ((_, text),) = mailed()
        browser = app.test_client()
        page = browser.get(f"/ui/invitation?token={link_in(text)}")
        assert "Join Acme" in page.text
        assert "Alice invites you as viewer" in page.text
        form = {"token": link_in(text), "name": "Ann", "password": "short"}
        mine = {"Origin": "http://anomify.test"}
        assert browser.post("/ui/invitation", data=form, headers=mine).status_code == 400
        form["password"] = NEW_PASSWORD
        reply = browser.post("/ui/invitation", data=form, headers=mine)
        assert (reply.status_code, reply.location) == (303, "/ui/")
        assert strict(browser.get("/user/info"))["data"]["user"]["name"] == "Ann"
        gone = app.test_client().get(f"/ui/invitation?token={link_in(text)}")
        assert gone.status_code == 400
        assert "This invitation does not work" in gone.text


class TestRole:
    def test_ends_the_sessions_of_the_user(self, client, cast, post, database):
        reply = post("/org/users/role", "alice", user_id=cast.dave.id, role="editor")
        assert strict(reply)["data"]["user"]["role"] == "editor"
        assert client.get("/user/info", headers=cast.headers("dave")).status_code == 401
        assert client.get("/user/info", headers=cast.headers("bob")).status_code == 200
        with database.unit_of_work(write=False):
            entry = list_audit(cast.acme.id, action="user.role").items[0]
        assert (entry.before, entry.after) == ({"role": "viewer"}, {"role": "editor"})

    def test_a_user_who_changes_their_own_role_gets_a_new_session(self, client, cast, post, erin):
        post("/org/users/role", "alice", user_id=erin.id, role="owner")
        reply = post("/org/users/role", "alice", user_id=cast.alice.id, role="admin")
        fresh = strict(reply)["status"]["session_id"]
        assert client.get("/user/info", headers=cast.headers("alice")).status_code == 401
        data = strict(client.get("/user/info", headers={"X-Session-Id": fresh}))["data"]["user"]
        assert data["role"] == "admin"

    def test_an_org_keeps_an_owner(self, cast, post, database):
        refused = post("/org/users/role", "alice", user_id=cast.alice.id, role="admin")
        assert (refused.status_code, error(refused)["code"]) == (409, "last_owner")
        assert role_of(database, cast.alice.id) == "owner"

    def test_no_user_changes_roles_above_their_own(self, cast, post, erin, database):
        with database.unit_of_work():
            cast.sessions["erin"] = make_session(erin)
        assert (
            post("/org/users/role", "erin", user_id=cast.alice.id, role="viewer").status_code == 403
        )
        assert post("/org/users/role", "erin", user_id=cast.bob.id, role="owner").status_code == 403
        assert post("/org/users/role", "erin", user_id=cast.bob.id, role="admin").status_code == 200
        assert (
            post("/org/users/role", "alice", user_id=cast.dave.id, role="king").status_code == 400
        )
        assert (
            post("/org/users/role", "charlie", user_id=cast.dave.id, role="editor").status_code
            == 404
        )


class TestTransfer:
    def test_makes_the_new_user_owner_and_the_former_owner_admin(self, cast, post, database):
        reply = post("/org/users/transfer", "alice", user_id=cast.bob.id)
        assert strict(reply)["data"]["user"]["role"] == "owner"
        assert role_of(database, cast.alice.id) == "admin"
        fresh = {"X-Session-Id": strict(reply)["status"]["session_id"]}
        assert post("/org/users/transfer", fresh, user_id=cast.bob.id).status_code == 403

    def test_is_refused_to_oneself_and_to_users_of_other_orgs(self, cast, post):
        assert post("/org/users/transfer", "alice", user_id=cast.alice.id).status_code == 400
        assert post("/org/users/transfer", "alice", user_id=cast.charlie.id).status_code == 404


class TestRemove:
    def test_deletes_the_user_and_the_sessions(self, client, cast, post):
        assert post("/org/users/remove", "alice", user_id=cast.dave.id).status_code == 200
        assert client.get("/user/info", headers=cast.headers("dave")).status_code == 401
        tried = client.post("/login", data={"email": cast.dave.email, "password": PASSWORD})
        assert tried.status_code == 401

    def test_needs_the_role_admin(self, cast, post, erin, database):
        with database.unit_of_work():
            cast.sessions["erin"] = make_session(erin)
            admin = {"X-Auth-Token": make_token(cast.acme, "admin")[1]}
        for who, whom, status in (
            ("erin", cast.alice, 403),
            ("alice", cast.alice, 403),
            (admin, cast.dave, 403),
            ("bob", cast.dave, 403),
            ("charlie", cast.dave, 404),
            ("erin", cast.dave, 200),
        ):
            assert post("/org/users/remove", who, user_id=whom.id).status_code == status

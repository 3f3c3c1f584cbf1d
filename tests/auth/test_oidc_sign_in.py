"""Signing in with an OpenID Connect provider, on both databases."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from joserfc.jwk import RSAKey

from anomify.audit.queries import list_audit
from anomify.clock import now
from anomify.dashboard import (
    inbox,
    invitation,
    metrics_page,
    oidc_sign_in,
    password_reset,
    sign_in,
    sign_up,
)
from anomify.db import session
from anomify.native import login
from anomify.native.user import account as user
from anomify.user.invitation import Inviter, invite
from anomify.user.model import Identity, User
from tests.factories import PASSWORD
from tests.kit.issuer import CLIENT_ID, CLIENT_SECRET, issuer
from tests.kit.web import make_app, strict

HOME = "http://127.0.0.1:8080"
BACK = "/login/oidc/callback"


@pytest.fixture
def there():
    with issuer() as running:
        yield running


@pytest.fixture
def app_with(database, tmp_path, there):
    apps = []

    def app_with(**settings):
        blueprints = (
            *(password_reset, inbox, invitation, metrics_page, sign_in, oidc_sign_in, sign_up),
            *(login, user),
        )
        settings = {
            "oidc_issuer": there.url,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_name": "Acme ID",
            **settings,
        }
        apps.append(
            make_app(database, tmp_path, [each.blueprint for each in blueprints], **settings)
        )
        return apps[-1]

    yield app_with
    for app in apps:
        app.extensions["anomify"].points.close()


def begin(browser, **requested):
    reply = browser.get("/login/oidc", query_string=requested)
    assert reply.status_code == 303, reply.text
    return reply.location


def come_back(browser, there, **requested):
    return browser.get(BACK, query_string=there.sign_in(begin(browser, **requested)))


def who(browser):
    return browser.get("/user/info").json["data"].get("user", {}).get("name")


def connected(database, person, there):
    with database.unit_of_work():
        session().add(
            Identity(issuer=there.url, subject=there.sub, user_id=person.id, created_at=now())
        )


class TestBegin:
    def test_redirects_with_state_nonce_and_pkce(self, app_with):
        browser = app_with().test_client()
        parts = urlsplit(begin(browser))
        sent = {name: found[0] for name, found in parse_qs(parts.query).items()}
        assert sent["redirect_uri"] == f"{HOME}{BACK}"
        assert sent["scope"] == "openid email profile"
        assert len(sent["state"]) >= 43
        assert len(sent["nonce"]) >= 43
        assert sent["code_challenge_method"] == "S256"
        cookie = browser.get_cookie("oidc", path="/login/oidc")
        assert (cookie.http_only, cookie.same_site) == (True, "Lax")
        assert sent["nonce"] not in cookie.value

    @pytest.mark.usefixtures("cast")
    def test_is_offered_only_if_configured(self, app_with):
        assert "Sign in with Acme ID" in app_with().test_client().get("/ui/login").text
        without = app_with(oidc_issuer=None).test_client()
        assert "/login/oidc" not in without.get("/ui/login").text
        assert without.get("/login/oidc").status_code == 404

    def test_answers_502_when_the_provider_fails(self, app_with, there):
        for lie in (
            {"issuer": "https://evil.example"},
            {"token_endpoint": None},
            {"authorization_endpoint": "javascript:alert(1)"},
        ):
            there.discovery = lie
            reply = app_with().test_client().get("/login/oidc")
            assert reply.status_code == 502, lie
        there.discovery = {}
        unused = app_with(oidc_issuer="http://127.0.0.1:9").test_client()
        assert unused.get("/login/oidc").status_code == 502


class TestFinish:
    def test_signs_in_the_user_of_the_identity_and_redirects(self, app_with, there, cast, database):
        connected(database, cast.bob, there)
        browser = app_with().test_client()
        before = browser.get("/ui/login") and browser.get_cookie("session_id").value
        reply = come_back(browser, there, next="/ui/metrics")
        assert (reply.status_code, reply.location) == (303, "/ui/metrics")
        assert who(browser) == "Bob"
        assert browser.get_cookie("session_id").value != before
        assert browser.get_cookie("oidc", path="/login/oidc") is None
        assert come_back(app_with().test_client(), there, next="//evil.example").location == "/ui/"

    def test_an_address_alone_gives_no_access(self, app_with, there, cast):
        there.claims["email"] = cast.alice.email
        browser = app_with(oidc_domains=f"acme.example={cast.acme.id}").test_client()
        reply = come_back(browser, there)
        assert reply.status_code == 403
        assert "Sign in with its password" in reply.text
        assert who(browser) is None

    def test_refuses_users_without_an_invitation(self, app_with, there):
        reply = come_back(app_with().test_client(), there)
        assert reply.status_code == 403
        assert "Ask an admin of your org" in reply.text

    def test_a_verified_address_of_a_configured_domain_joins_as_viewer(
        self, app_with, there, cast, database
    ):
        app = app_with(oidc_domains=f"acme.example={cast.acme.id}")
        there.claims = {"email": "Ann@Acme.example", "email_verified": "true"}
        assert come_back(app.test_client(), there).status_code == 403
        there.claims = {"email": "ann@evil.example", "email_verified": True}
        assert come_back(app.test_client(), there).status_code == 403
        # Not in the token, but in the reply of the userinfo endpoint.
        there.claims = {}
        there.userinfo = {"email": "ann@acme.example", "email_verified": True, "name": "Ann"}
        browser = app.test_client()
        assert come_back(browser, there).status_code == 303
        data = strict(browser.get("/user/info"))["data"]["user"]
        assert (data["name"], data["role"], data["org"]["name"]) == ("Ann", "viewer", "Acme")
        # The next time it is the identity that counts, whatever the address is by then.
        there.userinfo = {"email": "other@evil.example", "email_verified": False}
        browser = app.test_client()
        come_back(browser, there)
        assert who(browser) == "Ann"
        with database.unit_of_work(write=False):
            actions = [entry.action for entry in list_audit(cast.acme.id).items]
        assert actions.count("user.login") == 2
        assert {"user.join", "user.link"} <= set(actions)

    def test_accepts_an_invitation_with_an_account_of_the_provider(
        self, app_with, there, cast, database
    ):
        with database.unit_of_work():
            by = Inviter("Alice", "owner", HOME)
            _, link = invite(cast.acme, "ann@elsewhere.example", "Ann", "editor", by)
        token = parse_qs(urlsplit(link).query)["token"][0]
        browser = app_with().test_client()
        # Another user was signed in here before; that user is not connected with her account there.
        browser.set_cookie("session_id", cast.sessions["bob"])
        assert "Join with Acme ID" in browser.get(f"/ui/invitation?token={token}").text
        assert come_back(browser, there, invitation=token).status_code == 303
        data = strict(browser.get("/user/info"))["data"]["user"]
        assert (data["name"], data["role"], data["email"]) == (
            "Ann",
            "editor",
            "ann@elsewhere.example",
        )
        there.sub = "somebody else"
        again = come_back(app_with().test_client(), there, invitation=token)
        assert again.status_code == 403

    def test_connects_the_account_of_a_signed_in_user(self, app_with, there, cast):
        app = app_with()
        browser = app.test_client()
        browser.set_cookie("session_id", cast.sessions["dave"])
        assert come_back(browser, there).status_code == 303
        fresh = app.test_client()
        come_back(fresh, there)
        assert who(fresh) == "Dave"
        other = app.test_client()
        other.set_cookie("session_id", cast.sessions["bob"])
        assert come_back(other, there).status_code == 409

    def test_a_page_of_another_site_connects_no_account(self, app_with, there, cast):
        # It might have signed the browser in there before, as a user of its own choice.
        browser = app_with().test_client()
        browser.set_cookie("session_id", cast.sessions["dave"])
        came = {"Sec-Fetch-Site": "cross-site"}
        reply = browser.get("/login/oidc?next=/ui/account", headers=came)
        assert (reply.status_code, reply.location) == (303, "/ui/account")
        assert "oidc" not in str(reply.headers.getlist("Set-Cookie"))
        assert there.requested == []

    @pytest.mark.parametrize(
        "wrong", ["no cookie", "another state", "used", "late", "another issuer", "no code"]
    )
    def test_refuses_attempts_of_other_browsers(self, app_with, there, cast, database, wrong):
        connected(database, cast.bob, there)
        browser = app_with().test_client()
        brought = there.sign_in(begin(browser))
        cookie = browser.get_cookie("oidc", path="/login/oidc").value
        moment = now()
        match wrong:
            case "no cookie":
                browser.delete_cookie("oidc", path="/login/oidc")
            case "another state":
                brought["state"] = "x" * 43
            case "used":
                assert browser.get(BACK, query_string=brought).status_code == 303
                browser.get("/ui/logout")
                browser.delete_cookie("session_id")
                browser.set_cookie("oidc", cookie, path="/login/oidc")
                brought["code"] = there.sign_in(begin(app_with().test_client()))["code"]
            case "late":
                moment += timedelta(seconds=601)
                browser.set_cookie("oidc", cookie, path="/login/oidc")
            case "another issuer":
                brought["iss"] = "https://evil.example"
            case "no code":
                brought["code"] = ""
        with time_machine.travel(moment):
            assert browser.get(BACK, query_string=brought).status_code == 403
            assert who(browser) is None

    def test_refuses_a_code_of_another_attempt(self, app_with, there, cast, database):
        connected(database, cast.bob, there)
        app = app_with()
        mine, theirs = app.test_client(), app.test_client()
        brought = there.sign_in(begin(mine))
        brought["code"] = there.sign_in(begin(theirs))["code"]
        assert mine.get(BACK, query_string=brought).status_code == 403

    def test_reads_new_keys_at_most_every_half_minute(self, app_with, there, cast, database):
        connected(database, cast.bob, there)
        app = app_with()
        assert come_back(app.test_client(), there).status_code == 303
        there.keys = [RSAKey.generate_key(2048, {"kid": "second"})]
        # What was asked a moment ago is not asked again.
        assert come_back(app.test_client(), there).status_code == 403
        assert there.requested.count("/keys") == 1
        provider = app.extensions["anomify_oidc_provider"]
        fetched, keys = provider._keys
        provider._keys = (fetched - 31, keys)
        browser = app.test_client()
        assert come_back(browser, there).status_code == 303
        assert who(browser) == "Bob"
        assert there.requested.count("/.well-known/openid-configuration") == 1

    def test_a_user_without_a_password_cannot_sign_in_with_one(
        self, app_with, there, cast, database
    ):
        app = app_with(oidc_domains=f"acme.example={cast.acme.id}")
        come_back(app.test_client(), there)
        client = app.test_client(use_cookies=False)
        for password in ("", "!", PASSWORD):
            requested = {"email": "ann@acme.example", "password": password}
            assert client.post("/login", data=requested).status_code in {400, 401}
        with database.unit_of_work(write=False) as opened:
            row = opened.query(User).filter_by(email="ann@acme.example").one()
        assert row.password_hash.startswith("$argon2id$")

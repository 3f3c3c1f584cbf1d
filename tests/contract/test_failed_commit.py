"""Every route that changes something, asked while the database refuses to commit.

It says so in its own shape with a 503, and the caller is signed in as before: same session, same
cookies, same rights.
"""

import json
import re
import sqlite3
from contextlib import contextmanager
from datetime import timedelta

import pyotp
import pytest
import stripe
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from anomify.channel.message import Action
from anomify.clock import now
from anomify.contact_point.confirmation import ask_for_confirmation
from anomify.db import sealing_key, session
from anomify.edge.access import ANYONE, PUBLIC
from anomify.edge.contract import declared_routes
from anomify.org.model import Letter, Org
from anomify.org.onboarding import create_setup_link
from anomify.org.sealing import PURPOSE, unseal
from anomify.triage.actor import Actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.triage.status import Status
from anomify.user.authenticator import begin_enrolment, finish_enrolment
from anomify.user.invitation import Inviter, invite
from anomify.user.model import SignUp
from anomify.user.recovery import make_reset_link
from anomify.user.second_factor import open_attempt
from anomify.user.session import open_anonymous_session, session_key
from anomify.user.signup import _hash
from anomify.watcher.unsubscribing import KEY_PURPOSE, unsubscribe_token
from tests.contract.test_tenants import filled
from tests.factories import (
    PASSWORD,
    link_contact,
    make_anomaly,
    make_contact_point,
    make_metric,
    make_org,
    make_pattern,
    make_session,
    make_user,
    make_watcher,
)
from tests.kit.presses import (
    SIGNING_SECRET,
    TELEGRAM_SECRET,
    slack_press,
    telegram_press,
    value_for,
)
from tests.kit.stripe_account import SECRET_KEY, WEBHOOK_SECRET
from tests.kit.stripe_server import body_of, signature_of, stripe_wire
from tests.kit.tenants import open_product

NEW_PASSWORD = "seven unrelated words of mine"
BASE = "http://127.0.0.1:8080"
# It is called where no user exists yet.
SET_UP = "/ui/setup"


@pytest.fixture
def product(migrated_url, tmp_path, monkeypatch):
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    with (
        stripe_wire() as wire,
        open_product(
            migrated_url,
            tmp_path,
            signup=True,
            smtp_host="127.0.0.1",
            login_codes=False,
            operator_email="operator@anomify.test",
            stripe_secret_key=SECRET_KEY,
            stripe_webhook_secret=WEBHOOK_SECRET,
            stripe_api_base=wire.url,
        ) as opened,
    ):
        opened.wire = wire
        yield opened


@contextmanager
def refusing_to_commit(product):
    """Every commit fails, as on a full disk; how often is counted."""
    failed = []

    def refuse(_connection):
        failed.append(1)
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))

    engine = product.database.engine
    event.listen(engine, "commit", refuse)
    try:
        yield failed
    finally:
        event.remove(engine, "commit", refuse)


class People:
    """Owners of Acme with a second factor in each state, an anonymous caller, and their links."""

    def __init__(self, product):
        self.codes = {}
        with product.database.unit_of_work():
            acme = session().get_one(Org, product.cast.acme.id)
            owners = {
                name: make_user(acme, name, email=f"{name}@acme.example")
                for name in ("plain", "begun", "confirmed", "heir")
            }
            owners["heir"].role = "viewer"
            acme.muted_until = None
            self.seeds = {}
            for name in ("begun", "confirmed"):
                self.seeds[name] = begin_enrolment(owners[name]).seed
            earlier = pyotp.TOTP(self.seeds["confirmed"]).at(now() - timedelta(seconds=30))
            finish_enrolment(owners["confirmed"], earlier)
            self.ids = {name: user.id for name, user in owners.items()}
            self.sessions = {name: make_session(user) for name, user in owners.items()}
            self.other_session = make_session(owners["plain"])
            self.sessions["anonymous"] = open_anonymous_session("test browser", "192.0.2.1")
            open_attempt(
                owners["confirmed"],
                session_key(self.sessions["anonymous"]),
                "totp",
                BASE,
                "test browser",
                remembers=False,
            )
            link = make_reset_link(owners["plain"], BASE)
            self.reset_token = link.rsplit("reset_token=", 1)[1]
            by = Inviter("Alice", "owner", BASE)
            _, invited = invite(acme, "guest@guests.example", "Guest", "viewer", by)
            self.invitation = invited.rsplit("token=", 1)[1]
            session().add(
                SignUp(
                    token_hash=_hash("t" * 32),
                    email="new@new.example",
                    user_name="New",
                    org_name="New",
                    timezone="UTC",
                    created_at=now(),
                    expires_at=now().replace(year=2100),
                )
            )
            self.metric = make_metric(acme, "to.delete").name
            point = make_contact_point(acme, "email", values={"address": "ops@lists.example"})
            watcher = make_watcher(acme, name="Mails")
            link_contact(watcher, point)
            key = product.app.extensions["anomify"].settings.key_for(KEY_PURPOSE)
            self.mails = unsubscribe_token(key, watcher.id, point.id)
            ask_for_confirmation(point, "ops@lists.example", "Alice", BASE)
            letter = (
                session()
                .scalars(select(Letter).where(Letter.recipient == "ops@lists.example"))
                .one()
            )
            sent = json.loads(unseal(sealing_key(), acme.id, letter.sealed))
            self.confirmation = sent["text"].rsplit("token=", 1)[1].split()[0]
            self.presses = self.pressed(product, acme, owners["plain"])
            trained = make_metric(acme, "trained")
            labelled = make_anomaly(trained)
            labelled.expected = True
            self.labelled = labelled.id
            triaged = make_anomaly(trained, now())
            self.triaged = triaged.id
            changed = change_anomalies(
                acme,
                {triaged.id: TriageChange(status=Status.RESOLVED)},
                Actor("plain", owners["plain"].id),
                BASE,
            )
            self.transaction = changed.transaction_id
            self.disabled_pattern = make_pattern(trained, state="disabled").id
            demo = make_org("Demo", is_demo=True)
            make_user(demo, "Demo")
            self.demo_id = demo.id

    def pressed(self, product, acme, user):
        """Buttons of messages that this user presses in Slack and in Telegram."""
        user.slack_member_id, user.telegram_member_id = "U1", "42"
        settings = product.app.extensions["anomify"].settings
        key = settings.key_for(PURPOSE)
        hook = "https://hooks.slack.com/services/T000/B000/XXXX"
        values = {"webhook_url": hook, "signing_secret": SIGNING_SECRET}
        in_slack = make_contact_point(acme, "slack", key, values=values)
        values = {"token": "1:x", "chat_id": "-100123", "secret_token": TELEGRAM_SECRET}
        in_telegram = make_contact_point(acme, "telegram", key, values=values)
        action, anomaly_id = Action.ACKNOWLEDGE, make_anomaly(make_metric(acme, "pressed")).id
        return {
            "/org/slackcallback": slack_press(
                value_for(settings, in_slack, action, anomaly_id), action
            ),
            "/org/telegramcallback": telegram_press(
                value_for(settings, in_telegram, action, anomaly_id), action
            ),
        }

    def code(self, name):
        return pyotp.TOTP(self.seeds[name]).at(now())


def requests(product, people, plan):
    """Return by route what makes it change something, and the caller where it matters."""
    reset = {"email": "plain@acme.example", "reset_token": people.reset_token}
    twice = {"password_1": NEW_PASSWORD, "password_2": NEW_PASSWORD}
    verify = {"email": "new@new.example", "verification_token": "t" * 32, **twice}
    login = {"email": "plain@acme.example", "password": PASSWORD}
    invited = {"token": people.invitation, "name": "Guest", "password": NEW_PASSWORD}
    signup = {
        "email": "other@new.example",
        "user_name": "Other",
        "org_name": "Other",
        "timezone": "UTC",
    }
    proof = {"password": PASSWORD, "code": people.code("confirmed")}
    other = session_key(people.other_session).hex()[:16]
    return {
        # One of thirty days needs no points at once.
        "/anomaly/train": {
            "anomaly_id": product.acmes["anomaly"],
            "expected": "true",
            "durations": "30d",
        },
        "/anomaly/untrain": {"anomaly_id": people.labelled},
        "/anomaly/<int:anomaly_id>/status": {
            "anomaly_id": product.acmes["anomaly"],
            "status": "resolved",
        },
        "/anomaly/<int:anomaly_id>/assign": {
            "anomaly_id": product.acmes["anomaly"],
            "add": people.ids["heir"],
        },
        "/anomaly/<int:anomaly_id>/undo": {"anomaly_id": people.triaged},
        "/anomaly/<int:anomaly_id>/comment": {
            "anomaly_id": product.acmes["anomaly"],
            "message": "Look.",
        },
        "/anomaly/comment/<int:comment_id>/update": {
            "comment_id": product.acmes["comment"],
            "message": "Look again.",
        },
        "/anomalies/status": {
            "anomaly_ids": product.acmes["anomaly"],
            "status": "resolved",
        },
        "/anomalies/assign": {
            "anomaly_ids": product.acmes["anomaly"],
            "add": people.ids["heir"],
        },
        "/anomalies/undo": {"transaction_id": people.transaction},
        "/pattern/<int:pattern_id>/enable": {"pattern_id": people.disabled_pattern},
        "/billing/getcheckoutsession": {"plan_id": plan},
        "/billing/change": {"plan_id": plan},
        "/exclusion/add": {"type": "exact", "pattern": "anything"},
        "/login": login,
        "/login/validateclient": ("anonymous", {"code": "000000"}),
        "/login/forgotpassword": {"email": "plain@acme.example"},
        "/login/resetpassword": {**reset, **twice},
        "/metric/<path:metric>/settings": {"metric": people.metric, "unit": "ms"},
        "/metric/<path:metric>/delete": {"metric": people.metric, "dry_run": "false"},
        "/org/update": {"name": "Acme again", "mute_minutes": 10},
        "/org/adminalerts": {"type_1_wait_seconds": 600},
        "/org/delete": {"name": "Acme", "password": PASSWORD},
        "/org/events/create": {"text": "deploy"},
        "/org/removequotametrics": {"metrics": people.metric, "dry_run": "false"},
        "/org/tokens/create": {"name": "fresh", "scopes": "read"},
        "/org/users": {"email": "another@guests.example"},
        "/org/users/role": {"user_id": people.ids["heir"], "role": "editor"},
        "/org/users/transfer": {"user_id": people.ids["heir"]},
        "/org/users/remove": {"user_id": people.ids["heir"]},
        "/signup/invitation": invited,
        "/signup/selfserve": signup,
        "/signup/verify": verify,
        "/signup/demo": {"demo_org_id": people.demo_id},
        "/user/update": {"name": "Plain again"},
        "/user/updatepassword": {"current": PASSWORD, **twice},
        "/user/logout": ("plain", {}),
        "/user/reportissue": {"message": "it is broken"},
        "/user/sessions/revoke": {"session": other},
        "/user/totp/begin": {"password": PASSWORD},
        "/user/totp/confirm": ("begun", {"code": people.code("begun")}),
        "/user/totp/disable": ("confirmed", proof),
        "/user/totp/recoverycodes": ("confirmed", proof),
        "/watcher/create": {"chips": "load"},
        "/watcher/threshold": {"chips": "load", "operator": "greater", "value": 90},
        "/ui/watchers/new": {"chips": "load"},
        "/ui/watchers/<int:watcher_id>": {
            "watcher_id": product.acmes["watcher"],
            "chips": "load",
        },
        "/contact_point/create": {"kind": "email", "user_id": people.ids["heir"]},
        "/ui/contact-points/new": {"kind": "email", "user_id": people.ids["heir"]},
        "/ui/contact-points/<int:contact_point_id>": {
            "contact_point_id": product.acmes["contact_point"],
            "user_id": people.ids["heir"],
        },
        "/ui/contact-confirmation": {"token": people.confirmation, "agrees": "true"},
        "/ui/unsubscribe": {"token": people.mails},
        "/watcher/<int:watcher_id>/update": {"watcher_id": product.acmes["watcher"], "name": "x"},
        "/ui/anomaly/train": {
            "anomaly_id": product.acmes["anomaly"],
            "expected": "true",
            "durations": "30d",
        },
        "/ui/anomaly/untrain": {"anomaly_id": people.labelled},
        "/ui/anomalies/triage": {"do": f"resolve {product.acmes['anomaly']}"},
        "/ui/anomalies/undo": {"transaction_id": people.transaction},
        "/ui/pattern/<int:pattern_id>/enable": {"pattern_id": people.disabled_pattern},
        "/ui/proposals/learning": {"learning": "false"},
        "/ui/account/profile": {"name": "Plain again"},
        "/ui/account/password": {"current": PASSWORD, **twice},
        "/ui/account/totp/begin": {"password": PASSWORD},
        "/ui/account/totp/confirm": ("begun", {"code": people.code("begun")}),
        "/ui/account/totp/disable": ("confirmed", proof),
        "/ui/account/sessions": {"session": other},
        "/ui/forgot": {"email": "plain@acme.example"},
        "/ui/reset": {**reset, **twice},
        "/ui/invitation": invited,
        "/ui/login": login,
        "/ui/login/code": ("anonymous", {"code": "000000"}),
        "/ui/logout": ("plain", {}),
        "/ui/signup": signup,
        "/ui/verify": verify,
    }


def ask(product, people, route, who, given):
    """Ask a route as people do: pages with cookies and a form of ours, the rest with a header."""
    path = route.rule
    sent = dict(given)
    for name in [name for name in sent if re.search(rf"[<:]{name}>", path)]:
        before, _, after = path.partition("<")
        path = before + str(sent.pop(name)) + after.partition(">")[2]
    browser = product.app.test_client(use_cookies=route.is_page)
    sid = people.sessions[who]
    headers = {} if route.is_page else {"X-Session-Id": sid}
    if route.is_page:
        browser.set_cookie("session_id", sid)
        headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    return browser.post(path, data=sent, headers=headers)


def check_shape(route, reply):
    """The failure has the shape of the family's errors."""
    assert int(reply.headers["Retry-After"]) >= 1
    if route.is_page:
        assert reply.mimetype == "text/html"
        assert "The server is busy" in reply.get_data(as_text=True)
        return None
    result = json.loads(reply.get_data())
    assert result["status"]["error"]["code"] == "unavailable", result
    assert result["data"] == {}
    return result


class TestEveryChange:
    def test_that_cannot_be_committed_answers_503_and_keeps_the_session(self, product):
        people = People(product)
        plan = product.wire.make_price("Small", 5000, 19_00)
        given = requests(product, people, plan)
        headers = {"X-Session-Id": people.sessions["plain"]}
        bought = product.client.post(
            "/billing/getcheckoutsession", data={"plan_id": plan}, headers=headers
        )
        product.wire.pay(json.loads(bought.data)["data"]["session_id"])
        news = [body_of(each) for each in product.wire.take_events()]
        for body in news[:1]:
            sent = {"Stripe-Signature": signature_of(body)}
            assert product.client.post("/org/stripecallback", data=body, headers=sent).status_code
        given["/billing/change"] = {"plan_id": product.wire.make_price("Large", 9000, 99_00)}
        answered = {}
        routes = [route for route in declared_routes(product.app).values() if route.changes]
        for route in routes:
            if route.rule == SET_UP:
                continue
            requested = given.get(route.rule)
            who, requested = requested if isinstance(requested, tuple) else (None, requested)
            is_for_all = route.access in {ANYONE, PUBLIC}
            who = who or ("anonymous" if is_for_all else "plain")
            requested = filled(product, route) if requested is None else requested
            with refusing_to_commit(product) as failed:
                if route.rule in people.presses:
                    reply = product.client.post(route.rule, **people.presses[route.rule])
                elif route.rule == "/org/stripecallback":
                    sent = {"Stripe-Signature": signature_of(news[-1])}
                    reply = product.client.post(route.rule, data=news[-1], headers=sent)
                else:
                    reply = ask(product, people, route, who, requested)
            answered[route.rule] = (reply.status_code, len(failed), reply.get_data()[:300])
            if reply.status_code != 503:
                continue
            result = check_shape(route, reply)
            if route.access is not PUBLIC:
                assert result is None or result["status"]["session_id"] == people.sessions[who]
            cookies = [each.split("=")[0] for each in reply.headers.getlist("Set-Cookie")]
            assert not {"session_id", "client_id"} & set(cookies), route.rule
            if who != "anonymous":
                mine = {"X-Session-Id": people.sessions[who]}
                seen = json.loads(product.client.get("/user/info", headers=mine).data)
                assert seen["data"]["user"]["id"] == people.ids[who], route.rule
        assert {rule: result for rule, result in answered.items() if result[0] != 503} == {}
        assert len(answered) > 60

    def test_of_an_empty_installation_too(self, migrated_url, tmp_path):
        with open_product(migrated_url, tmp_path) as product:
            with product.database.unit_of_work():
                for org in session().query(Org):
                    session().delete(org)
                link = create_setup_link()
            browser = product.app.test_client()
            form = {
                "link": link,
                "org_name": "First",
                "timezone": "UTC",
                "name": "First",
                "email": "first@first.example",
                "password": NEW_PASSWORD,
            }
            headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
            with refusing_to_commit(product):
                reply = browser.post(SET_UP, data=form, headers=headers)
            assert reply.status_code == 503
            assert "The server is busy" in reply.get_data(as_text=True)
            assert browser.get_cookie("client_id") is None
            assert browser.post(SET_UP, data=form, headers=headers).status_code == 200

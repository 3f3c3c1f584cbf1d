"""Fixtures of the tests of /billing: an app with a local server that has Stripe's wire format."""

import pytest
import stripe
from sqlalchemy import select

from anomify.audit.model import AuditEntry
from anomify.ingest import flux
from anomify.native import billing, watcher
from anomify.native.org import info as org
from anomify.native.org import stripecallback as org_stripecallback
from anomify.org.model import Org
from tests.kit.stripe_account import SECRET_KEY, WEBHOOK_SECRET
from tests.kit.stripe_server import body_of, signature_of, stripe_wire
from tests.kit.web import make_app, strict

BLUEPRINTS = (
    billing.blueprint,
    org.blueprint,
    org_stripecallback.blueprint,
    flux.blueprint,
    watcher.blueprint,
)


@pytest.fixture
def wire(monkeypatch):
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    with stripe_wire() as opened:
        yield opened


@pytest.fixture
def shop(database, tmp_path, wire, cast):
    app = make_app(
        database,
        tmp_path,
        BLUEPRINTS,
        stripe_secret_key=SECRET_KEY,
        stripe_webhook_secret=WEBHOOK_SECRET,
        stripe_api_base=wire.url,
        free_metrics=3,
    )
    database.sealing_key = b"k" * 32
    yield Shop(app.test_client(use_cookies=False), wire, cast, database)
    app.extensions["anomify"].points.close()


@pytest.fixture
def self_hosted(database, tmp_path):
    app = make_app(database, tmp_path, BLUEPRINTS)
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


class Shop:
    """Sends requests as Alice of Acme and delivers Stripe's events."""

    def __init__(self, client, wire, cast, database):
        self.client, self.wire, self.cast, self.database = client, wire, cast, database
        self.small = wire.make_price("Small", 5, 19_00)
        self.large = wire.make_price("Large", 50, 99_00)

    def ask(self, what, name="alice", **parameters):
        headers = self.cast.headers(name)
        return self.client.post(f"/billing/{what}", json=parameters, headers=headers)

    def data(self, what, **parameters):
        reply = self.ask(what, **parameters)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def deliver(self, event, path="/org/stripecallback", **signing):
        body = body_of(event)
        signature = {"Stripe-Signature": signature_of(body, **signing)}
        return self.client.post(path, data=body, headers=signature)

    def deliver_events(self):
        for event in self.wire.take_events():
            assert self.deliver(event).status_code == 200

    def buy(self, plan_id):
        bought = self.wire.pay(self.data("getcheckoutsession", plan_id=plan_id)["session_id"])
        self.deliver_events()
        return bought["id"]

    def audited(self):
        with self.database.unit_of_work(write=False) as session:
            mine = AuditEntry.action.startswith("billing.")
            return [
                (entry.actor, entry.action)
                for entry in session.scalars(select(AuditEntry).where(mine).order_by(AuditEntry.id))
            ]

    def quota(self, org=None):
        with self.database.unit_of_work(write=False) as session:
            wanted = (org or self.cast.acme).id
            return session.scalar(select(Org.metric_quota).where(Org.id == wanted))

"""Stripe on this machine, a gateway to it, and an org that may pay."""

import pytest
import stripe

from anomify.billing.stripe_gateway import StripeGateway
from tests.factories import make_org, make_user
from tests.kit.stripe_account import SECRET_KEY, WEBHOOK_SECRET
from tests.kit.stripe_server import stripe_wire


@pytest.fixture
def wire(monkeypatch):
    # The library waits between its tries; in these tests waiting changes nothing.
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    with stripe_wire() as opened:
        yield opened


@pytest.fixture
def gateway(wire):
    return StripeGateway(SECRET_KEY, WEBHOOK_SECRET, wire.url, has_tax=False)


@pytest.fixture
def acme(database):
    with database.unit_of_work():
        database.sealing_key = b"k" * 32
        org = make_org("Acme")
        make_user(org, "Alice", "owner", email="alice@acme.example")
        make_user(org, "Bob", "editor", email="bob@acme.example")
    return org

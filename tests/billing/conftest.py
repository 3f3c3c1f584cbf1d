"""Stripe on this machine, and a gateway to it."""

import pytest

from anomify.billing.stripe_gateway import StripeGateway
from tests.kit.stripe_wire import SECRET_KEY, WEBHOOK_SECRET, stripe_wire


@pytest.fixture
def wire():
    with stripe_wire() as opened:
        yield opened


@pytest.fixture
def gateway(wire):
    return StripeGateway(SECRET_KEY, WEBHOOK_SECRET, wire.url, has_tax=False)

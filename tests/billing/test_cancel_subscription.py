"""Subscriptions of a deleted org are cancelled."""

import pytest

from anomify.billing.cancel_subscription import cancel_subscriptions
from anomify.billing.checkout import open_checkout
from anomify.billing.plans import free_plan
from anomify.errors import UpstreamFailed
from tests.kit.stripe_account import Failure

FREE = free_plan(3)


@pytest.fixture
def page(database, gateway, wire, acme):
    return open_checkout(
        database,
        gateway,
        acme,
        wire.make_price("Small", 5, 19_00),
        success_url="http://127.0.0.1/ui/",
        cancel_url="http://127.0.0.1/ui/",
        free=FREE,
        actor="Alice",
        email=None,
    )


class TestCancelSubscriptions:
    def test_cancels_the_subscription_once(self, database, gateway, wire, acme, page):
        bought = wire.pay(page.id)
        for _ in range(2):
            cancel_subscriptions(database, gateway, acme, actor="Alice")
        assert wire.things[bought["id"]]["status"] == "canceled"

    def test_closes_an_open_checkout_page(self, database, gateway, wire, acme, page):
        cancel_subscriptions(database, gateway, acme, actor="Alice")
        assert wire.things[page.id]["status"] == "expired"

    def test_raises_when_stripe_fails(self, database, gateway, wire, acme, page):
        bought = wire.pay(page.id)
        wire.fail("/v1/subscriptions/", Failure(0, hangs_up=True), times=3)
        with pytest.raises(UpstreamFailed):
            cancel_subscriptions(database, gateway, acme, actor="Alice")
        cancel_subscriptions(database, gateway, acme, actor="Alice")
        assert wire.things[bought["id"]]["status"] == "canceled"

    def test_does_nothing_without_a_subscription(self, database, gateway, wire, acme):
        cancel_subscriptions(database, None, acme, actor="Alice")
        cancel_subscriptions(database, gateway, acme, actor="Alice")
        assert wire.requested == []

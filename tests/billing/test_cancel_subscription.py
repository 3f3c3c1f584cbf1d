"""An org that goes away is billed no more."""

import pytest

from anomify.billing.cancel_subscription import stop_paying
from anomify.billing.checkout import open_checkout
from anomify.billing.plans import free_plan
from anomify.errors import UpstreamFailed
from tests.kit.stripe_wire import Failure

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


class TestStopPaying:
    def test_ends_the_subscription_once(self, database, gateway, wire, acme, page):
        bought = wire.pay(page.id)
        for _ in range(2):
            stop_paying(database, gateway, acme, actor="Alice")
        assert wire.things[bought["id"]]["status"] == "canceled"

    def test_closes_the_page_that_is_open(self, database, gateway, wire, acme, page):
        stop_paying(database, gateway, acme, actor="Alice")
        assert wire.things[page.id]["status"] == "expired"

    def test_says_when_it_could_not(self, database, gateway, wire, acme, page):
        bought = wire.pay(page.id)
        wire.fail("/v1/subscriptions/", Failure(0, hangs_up=True), times=3)
        with pytest.raises(UpstreamFailed):
            stop_paying(database, gateway, acme, actor="Alice")
        stop_paying(database, gateway, acme, actor="Alice")
        assert wire.things[bought["id"]]["status"] == "canceled"

    def test_has_nothing_to_do_where_nobody_pays(self, database, gateway, wire, acme):
        stop_paying(database, None, acme, actor="Alice")
        stop_paying(database, gateway, acme, actor="Alice")
        assert wire.asked == []

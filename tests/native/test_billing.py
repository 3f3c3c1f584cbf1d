"""/billing against a Stripe of our own, on both databases."""

import pytest

from anomify.native import billing, org_stripecallback
from tests.factories import make_cast
from tests.kit.stripe_wire import SECRET_KEY, WEBHOOK_SECRET, body_of, signature_of, stripe_wire
from tests.kit.web import error, make_app, strict


@pytest.fixture
def wire():
    with stripe_wire() as opened:
        yield opened


@pytest.fixture
def client(database, tmp_path, wire):
    app = make_app(
        database,
        tmp_path,
        [billing.door, org_stripecallback.door],
        stripe_secret_key=SECRET_KEY,
        stripe_webhook_secret=WEBHOOK_SECRET,
        stripe_api_base=wire.url,
        free_metrics=3,
    )
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        return make_cast()


def deliver(client, event, **signing):
    body = body_of(event)
    return client.post(
        "/org/stripecallback",
        data=body,
        headers={"Stripe-Signature": signature_of(body, **signing)},
    )


class TestCheckout:
    def test_smoke(self, client, cast, wire):
        price = wire.make_price("Team", 5, 4900)
        got = client.post(
            "/billing/getcheckoutsession",
            json={"plan_id": price, "success_url": "/ui/metrics?paid=1"},
            headers=cast.headers("alice"),
        )
        assert got.status_code == 200
        wire.pay(strict(got)["data"]["session_id"])
        for event in wire.take_events():
            assert deliver(client, event).status_code == 200
        got = client.get("/billing/history", headers=cast.headers("alice"))
        got = client.get("/billing/plans", headers=cast.headers("alice"))
        assert strict(got)["data"]["plan_id"] == price

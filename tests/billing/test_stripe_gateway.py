"""Stripe's library against a local server with Stripe's wire format."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from anomify.billing.customer import BadSignature, GoneAtStripe, PaymentRefused
from anomify.billing.plans import Plan
from anomify.billing.stripe_client import RETRIES_MAX
from anomify.billing.stripe_gateway import StripeGateway, gateway_of
from anomify.clock import now, now_timestamp
from anomify.config import Settings
from anomify.errors import Conflict, Invalid, UpstreamFailed
from tests.kit.stripe_account import SECRET_KEY, WEBHOOK_SECRET, Failure
from tests.kit.stripe_server import body_of, signature_of

EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "invoice.paid",
    "created": 1_700_000_000,
    "livemode": False,
    "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_1"}},
}
BODY = body_of(EVENT)
OFFLINE = StripeGateway(SECRET_KEY, WEBHOOK_SECRET, None, has_tax=False)


def subscribed(wire, gateway, price):
    customer = gateway.create_customer("1:customer:a", 1, "Acme", None)
    wire.subscribe(customer, price)
    (found,) = gateway.customer_state(customer).subscriptions
    return customer, found


class TestStarting:
    def test_loads_the_library_on_the_first_call(self):
        result = subprocess.run(
            [sys.executable, "-c", "import anomify.factory, sys; print('stripe' in sys.modules)"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert result.stdout.strip() == "False"

    def test_there_is_no_gateway_without_a_key(self):
        assert gateway_of(Settings()) is None

    def test_returns_the_same_gateway_each_time(self):
        settings = Settings(stripe_secret_key="sk_live_1", stripe_webhook_secret="whsec_1")
        assert gateway_of(settings) is gateway_of(settings)
        assert gateway_of(settings).is_live


class TestReadEvent:
    def test_returns_a_signed_event(self):
        event = OFFLINE.read_event(BODY, signature_of(BODY))
        assert (event.id, event.type, event.customer_id) == ("evt_1", "invoice.paid", "cus_1")
        assert event.made_at == datetime.fromtimestamp(1_700_000_000, UTC)

    @pytest.mark.parametrize("seconds", [-290, 290])
    def test_accepts_a_small_clock_difference(self, seconds):
        signature = signature_of(BODY, at=now_timestamp() + seconds)
        assert OFFLINE.read_event(BODY, signature).id == "evt_1"

    def test_accepts_one_valid_signature_of_several(self):
        old = signature_of(BODY, secret="whsec_old").split(",")[1]
        assert OFFLINE.read_event(BODY, f"{signature_of(BODY)},{old}").id == "evt_1"

    def test_refuses_a_missing_wrong_or_old_signature(self):
        for signature in (
            None,
            "",
            "garbage",
            "t=,v1=",
            "v1=" + "0" * 64,
            f"t={now_timestamp()},v1={'0' * 64}",
            signature_of(BODY, secret="whsec_other"),
            signature_of(BODY, secret=""),
            signature_of(BODY, scheme="v0"),
            signature_of(BODY + b" "),
            signature_of(BODY, at=now_timestamp() - 310),
            signature_of(BODY, at=now_timestamp() + 3600),
            signature_of(BODY, at=0),
            "t=ü,v1=é",
        ):
            with pytest.raises(BadSignature):
                OFFLINE.read_event(BODY, signature)

    def test_reads_the_timestamp_as_the_library_does(self):
        time, scheme = signature_of(BODY).split(",")
        assert OFFLINE.read_event(BODY, f"{time}=6,{scheme}").id == "evt_1"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'"text"',
            b"\xff\xfe",
            b"{}",
            b"[" * 100_000,
            body_of({**EVENT, "data": {}}),
            body_of({**EVENT, "data": {"object": []}}),
            body_of({**EVENT, "created": "yesterday"}),
            body_of({**EVENT, "id": ""}),
            body_of({**EVENT, "object": "v2.core.event"}),
        ],
        ids=lambda body: body[:12].decode(errors="replace") + str(len(body)),
    )
    def test_refuses_a_signed_body_that_is_no_event(self, body):
        with pytest.raises(Invalid):
            OFFLINE.read_event(body, signature_of(body))

    def test_refuses_an_event_of_the_other_mode(self):
        body = body_of({**EVENT, "livemode": True})
        with pytest.raises(Conflict) as refused:
            OFFLINE.read_event(body, signature_of(body))
        assert refused.value.code == "wrong_mode"

    @pytest.mark.parametrize(
        ("thing", "customer_id"),
        [
            ({"object": "customer", "id": "cus_2"}, "cus_2"),
            ({"object": "invoice", "customer": {"id": "cus_3"}}, "cus_3"),
            ({"object": "invoice", "customer": None}, None),
            ({"object": "invoice", "customer": ["cus_4"]}, None),
            ({"object": "balance"}, None),
        ],
    )
    def test_finds_the_customer_of_an_event(self, thing, customer_id):
        body = body_of({**EVENT, "data": {"object": thing}})
        assert OFFLINE.read_event(body, signature_of(body)).customer_id == customer_id


class TestPlans:
    def test_are_the_prices_with_a_number_of_metrics(self, wire, gateway):
        large = wire.make_price("Large", "unlimited", 99_00)
        small = wire.make_price("Small", 5000, 19_00)
        wire.make_price("Consulting", None, 500_00)
        wire.make_price("Mistyped", "5k", 1)
        wire.make_price("Far too many", "9" * 30, 1)
        wire.withdraw_price(wire.make_price("Old", 10, 1))
        assert gateway.plans.listed() == [
            Plan(small, "Small", 5000, 19_00, "eur", "month"),
            Plan(large, "Large", None, 99_00, "eur", "month"),
        ]

    def test_are_cached(self, wire, gateway):
        price = wire.make_price("Small", 5000, 19_00)
        assert gateway.plans.get(price).name == gateway.plans.get(price).name == "Small"
        assert [requested.path for requested in wire.requested] == ["/v1/prices"]
        with pytest.raises(Invalid):
            gateway.plans.get("price_of_nothing")

    def test_finds_a_withdrawn_plan(self, wire, gateway):
        price = wire.make_price("Early bird", 5000, 9_00)
        wire.withdraw_price(price)
        _, found = subscribed(wire, gateway, price)
        assert found.plan == Plan(price, "Early bird", 5000, 9_00, "eur", "month")


class TestFailures:
    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (Failure(500), "status"),
            (Failure(503), "status"),
            (Failure(409), "busy"),
            (Failure(0, hangs_up=True), "refused"),
        ],
    )
    def test_retries_with_the_same_key_and_then_raises(self, wire, gateway, failure, kind):
        wire.fail("/v1/customers", failure, times=RETRIES_MAX + 1)
        with pytest.raises(UpstreamFailed) as failed:
            gateway.create_customer("1:customer:a", 1, "Acme", None)
        assert failed.value.kind == kind
        assert failed.value.status == 502
        assert "Stripe" in failed.value.message
        assert {requested.key for requested in wire.requested} <= {"1:customer:a"}

    def test_does_it_once_when_the_reply_was_lost(self, wire, gateway):
        wire.fail("/v1/customers", Failure(0, is_after=True, hangs_up=True))
        made = gateway.create_customer("1:customer:a", 1, "Acme", None)
        assert [thing["id"] for thing in wire.things.values()] == [made]
        assert [requested.is_replay for requested in wire.requested] == [False, True]

    def test_is_busy_on_too_many_requests(self, wire, gateway):
        wire.fail("/v1/prices", Failure(429))
        with pytest.raises(UpstreamFailed, match="busy"):
            gateway.plans.listed()

    def test_a_rejected_key_is_logged_without_the_key(self, wire, caplog):
        wrong = StripeGateway("sk_test_wrong", WEBHOOK_SECRET, wire.url, has_tax=False)
        with pytest.raises(UpstreamFailed, match="stripe_secret_key") as failed:
            wrong.plans.listed()
        assert failed.value.permanent
        assert "sk_test_wrong" not in caplog.text + failed.value.message

    def test_refuses_an_idempotency_key_with_other_parameters(self, gateway):
        gateway.create_customer("1:customer:a", 1, "Acme", None)
        with pytest.raises(UpstreamFailed):
            gateway.create_customer("1:customer:a", 1, "Globex", None)

    def test_raises_for_a_response_of_another_shape(self, wire, gateway):
        wire.make_price("Small", 5000, 19_00, currency="EURO$")
        with pytest.raises(UpstreamFailed, match="cannot be read"):
            gateway.plans.listed()

    def test_raises_for_a_response_that_is_too_large(self, wire, gateway):
        wire.make_price("x" * 5_000_000, 5000, 19_00)
        with pytest.raises(UpstreamFailed):
            gateway.plans.listed()

    def test_raises_when_stripe_cannot_be_reached(self):
        gone = StripeGateway(SECRET_KEY, WEBHOOK_SECRET, "http://127.0.0.1:9", has_tax=False)
        with pytest.raises(UpstreamFailed):
            gone.plans.listed()


class TestChanging:
    def test_changes_nothing_when_the_card_is_declined(self, wire, gateway):
        small, large = wire.make_price("Small", 5, 19_00), wire.make_price("Large", 50, 99_00)
        customer, found = subscribed(wire, gateway, small)
        wire.declined.add(customer)
        with pytest.raises(PaymentRefused, match="declined") as refused:
            gateway.change_now("1:change:a", found, large, now())
        assert (refused.value.status, refused.value.code) == (402, "card_declined")
        (same,) = gateway.customer_state(customer).subscriptions
        assert same == found

    def test_previews_the_amount_that_is_billed(self, wire, gateway):
        small, large = wire.make_price("Small", 5, 19_00), wire.make_price("Large", 50, 99_00)
        customer, found = subscribed(wire, gateway, small)
        at = found.period_start + (found.period_end - found.period_start) / 4
        bill = gateway.preview_change(customer, found, large, at)
        assert bill.amount == 60_00
        gateway.change_now("1:change:a", found, large, at)
        assert gateway.customer_state(customer).invoices[0].amount == bill.amount

    def test_changes_at_the_end_of_the_period(self, wire, gateway):
        small, large = wire.make_price("Small", 5, 19_00), wire.make_price("Large", 50, 99_00)
        customer, found = subscribed(wire, gateway, large)
        gateway.change_at_period_end("1:change:a", found, gateway.plans.get(small))
        (waiting,) = gateway.customer_state(customer).subscriptions
        assert (waiting.price_id, waiting.next_price_id) == (large, small)
        assert gateway.next_bill(waiting).amount == 19_00
        wire.end_period(found.id)
        (changed,) = gateway.customer_state(customer).subscriptions
        assert (changed.price_id, changed.next_price_id) == (small, None)

    def test_cancels_a_scheduled_change(self, wire, gateway):
        small, large = wire.make_price("Small", 5, 19_00), wire.make_price("Large", 50, 99_00)
        customer, found = subscribed(wire, gateway, large)
        gateway.change_at_period_end("1:change:a", found, gateway.plans.get(small))
        (waiting,) = gateway.customer_state(customer).subscriptions
        gateway.release_schedule("1:change:b", waiting.schedule_id)
        (same,) = gateway.customer_state(customer).subscriptions
        assert same == found

    def test_cancels_at_once_and_only_once(self, wire, gateway):
        customer, found = subscribed(wire, gateway, wire.make_price("Small", 5, 19_00))
        gateway.cancel_at_once("1:end:a", found.id)
        gateway.cancel_at_once("1:end:b", found.id)
        (ended,) = gateway.customer_state(customer).subscriptions
        assert ended.status == "canceled"
        assert gateway.next_bill(ended) is None

    def test_returns_a_deleted_customer_as_deleted(self, wire, gateway):
        customer, _ = subscribed(wire, gateway, wire.make_price("Small", 5, 19_00))
        wire.delete_customer(customer)
        assert gateway.customer_state(customer).is_deleted
        with pytest.raises(GoneAtStripe):
            gateway.create_portal("1:portal:a", customer, "http://127.0.0.1/ui/")

    def test_requests_taxes_if_configured(self, wire):
        taxing = StripeGateway(SECRET_KEY, WEBHOOK_SECRET, wire.url, has_tax=True)
        price = wire.make_price("Small", 5, 19_00)
        customer = taxing.create_customer("1:customer:a", 1, "Acme", "alice@acme.example")
        taxing.create_checkout("1:checkout:a", customer, 1, price, "http://a/b", "http://a/c")
        sent = wire.requested[-1].parameters
        assert sent["automatic_tax"] == {"enabled": "true"}
        assert json.dumps(wire.things[customer]).count("alice@acme.example") == 1

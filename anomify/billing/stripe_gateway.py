"""Calls to Stripe's API, with the product's own types as arguments and results."""

import logging
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from pydantic import ValidationError

from anomify.billing.customer import (
    BadSignature,
    Bill,
    CustomerState,
    GoneAtStripe,
    Hosted,
    PaymentEvent,
    Subscription,
)
from anomify.billing.plans import Plan, PlansForSale
from anomify.billing.stripe_client import make_stripe_client, stripe_library
from anomify.billing.stripe_errors import stripe_errors_translated
from anomify.billing.stripe_shape import (
    EventShape,
    InvoiceListShape,
    InvoiceShape,
    NamedShape,
    PageShape,
    PriceListShape,
    PriceShape,
    SubscriptionListShape,
    SubscriptionShape,
    bill_of,
    customer_of,
    invoice_of,
    moment_of,
    plan_of_price,
    shaped,
)
from anomify.clock import now_timestamp, to_timestamp
from anomify.config import Settings
from anomify.errors import Conflict, Invalid, UpstreamFailed

if TYPE_CHECKING:
    from stripe import StripeClient
    from stripe.params import CustomerCreateParams
    from stripe.params.checkout import SessionCreateParams

log = logging.getLogger(__name__)

# The most prices, subscriptions of a customer and invoices that are read.
PRICES_MAX = 100
SUBSCRIPTIONS_MAX = 20
INVOICES_MAX = 100
# The greatest difference of a webhook's time from ours; the library checks only past times.
SKEW_SECONDS = 300
_LIVE_KEYS = ("sk_live_", "rk_live_")


class StripeGateway:
    """Calls Stripe, with deadlines and size limits on every call. May be shared by threads.

    Every call raises `UpstreamFailed`, with a sentence for people, if Stripe fails, and
    `GoneAtStripe` if an object does not exist. Calls that change something take an idempotency
    key: Stripe performs the calls of one key once.
    """

    def __init__(
        self, secret_key: str, webhook_secret: str, api_base: str | None, *, has_tax: bool
    ) -> None:
        """Store the keys; Stripe's library is loaded by the first call."""
        self._secret_key = secret_key
        self._webhook_secret = webhook_secret
        self._api_base = api_base
        self._has_tax = has_tax
        self.is_live = secret_key.startswith(_LIVE_KEYS)
        self.plans = PlansForSale(self._plans)

    @cached_property
    def _client(self) -> "StripeClient":
        return make_stripe_client(self._secret_key, self._api_base)

    # Reading.

    def _plans(self) -> list[Plan]:
        with stripe_errors_translated():
            listed = self._client.v1.prices.list(
                {
                    "active": True,
                    "type": "recurring",
                    "limit": PRICES_MAX,
                    "expand": ["data.product"],
                }
            )
            prices = shaped(PriceListShape, listed).data
        return [plan for price in prices if (plan := plan_of_price(price)) is not None]

    def find_plan(self, price_id: str) -> Plan | None:
        """Return the plan of a price, for sale or not; None if it has no number of metrics."""
        with stripe_errors_translated():
            found = self._client.v1.prices.retrieve(price_id, {"expand": ["product"]})
            return plan_of_price(shaped(PriceShape, found))

    def customer_state(self, customer_id: str) -> CustomerState:
        """Read a customer's subscriptions and invoices."""
        try:
            with stripe_errors_translated():
                subscriptions = self._client.v1.subscriptions.list(
                    {
                        "customer": customer_id,
                        "status": "all",
                        "limit": SUBSCRIPTIONS_MAX,
                        "expand": ["data.latest_invoice", "data.schedule"],
                    }
                )
                invoices = self._client.v1.invoices.list(
                    {"customer": customer_id, "limit": INVOICES_MAX}
                )
        except GoneAtStripe:
            return CustomerState(is_deleted=True)
        with stripe_errors_translated():
            return CustomerState(
                is_deleted=False,
                subscriptions=tuple(
                    self._subscription_of(found)
                    for found in shaped(SubscriptionListShape, subscriptions).data
                    if found.items.data
                ),
                invoices=tuple(
                    invoice_of(found)
                    for found in shaped(InvoiceListShape, invoices).data
                    if found.status != "draft"
                ),
            )

    def next_bill(self, subscription: Subscription) -> Bill | None:
        """Return what the subscription's next invoice would be, or None where none will come."""
        try:
            with stripe_errors_translated():
                preview = self._client.v1.invoices.create_preview({"subscription": subscription.id})
                return bill_of(shaped(InvoiceShape, preview))
        except GoneAtStripe:
            return None

    def preview_change(
        self, customer_id: str, subscription: Subscription, price_id: str, at: datetime
    ) -> Bill:
        """Return what changing to a price at this moment would cost at once."""
        with stripe_errors_translated():
            preview = self._client.v1.invoices.create_preview(
                {
                    "customer": customer_id,
                    "subscription": subscription.id,
                    "subscription_details": {
                        "items": [{"id": subscription.item_id, "price": price_id}],
                        "proration_behavior": "always_invoice",
                        "proration_date": to_timestamp(at),
                    },
                }
            )
            return bill_of(shaped(InvoiceShape, preview))

    # Changing.

    def create_customer(self, key: str, org_id: int, name: str, email: str | None) -> str:
        """Create a customer for an org and return the customer's id."""
        requested: CustomerCreateParams = {"name": name, "metadata": {"org_id": str(org_id)}}
        if email:
            requested["email"] = email
        with stripe_errors_translated():
            made = self._client.v1.customers.create(requested, {"idempotency_key": key})
            return shaped(NamedShape, made).id

    def create_checkout(
        self,
        key: str,
        customer_id: str,
        org_id: int,
        price_id: str,
        success_url: str,
        cancel_url: str,
    ) -> Hosted:
        """Create a checkout page for a subscription."""
        requested: SessionCreateParams = {
            "mode": "subscription",
            "customer": customer_id,
            "client_reference_id": str(org_id),
            "line_items": [{"price": price_id, "quantity": 1}],
            "success_url": success_url,
            "cancel_url": cancel_url,
        }
        if self._has_tax:
            requested["automatic_tax"] = {"enabled": True}
            requested["customer_update"] = {"address": "auto"}
        with stripe_errors_translated():
            made = self._client.v1.checkout.sessions.create(requested, {"idempotency_key": key})
            page = shaped(PageShape, made)
            return Hosted(page.id, page.url)

    def expire_checkout(self, session_id: str) -> None:
        """Expire a checkout page; does nothing if it has expired already."""
        try:
            with stripe_errors_translated():
                self._client.v1.checkout.sessions.expire(session_id)
        except (GoneAtStripe, UpstreamFailed) as failure:
            # Paid or expired meanwhile, most likely; and Stripe closes every page after a day.
            log.info("checkout session %s could not be closed: %s", session_id, failure)

    def create_portal(self, key: str, customer_id: str, return_url: str) -> Hosted:
        """Create a billing portal page for cards, invoices and the subscription."""
        with stripe_errors_translated():
            made = self._client.v1.billing_portal.sessions.create(
                {"customer": customer_id, "return_url": return_url}, {"idempotency_key": key}
            )
            page = shaped(PageShape, made)
            return Hosted(page.id, page.url)

    def change_now(self, key: str, subscription: Subscription, price_id: str, at: datetime) -> None:
        """Change the price at once and charge the difference. Raises `PaymentRefused`."""
        with stripe_errors_translated():
            self._client.v1.subscriptions.update(
                subscription.id,
                {
                    "items": [{"id": subscription.item_id, "price": price_id}],
                    "cancel_at_period_end": False,
                    # If the payment fails, the subscription is not changed.
                    "proration_behavior": "always_invoice",
                    "payment_behavior": "error_if_incomplete",
                    "proration_date": to_timestamp(at),
                },
                {"idempotency_key": key},
            )

    def change_at_period_end(self, key: str, subscription: Subscription, plan: Plan) -> None:
        """Schedule a change of the price for the end of the period."""
        with stripe_errors_translated():
            schedule = shaped(
                NamedShape,
                self._client.v1.subscription_schedules.create(
                    {"from_subscription": subscription.id}, {"idempotency_key": f"{key}:schedule"}
                ),
            )
            starts, ends = (
                to_timestamp(moment)
                for moment in (subscription.period_start, subscription.period_end)
            )
            self._client.v1.subscription_schedules.update(
                schedule.id,
                {
                    "end_behavior": "release",
                    "phases": [
                        {
                            "items": [
                                {"price": subscription.price_id, "quantity": subscription.quantity}
                            ],
                            "start_date": starts,
                            "end_date": ends,
                            "proration_behavior": "none",
                        },
                        {
                            "items": [{"price": plan.id, "quantity": subscription.quantity}],
                            "start_date": ends,
                            # One period of it; then the subscription goes on by itself.
                            "duration": {
                                "interval": plan.interval or "month",
                                "interval_count": 1,
                            },
                            "proration_behavior": "none",
                        },
                    ],
                },
                {"idempotency_key": f"{key}:phases"},
            )

    def set_ending(self, key: str, subscription: Subscription, *, is_ending: bool) -> None:
        """Set or clear the end of the subscription at the end of the period."""
        with stripe_errors_translated():
            self._client.v1.subscriptions.update(
                subscription.id,
                {"cancel_at_period_end": is_ending},
                {"idempotency_key": key},
            )

    def release_schedule(self, key: str, schedule_id: str) -> None:
        """Cancel a scheduled change; the subscription continues unchanged."""
        try:
            with stripe_errors_translated():
                self._client.v1.subscription_schedules.release(
                    schedule_id, {}, {"idempotency_key": key}
                )
        except GoneAtStripe:
            log.info("the schedule %s was over already", schedule_id)

    def cancel_at_once(self, key: str, subscription_id: str) -> None:
        """Cancel a subscription at once, for an org that is deleted."""
        try:
            with stripe_errors_translated():
                self._client.v1.subscriptions.cancel(subscription_id, {}, {"idempotency_key": key})
        except GoneAtStripe:
            log.info("the subscription %s was over already", subscription_id)

    # Webhooks.

    def read_event(self, body: bytes, signature: str | None) -> PaymentEvent:
        """Verify and return the event of a webhook.

        Raises `BadSignature` unless Stripe signed exactly these bytes within five minutes of now,
        `Invalid` for a body that is not an event, and `Conflict` for one of the other mode (test
        or live).
        """
        stripe = stripe_library()
        try:
            raw = self._client.construct_event(
                body, signature, self._webhook_secret, tolerance=SKEW_SECONDS
            )
        except stripe.SignatureVerificationError:
            raise _badly_signed() from None
        except (ValueError, TypeError, AttributeError, RecursionError):
            # Also errors of decoding UTF-8 and JSON.
            raise Invalid("The body is not an event of Stripe.", code="bad_event") from None
        if _signed_timestamp(signature) > now_timestamp() + SKEW_SECONDS:
            raise _badly_signed()
        try:
            event = EventShape.model_validate(raw.to_dict())
        except ValidationError:
            raise Invalid("The body is not an event of Stripe.", code="bad_event") from None
        if event.livemode != self.is_live:
            raise Conflict(
                "This event belongs to the other mode (test or live) than the configured key.",
                code="wrong_mode",
            )
        return PaymentEvent(
            event.id, event.type, moment_of(event.created), customer_of(event.data.object)
        )

    def _subscription_of(self, found: SubscriptionShape) -> Subscription:
        item = found.items.data[0]
        plan = plan_of_price(item.price)
        if plan is None or isinstance(item.price.product, str):
            # The product has the name and sometimes the quota.
            plan = self.plans_by_price(item.price.id)
        upcoming = found.schedule.upcoming_price_id() if found.schedule else None
        invoice = found.latest_invoice
        is_overdue = found.status in {"past_due", "unpaid"} and invoice is not None
        return Subscription(
            id=found.id,
            status=found.status,
            created_at=moment_of(found.created),
            plan=plan,
            price_id=item.price.id,
            item_id=item.id,
            quantity=item.quantity or 1,
            period_start=moment_of(item.current_period_start),
            period_end=moment_of(item.current_period_end),
            is_ending=found.cancel_at_period_end or found.cancel_at is not None,
            schedule_id=found.schedule.id if found.schedule else None,
            next_price_id=upcoming if upcoming != item.price.id else None,
            overdue_since=moment_of(invoice.created) if is_overdue and invoice else None,
        )

    def plans_by_price(self, price_id: str) -> Plan | None:
        """Return the plan of a price: from the cache if it is for sale, else from Stripe."""
        for plan in self.plans.listed():
            if plan.id == price_id:
                return plan
        return self.find_plan(price_id)


def gateway_of(settings: Settings) -> StripeGateway | None:
    """Return the gateway, the same object each time; None if billing is not configured."""
    if not settings.stripe_secret_key or not settings.stripe_webhook_secret:
        return None
    return _gateway(
        settings.stripe_secret_key.get_secret_value(),
        settings.stripe_webhook_secret.get_secret_value(),
        settings.stripe_api_base,
        has_tax=settings.stripe_tax,
    )


def _signed_timestamp(signature: str | None) -> int:
    """Return the timestamp of a signature that was verified before."""
    parts = (part.partition("=") for part in (signature or "").split(","))
    return next(int(value.split("=")[0]) for name, _, value in parts if name == "t")


def _badly_signed() -> BadSignature:
    return BadSignature(
        "The signature is not a recent one of Stripe. Check that stripe_webhook_secret is the"
        " signing secret of this endpoint and that the clock is right."
    )


@lru_cache(maxsize=8)
def _gateway(
    secret_key: str, webhook_secret: str, api_base: str | None, *, has_tax: bool
) -> StripeGateway:
    return StripeGateway(secret_key, webhook_secret, api_base, has_tax=has_tax)

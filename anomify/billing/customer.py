"""The product's own types for Stripe's customers, subscriptions and invoices, and its errors."""

from dataclasses import dataclass
from datetime import datetime

from anomify.billing.plans import Plan
from anomify.errors import AnomifyError, Invalid

# After these failures Stripe may have carried the call out: it is repeated with the same key.
UNDECIDED = frozenset({"timeout", "refused", "dns", "tls", "busy"})


class PaymentRefused(AnomifyError):
    """The payment was declined; nothing was changed."""

    status = 402
    code = "payment_refused"


class GoneAtStripe(Exception):
    """Stripe has no object of this id any more."""


class BadSignature(Invalid):
    """A webhook without a valid and recent signature of Stripe."""

    code = "bad_signature"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as Stripe has it now."""

    id: str
    status: str
    created_at: datetime
    # None for a price without a number of metrics.
    plan: Plan | None
    price_id: str
    item_id: str
    quantity: int
    period_start: datetime
    period_end: datetime
    is_ending: bool
    schedule_id: str | None
    # The price of the next phase of the schedule.
    next_price_id: str | None
    # Since when its latest bill is due, where that could not be collected.
    overdue_since: datetime | None


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice; the amount is in the currency's smallest unit."""

    id: str
    number: str | None
    status: str
    amount: int
    currency: str
    made_at: datetime
    pdf_url: str | None


@dataclass(frozen=True, slots=True)
class Bill:
    """An amount due at a time; the amount is in the currency's smallest unit."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class CustomerState:
    """The subscriptions and invoices of a customer, as just read from Stripe."""

    is_deleted: bool
    subscriptions: tuple[Subscription, ...] = ()
    invoices: tuple[Invoice, ...] = ()


@dataclass(frozen=True, slots=True)
class Hosted:
    """A page at Stripe to which a browser is redirected."""

    id: str
    url: str


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """A webhook event with a verified signature; its contents are read from Stripe anew."""

    id: str
    type: str
    made_at: datetime
    customer_id: str | None

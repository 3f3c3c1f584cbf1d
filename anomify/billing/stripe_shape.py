"""The fields of Stripe's responses that are used here, validated and converted."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from anomify.billing.customer import Bill, Invoice
from anomify.billing.plans import Plan
from anomify.clock import datetime_from_timestamp

log = logging.getLogger(__name__)

# The metadata key of a price, or else of its product, for the number of metrics.
QUOTA_KEY = "metrics_quota"
UNLIMITED = "unlimited"
# The largest number fits the database column.
QUOTA_DIGITS_MAX = 9

Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Currency = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
UnixSeconds = Annotated[int, Field(ge=0, le=4_102_444_800)]
Amount = Annotated[int, Field(ge=-(2**53), le=2**53)]
Shape = TypeVar("Shape", bound="StripeShape")


class StripeShape(BaseModel):
    """The parent of all shapes; other fields of a response are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NamedShape(StripeShape):
    """Anything with an id."""

    id: Id


class PageShape(NamedShape):
    """A page that a browser is sent to."""

    url: Annotated[str, StringConstraints(pattern="^https?://", max_length=5000)]


class _Product(NamedShape):
    name: str = ""
    metadata: dict[str, str] = {}


class _Recurring(StripeShape):
    interval: Annotated[str, StringConstraints(max_length=16)] = "month"


class PriceShape(NamedShape):
    """A price and its product."""

    nickname: str | None = None
    unit_amount: Amount | None = None
    currency: Currency
    recurring: _Recurring | None = None
    metadata: dict[str, str] = {}
    product: _Product | Id


class PriceListShape(StripeShape):
    """Prices."""

    data: list[PriceShape]


class _Item(NamedShape):
    price: PriceShape
    quantity: int | None = None
    current_period_start: UnixSeconds
    current_period_end: UnixSeconds


class _Items(StripeShape):
    data: list[_Item]


class _PhaseItem(StripeShape):
    price: Id


class _Phase(StripeShape):
    start_date: UnixSeconds
    items: list[_PhaseItem]


class _CurrentPhase(StripeShape):
    start_date: UnixSeconds
    end_date: UnixSeconds


class _Schedule(NamedShape):
    status: str
    current_phase: _CurrentPhase | None = None
    phases: list[_Phase] = []

    def upcoming_price_id(self) -> str | None:
        """Return the price of the phase after the current one."""
        if self.status not in {"active", "not_started"} or self.current_phase is None:
            return None
        later = [phase for phase in self.phases if phase.start_date >= self.current_phase.end_date]
        return later[0].items[0].price if later and later[0].items else None


class InvoiceShape(StripeShape):
    """An invoice, or the preview of one."""

    # Previews have none.
    id: Id | None = None
    number: str | None = None
    status: str | None = None
    total: Amount
    amount_due: Amount
    currency: Currency
    created: UnixSeconds
    invoice_pdf: Annotated[str, StringConstraints(pattern="^https?://", max_length=5000)] | None = (
        None
    )


class InvoiceListShape(StripeShape):
    """Invoices."""

    data: list[InvoiceShape]


class SubscriptionShape(NamedShape):
    """A subscription, its latest invoice and its schedule with it."""

    status: Annotated[str, StringConstraints(max_length=32)]
    created: UnixSeconds
    cancel_at_period_end: bool = False
    cancel_at: UnixSeconds | None = None
    items: _Items
    schedule: _Schedule | None = None
    latest_invoice: InvoiceShape | None = None


class SubscriptionListShape(StripeShape):
    """Subscriptions."""

    data: list[SubscriptionShape]


class EventShape(NamedShape):
    """An event in the body of a webhook."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    created: UnixSeconds
    livemode: bool
    data: "_EventData"


class _EventData(StripeShape):
    object: dict[str, Any]


def shaped(shape: type[Shape], answer: Any) -> Shape:
    """Return the validated fields of a response; raises pydantic's `ValidationError`."""
    return shape.model_validate(answer.to_dict())


def plan_of_price(price: PriceShape) -> Plan | None:
    """Return the plan of a price; None if it has no valid number of metrics."""
    product = price.product if isinstance(price.product, _Product) else None
    quota = price.metadata.get(QUOTA_KEY) or (product.metadata.get(QUOTA_KEY) if product else None)
    if quota is None or price.recurring is None or price.unit_amount is None:
        return None
    is_number = quota.isascii() and quota.isdigit() and len(quota) <= QUOTA_DIGITS_MAX
    if quota != UNLIMITED and not is_number:
        log.warning("the price %s has the unusable %s %r", price.id, QUOTA_KEY, quota)
        return None
    return Plan(
        id=price.id,
        name=price.nickname or (product.name if product else "") or "Subscription",
        metric_quota=None if quota == UNLIMITED else int(quota),
        amount=price.unit_amount,
        currency=price.currency,
        interval=price.recurring.interval,
    )


def invoice_of(found: InvoiceShape) -> Invoice:
    """Return an invoice."""
    return Invoice(
        id=found.id or "",
        number=found.number,
        status=found.status or "open",
        amount=found.total,
        currency=found.currency,
        made_at=moment_of(found.created),
        pdf_url=found.invoice_pdf,
    )


def bill_of(found: InvoiceShape) -> Bill:
    """Return the amount due of an invoice."""
    return Bill(found.amount_due, found.currency)


def customer_of(thing: Mapping[str, Any]) -> str | None:
    """Return the customer id of an event's object, or None if it has none."""
    found = thing.get("id") if thing.get("object") == "customer" else thing.get("customer")
    if isinstance(found, Mapping):
        found = found.get("id")
    return found if isinstance(found, str) else None


def moment_of(timestamp: int) -> datetime:
    """Return the moment of unix seconds."""
    return datetime_from_timestamp(timestamp)

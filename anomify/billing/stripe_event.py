"""Process Stripe's webhook events, each once; what changed is read from Stripe."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete

from anomify.billing.account import begin_reading, follow, read
from anomify.billing.customer import PaymentEvent
from anomify.billing.dunning import tell_of_debt
from anomify.billing.model import BillingEvent
from anomify.billing.plans import Plan
from anomify.billing.queries import find_account_of_customer, is_event_taken
from anomify.billing.stripe_gateway import StripeGateway
from anomify.clock import now
from anomify.db import Database, insert_once, session

# Everything else is none of our business.
USED = ("checkout.session.", "customer.subscription.", "invoice.", "subscription_schedule.")
ALSO_USED = frozenset({"customer.deleted"})
# Stripe tries for three days; a signature is good for five minutes.
REMEMBERED = timedelta(days=30)


class Taken(StrEnum):
    """The outcome of a webhook event."""

    FOLLOWED = "followed"
    KNOWN = "known"
    NOT_OURS = "not_ours"
    UNUSED = "unheeded"


def take_event(
    database: Database, gateway: StripeGateway, event: PaymentEvent, free: Plan, base_url: str
) -> Taken:
    """Process a webhook event once, in units of work of its own.

    What the news says of the customer is not used: the customer is read anew, so that late, double
    and disordered news all lead to the same. Whose it is says the id of the customer that was kept
    when it was made. Raises `UpstreamFailed` where Stripe cannot be asked; the news is not taken
    then, and Stripe sends it again.
    """
    if not event.type.startswith(USED) and event.type not in ALSO_USED:
        return Taken.UNUSED
    with database.unit_of_work(write=False):
        if is_event_taken(event.id):
            return Taken.KNOWN
        account = find_account_of_customer(event.customer_id) if event.customer_id else None
    if account is None:
        return Taken.NOT_OURS
    with database.unit_of_work():
        reading = begin_reading(account)
    found = read(gateway, reading)
    with database.unit_of_work():
        if not _note(event, reading.org_id):
            return Taken.KNOWN
        if follow(found, free) is not None:
            tell_of_debt(reading.org_id, base_url)
    return Taken.FOLLOWED


def forget_events(at: datetime) -> None:
    """Delete records of events that cannot be sent again. Needs a unit of work that writes."""
    session().execute(delete(BillingEvent).where(BillingEvent.taken_at < at - REMEMBERED))


def _note(event: PaymentEvent, org_id: int) -> bool:
    """Record that the event is processed; return False if another request just did."""
    return insert_once(
        BillingEvent,
        id=event.id,
        type=event.type,
        org_id=org_id,
        made_at=event.made_at,
        taken_at=now(),
    )

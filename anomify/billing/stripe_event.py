"""Process Stripe's webhook events, each once; what changed is read from Stripe."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete

from anomify.billing.account import apply_read, begin_read, read_customer
from anomify.billing.customer import PaymentEvent
from anomify.billing.dunning import write_about_debt
from anomify.billing.model import BillingEvent
from anomify.billing.plans import Plan
from anomify.billing.queries import find_account_of_customer, is_event_processed
from anomify.billing.stripe_gateway import StripeGateway
from anomify.clock import now
from anomify.db import Database, insert_once, session

# Events of other types are ignored.
USED = ("checkout.session.", "customer.subscription.", "invoice.", "subscription_schedule.")
ALSO_USED = frozenset({"customer.deleted"})
# Stripe resends events for three days; a signature is valid for five minutes.
REMEMBERED = timedelta(days=30)


class Taken(StrEnum):
    """The outcome of a webhook event."""

    FOLLOWED = "followed"
    KNOWN = "known"
    NOT_OURS = "not_ours"
    UNUSED = "unheeded"


def process_event(
    database: Database, gateway: StripeGateway, event: PaymentEvent, free: Plan, base_url: str
) -> Taken:
    """Process a webhook event once, in units of work of its own.

    The contents of the event are not used: the customer is read from Stripe, so that late,
    repeated and reordered events lead to the same state. The org is found by the customer id that
    was stored when the customer was created. Raises `UpstreamFailed` if Stripe cannot be reached;
    the event is not recorded then, and Stripe sends it again.
    """
    if not event.type.startswith(USED) and event.type not in ALSO_USED:
        return Taken.UNUSED
    with database.unit_of_work(write=False):
        if is_event_processed(event.id):
            return Taken.KNOWN
        account = find_account_of_customer(event.customer_id) if event.customer_id else None
    if account is None:
        return Taken.NOT_OURS
    with database.unit_of_work():
        read = begin_read(account)
    found = read_customer(gateway, read)
    with database.unit_of_work():
        if not _record(event, read.org_id):
            return Taken.KNOWN
        if apply_read(found, free) is not None:
            write_about_debt(read.org_id, base_url)
    return Taken.FOLLOWED


def forget_events(at: datetime) -> None:
    """Delete records of events that cannot be sent again. Needs a unit of work that writes."""
    session().execute(delete(BillingEvent).where(BillingEvent.taken_at < at - REMEMBERED))


def _record(event: PaymentEvent, org_id: int) -> bool:
    """Record that the event is processed; return False if another request just did."""
    return insert_once(
        BillingEvent,
        id=event.id,
        type=event.type,
        org_id=org_id,
        made_at=event.made_at,
        taken_at=now(),
    )

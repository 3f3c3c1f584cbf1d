"""Cancel the subscriptions of an org that is deleted."""

from anomify.audit.recording import record_audit
from anomify.billing.account import CHECKOUT
from anomify.billing.intent import finish_intent
from anomify.billing.queries import find_account, find_intent
from anomify.billing.stripe_gateway import StripeGateway
from anomify.db import Database
from anomify.org.model import Org

END = "end"
# States of subscriptions that have ended.
OVER = frozenset({"canceled", "incomplete_expired"})


def cancel_subscriptions(
    database: Database, gateway: StripeGateway | None, org: Org, *, actor: str
) -> None:
    """Cancel the org's subscriptions at once and close its open checkout page.

    Has to be called before an org is deleted, because its customer id is deleted with it. Does
    nothing without subscriptions, and may be called twice. If it raises `UpstreamFailed`, the org
    must not be deleted. Opens units of work of its own.
    """
    if gateway is None:
        return
    with database.unit_of_work():
        account = find_account(org)
        checkout = find_intent(org.id, CHECKOUT)
        page_id = checkout.result_id if checkout else None
    if account is None or account.customer_id is None:
        return
    if page_id is not None:
        gateway.expire_checkout(page_id)
    # Read from Stripe: a subscription that was just paid for is not stored here yet.
    for subscription in gateway.customer_state(account.customer_id).subscriptions:
        if subscription.status in OVER:
            continue
        gateway.cancel_at_once(f"{org.id}:{END}:{subscription.id}", subscription.id)
        with database.unit_of_work():
            record_audit(org.id, actor=actor, action="billing.end", target=subscription.id)
    with database.unit_of_work():
        finish_intent(org.id, CHECKOUT)

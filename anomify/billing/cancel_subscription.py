"""An org that goes away pays no more."""

from anomify.audit.recording import record_audit
from anomify.billing.account import CHECKOUT
from anomify.billing.intent import finish_intent
from anomify.billing.queries import find_account, find_intent
from anomify.billing.stripe_gateway import StripeGateway
from anomify.db import Database
from anomify.org.model import Org

END = "end"
# Subscriptions that cost nothing any more.
OVER = frozenset({"canceled", "incomplete_expired"})


def stop_paying(database: Database, gateway: StripeGateway | None, org: Org, *, actor: str) -> None:
    """End what the org pays for at once, and close the page where it could begin to pay.

    To be called before an org is deleted: afterwards nobody here would know whom Stripe bills.
    Harmless where nothing is paid for, and when called twice. Raises `UpstreamFailed`: then the
    org has to stay for now. Opens units of work of its own.
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
    # Looked up now: what was paid for a moment ago is not known here yet.
    for subscription in gateway.customer_state(account.customer_id).subscriptions:
        if subscription.status in OVER:
            continue
        gateway.cancel_at_once(f"{org.id}:{END}:{subscription.id}", subscription.id)
        with database.unit_of_work():
            record_audit(org.id, actor=actor, action="billing.end", target=subscription.id)
    with database.unit_of_work():
        finish_intent(org.id, CHECKOUT)

"""An org that goes away pays no more."""

from anomify.audit.recording import record_audit
from anomify.billing.account import CHECKOUT
from anomify.billing.checkout import settling
from anomify.billing.intent import begin_intent, finish_intent
from anomify.billing.queries import find_account, find_intent
from anomify.billing.stripe_gateway import StripeGateway
from anomify.db import Database
from anomify.org.model import Org

END = "end"


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
        subscription_id = account.subscription_id if account else None
        checkout = find_intent(org.id, CHECKOUT)
        page_id = checkout.result_id if checkout else None
        intent = begin_intent(org.id, END, subscription_id) if subscription_id else None
    if page_id is not None:
        gateway.expire_checkout(page_id)
    if intent is None or subscription_id is None:
        return
    with settling(database, org.id, END):
        gateway.cancel_at_once(intent.key, subscription_id)
    with database.unit_of_work():
        finish_intent(org.id, CHECKOUT, END)
        record_audit(org.id, actor=actor, action="billing.end", target=subscription_id)

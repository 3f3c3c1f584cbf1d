"""Create Stripe customers, checkout pages and billing portal pages."""

from collections.abc import Iterator
from contextlib import contextmanager

from anomify.audit.recording import record_audit
from anomify.billing.account import CHECKOUT, STATUSES_WITH_PLAN, refresh
from anomify.billing.customer import UNDECIDED, GoneAtStripe, Hosted
from anomify.billing.intent import Intent, begin_intent, finish_intent, note_result
from anomify.billing.model import BillingAccount
from anomify.billing.plans import FREE_ID, Plan
from anomify.billing.queries import find_account, find_account_for_update
from anomify.billing.stripe_gateway import StripeGateway
from anomify.db import Database, insert_once
from anomify.errors import AnomifyError, Conflict, Invalid, NotFound, UpstreamFailed
from anomify.org.model import Org

CUSTOMER = "customer"
PORTAL = "portal"


def require_gateway(gateway: StripeGateway | None) -> StripeGateway:
    """Return the gateway. Raises `Conflict` if billing is not configured."""
    if gateway is None:
        raise Conflict(
            "Billing is off: this installation is self-hosted and its plan has no limit.",
            code="billing_off",
        )
    return gateway


def open_checkout(
    database: Database,
    gateway: StripeGateway,
    org: Org,
    plan_id: str,
    *,
    success_url: str,
    cancel_url: str,
    free: Plan,
    actor: str,
    email: str | None,
) -> Hosted:
    """Return a page where the org can pay for a plan; the same request returns the same page.

    Only one page of an org is open at a time. Raises `Conflict` for an org that pays already,
    `Invalid` for a plan that is not for sale, and `UpstreamFailed`. Opens units of work of its own.
    """
    if plan_id == FREE_ID:
        raise Invalid(
            "The free plan needs no checkout; to change back to it, use /billing/change.",
            code="plan_unknown",
            fields={"plan_id": "The id of a plan with a price."},
        )
    plan = gateway.plans.get(plan_id)
    customer_id = _ensure_customer(database, gateway, org, email)
    with database.unit_of_work():
        intent = begin_intent(org.id, CHECKOUT, customer_id, plan.id, success_url, cancel_url)
    if intent.replaced_result_id:
        gateway.expire_checkout(intent.replaced_result_id)
    # Read now: the user may have just paid, and the webhook event may not have arrived yet.
    refresh(database, gateway, org.id, free)
    with database.unit_of_work(write=False):
        _check_unsubscribed(find_account(org), plan)
    with finishing_failed_intent(database, org.id, CHECKOUT):
        page = gateway.create_checkout(
            intent.key, customer_id, org.id, plan.id, success_url, cancel_url
        )
    with database.unit_of_work():
        is_ours = note_result(org.id, CHECKOUT, intent, page.id)
        if is_ours:
            after = {"plan": plan.id, "checkout": page.id}
            record_audit(org.id, actor=actor, action="billing.checkout", after=after)
    if not is_ours:
        gateway.expire_checkout(page.id)
        raise Conflict(
            "Another user of your org has just opened a checkout; use that one, or try again.",
            code="checkout_replaced",
        )
    return page


def open_portal(
    database: Database, gateway: StripeGateway, org: Org, *, return_url: str, actor: str
) -> Hosted:
    """Return a page for the org's cards and invoices; it is valid for minutes.

    Raises `NotFound` for an org that has never been a customer, and `UpstreamFailed`. Opens units
    of work of its own.
    """
    with database.unit_of_work():
        account = find_account(org)
        customer_id = account.customer_id if account else None
        intent = begin_intent(org.id, PORTAL, customer_id, return_url)
    if customer_id is None:
        raise _no_customer()
    try:
        page = gateway.create_portal(intent.key, customer_id, return_url)
    except GoneAtStripe:
        raise _no_customer() from None
    finally:
        # Each page can be opened once, so the next request gets a new key.
        with database.unit_of_work():
            finish_intent(org.id, PORTAL)
    with database.unit_of_work():
        record_audit(org.id, actor=actor, action="billing.portal")
    return page


@contextmanager
def finishing_failed_intent(database: Database, org_id: int, action: str) -> Iterator[None]:
    """Finish the intent if Stripe refused the call inside.

    If Stripe may have carried the call out (see UNDECIDED), the intent keeps its key, so that a
    repeated request does not do it twice. Raises `Conflict` for an object that is gone.
    """
    try:
        yield
    except (AnomifyError, GoneAtStripe) as failure:
        if not (isinstance(failure, UpstreamFailed) and failure.kind in UNDECIDED):
            with database.unit_of_work():
                finish_intent(org_id, action)
        if isinstance(failure, GoneAtStripe):
            raise Conflict(
                "Stripe has no such object any more; try again.", code="gone_at_stripe"
            ) from None
        raise


def _ensure_customer(
    database: Database, gateway: StripeGateway, org: Org, email: str | None
) -> str:
    with database.unit_of_work():
        account = find_account(org)
        if account is not None and account.customer_id is not None:
            return account.customer_id
        intent: Intent = begin_intent(org.id, CUSTOMER, org.name, email)
    with finishing_failed_intent(database, org.id, CUSTOMER):
        customer_id = gateway.create_customer(intent.key, org.id, org.name, email)
    with database.unit_of_work():
        insert_once(BillingAccount, org_id=org.id)
        account = find_account_for_update(org.id)
        if account is None:
            raise NotFound("Your org was deleted.")
        if account.customer_id is None:
            account.customer_id = customer_id
        finish_intent(org.id, CUSTOMER)
        return account.customer_id


def _check_unsubscribed(account: BillingAccount | None, plan: Plan) -> None:
    if account is None or account.status not in STATUSES_WITH_PLAN or account.plan is None:
        return
    if account.plan["id"] == plan.id:
        raise Conflict("Your org has this plan already.", code="already_on_plan")
    raise Conflict(
        f"Your org pays for the plan {account.plan['name']} already; change it with "
        "/billing/change.",
        code="already_subscribed",
    )


def _no_customer() -> NotFound:
    return NotFound(
        "Your org has no customer account at Stripe yet; open a checkout with"
        " /billing/getcheckoutsession first.",
        code="no_customer",
    )

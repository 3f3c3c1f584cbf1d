"""Becoming a customer, paying for the first time, and the portal."""

from collections.abc import Iterator
from contextlib import contextmanager

from anomify.audit.recording import record_audit
from anomify.billing.account import CHECKOUT, GIVING, refresh
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


def need_gateway(gateway: StripeGateway | None) -> StripeGateway:
    """Return the way to Stripe. Raises `Conflict` where nobody is billed."""
    if gateway is None:
        raise Conflict(
            "Nobody is billed here: this installation is self-hosted and its plan has no limit.",
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
    """Return a page where the org can pay for a plan; the same request gives the same page.

    Only one page of an org is open at a time. Raises `Conflict` for an org that pays already,
    `Invalid` for a plan that is not for sale, and `UpstreamFailed`. Opens units of its own.
    """
    if plan_id == FREE_ID:
        raise Invalid(
            "The free plan needs no checkout; to go back to it, ask /billing/change.",
            code="plan_unknown",
            fields={"plan_id": "The id of a plan that costs something."},
        )
    plan = gateway.plans.get(plan_id)
    customer_id = _become_customer(database, gateway, org, email)
    with database.unit_of_work():
        intent = begin_intent(org.id, CHECKOUT, customer_id, plan.id, success_url, cancel_url)
    if intent.replaced_result_id:
        gateway.expire_checkout(intent.replaced_result_id)
    # Looked up now: somebody may have paid a moment ago, and the news of it be on its way.
    refresh(database, gateway, org.id, free)
    with database.unit_of_work(write=False):
        _check_unsubscribed(find_account(org), plan)
    with settling(database, org.id, CHECKOUT):
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
            "Somebody of your org has just opened another checkout; use that one, or ask again.",
            code="checkout_replaced",
        )
    return page


def open_portal(
    database: Database, gateway: StripeGateway, org: Org, *, return_url: str, actor: str
) -> Hosted:
    """Return the page where the org sees to its cards and invoices; it is good for minutes.

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
        # Each page is for one visit.
        with database.unit_of_work():
            finish_intent(org.id, PORTAL)
    with database.unit_of_work():
        record_audit(org.id, actor=actor, action="billing.portal")
    return page


@contextmanager
def settling(database: Database, org_id: int, action: str) -> Iterator[None]:
    """Finish an intent that Stripe refused; one that it may have carried out keeps its key."""
    try:
        yield
    except (AnomifyError, GoneAtStripe) as failure:
        if not (isinstance(failure, UpstreamFailed) and failure.kind in UNDECIDED):
            with database.unit_of_work():
                finish_intent(org_id, action)
        if isinstance(failure, GoneAtStripe):
            raise Conflict(
                "Stripe does not know this any more; try again.", code="gone_at_stripe"
            ) from None
        raise


def _become_customer(
    database: Database, gateway: StripeGateway, org: Org, email: str | None
) -> str:
    with database.unit_of_work():
        account = find_account(org)
        if account is not None and account.customer_id is not None:
            return account.customer_id
        intent: Intent = begin_intent(org.id, CUSTOMER, org.name, email)
    with settling(database, org.id, CUSTOMER):
        customer_id = gateway.create_customer(intent.key, org.id, org.name, email)
    with database.unit_of_work():
        insert_once(BillingAccount, org_id=org.id)
        account = find_account_for_update(org.id)
        if account is None:
            raise NotFound("Your org is gone.")
        if account.customer_id is None:
            account.customer_id = customer_id
        finish_intent(org.id, CUSTOMER)
        return account.customer_id


def _check_unsubscribed(account: BillingAccount | None, plan: Plan) -> None:
    if account is None or account.status not in GIVING or account.plan is None:
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
        "Your org has never paid for anything, so there is no portal for it yet; a checkout comes"
        " first.",
        code="no_customer",
    )

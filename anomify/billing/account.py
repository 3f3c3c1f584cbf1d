"""Update an org's plan, quota and invoices from the state of its customer at Stripe."""

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from anomify.audit.recording import record_audit
from anomify.billing.customer import Bill, CustomerState, Subscription
from anomify.billing.debt import Debt
from anomify.billing.intent import finish_intent
from anomify.billing.model import NO_SUBSCRIPTION, BillingAccount, BillingInvoice
from anomify.billing.plans import SELF_HOSTED, Plan, free_plan
from anomify.billing.queries import find_account_for_update
from anomify.billing.stripe_gateway import StripeGateway
from anomify.clock import now
from anomify.db import Database, session
from anomify.org.model import Org

log = logging.getLogger(__name__)

# The actor of these changes in the audit trail.
ACTOR = "stripe"
# States of a subscription in which the org has its plan, whether or not the last bill was paid.
STATUSES_WITH_PLAN = frozenset({"active", "trialing", "past_due", "unpaid"})
CHECKOUT = "checkout"
CHANGE = "change"


@dataclass(frozen=True, slots=True)
class CustomerRead:
    """A read of a customer's state that has begun; later reads have greater numbers."""

    org_id: int
    customer_id: str
    number: int


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The state of a customer that a read returned."""

    read: CustomerRead
    state: CustomerState
    next_bill: Bill | None


def begin_read(account: BillingAccount) -> CustomerRead:
    """Return a read with a new number, which has to be committed before Stripe is called.

    A read returns every change made before it began. So a read that began later may overwrite the
    result of one that began earlier, but never the other way round.
    """
    number = session().scalar(
        update(BillingAccount)
        .where(BillingAccount.org_id == account.org_id)
        .values(reading_begun=BillingAccount.reading_begun + 1)
        .returning(BillingAccount.reading_begun)
    )
    return CustomerRead(account.org_id, account.customer_id or "", number or 0)


def read_customer(gateway: StripeGateway, read: CustomerRead) -> ReadResult:
    """Read the customer's state from Stripe; no unit of work may be open.

    Raises `UpstreamFailed`.
    """
    state = gateway.customer_state(read.customer_id)
    current = current_subscription(state)
    bill = gateway.next_bill(current) if current and not current.is_ending else None
    return ReadResult(read, state, bill)


def apply_read(found: ReadResult, free: Plan) -> BillingAccount | None:
    """Store the state found as the org's plan, quota and invoices; return the updated account.

    Changes nothing if the result of a later read is stored already. Returns None if the customer
    was replaced meanwhile. An org whose subscription has ended gets the free plan; the quota of
    an org that never had a subscription stays as it is. Needs a unit of work that writes.
    """
    read = found.read
    account = find_account_for_update(read.org_id)
    if account is None or account.customer_id != read.customer_id:
        return None
    if account.reading_kept >= read.number:
        return account
    org = (
        session()
        .scalars(
            select(Org).where(Org.id == account.org_id).execution_options(populate_existing=True)
        )
        .one()
    )
    before = _audit_fields(account, org)
    account.reading_kept, account.read_at = read.number, now()
    if found.state.is_deleted:
        account.customer_id = None
    current = current_subscription(found.state)
    if current is not None:
        _set_subscription(account, org, current, found.next_bill)
    elif account.subscription_id is not None:
        _clear_subscription(account, org, found.state, free)
    _store_invoices(org, found.state)
    after = _audit_fields(account, org)
    if before != after:
        record_audit(org.id, actor=ACTOR, action="billing.plan", before=before, after=after)
    session().flush()
    return account


def refresh(database: Database, gateway: StripeGateway, org_id: int, free: Plan) -> None:
    """Read an org's state from Stripe and store it, in units of work of its own.

    Does nothing for an org that is no customer. Raises `UpstreamFailed`.
    """
    with database.unit_of_work():
        account = session().get(BillingAccount, org_id)
        if account is None or account.customer_id is None:
            return
        read = begin_read(account)
    found = read_customer(gateway, read)
    with database.unit_of_work():
        apply_read(found, free)


def current_subscription(state: CustomerState) -> Subscription | None:
    """Return the subscription that gives the plan, the latest of several; None if there is none."""
    with_plan = [
        each for each in state.subscriptions if each.status in STATUSES_WITH_PLAN and each.plan
    ]
    if len(with_plan) > 1:
        log.warning(
            "a customer pays for %d subscriptions at once: %s", len(with_plan), with_plan[0].id
        )
    return max(with_plan, key=lambda each: (each.created_at, each.id), default=None)


def plan_in_force(account: BillingAccount | None, *, is_billed: bool, free_metrics: int) -> Plan:
    """Return the plan that an org has: the one it pays for, or else the free one.

    Where billing is off, every org has the self-hosted plan.
    """
    if not is_billed:
        return SELF_HOSTED
    return plan_of(account) or free_plan(free_metrics)


def plan_of(account: BillingAccount | None) -> Plan | None:
    """Return the plan that an org pays for; None if it pays for none."""
    return Plan.from_fields(account.plan) if account and account.plan else None


def _set_subscription(
    account: BillingAccount, org: Org, current: Subscription, next_bill: Bill | None
) -> None:
    plan = current.plan
    if plan is None:
        return
    account.subscription_id, account.status = current.id, current.status
    account.plan = plan.as_fields()
    account.next_plan_id = current.next_price_id
    account.period_end, account.is_ending = current.period_end, current.is_ending
    account.next_bill_at = current.period_end if next_bill else None
    account.next_bill_amount = next_bill.amount if next_bill else None
    account.next_bill_currency = next_bill.currency if next_bill else None
    org.metric_quota = (
        None if plan.metric_quota is None else plan.metric_quota * max(current.quantity, 1)
    )
    org.overdue_since = current.overdue_since
    if current.overdue_since is None:
        account.mailed_debt = Debt.NONE
    # The open checkout is completed; the next request for one gets a new key.
    finish_intent(org.id, CHECKOUT)


def _clear_subscription(
    account: BillingAccount, org: Org, state: CustomerState, free: Plan
) -> None:
    last = next((each for each in state.subscriptions if each.id == account.subscription_id), None)
    account.subscription_id = None
    account.status = last.status if last else NO_SUBSCRIPTION
    account.plan = account.next_plan_id = account.period_end = None
    account.next_bill_at = account.next_bill_amount = account.next_bill_currency = None
    account.is_ending = False
    account.mailed_debt = Debt.NONE
    org.metric_quota, org.overdue_since = free.metric_quota, None


def _store_invoices(org: Org, state: CustomerState) -> None:
    for found in state.invoices:
        # An invoice stays with the org that it was stored for, even if another customer lists it.
        kept = session().get(BillingInvoice, found.id)
        if kept is None:
            kept = BillingInvoice(id=found.id, org_id=org.id)
            session().add(kept)
        elif kept.org_id != org.id:
            continue
        kept.number, kept.status = found.number, found.status
        kept.amount, kept.currency = found.amount, found.currency
        kept.made_at, kept.pdf_url = found.made_at, found.pdf_url


def _audit_fields(account: BillingAccount, org: Org) -> dict[str, Any]:
    """Return the fields of an account that the audit trail records."""
    return {
        "plan": account.plan["id"] if account.plan else None,
        "status": account.status,
        "next_plan": account.next_plan_id,
        "is_ending": account.is_ending,
        "metric_quota": org.metric_quota,
        "overdue_since": org.overdue_since,
    }

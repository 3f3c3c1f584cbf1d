"""An org's account: its plan and quota follow what Stripe says, in whatever order that comes."""

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

# Who the audit trail says it was.
ACTOR = "stripe"
# Subscriptions that give their plan, whether or not the last bill was paid.
GIVING = frozenset({"active", "trialing", "past_due", "unpaid"})
CHECKOUT = "checkout"
CHANGE = "change"


@dataclass(frozen=True, slots=True)
class CustomerRead:
    """A look at a customer, numbered when it began."""

    org_id: int
    customer_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Read:
    """What a look at a customer showed."""

    reading: CustomerRead
    state: CustomerState
    next_bill: Bill | None


def begin_reading(account: BillingAccount) -> CustomerRead:
    """Give a look at a customer its number. That has to be committed before Stripe is asked.

    What happened before a reading began is in what it finds; so of two readings the one that
    began later may overwrite the other, and never the other way round.
    """
    number = session().scalar(
        update(BillingAccount)
        .where(BillingAccount.org_id == account.org_id)
        .values(reading_begun=BillingAccount.reading_begun + 1)
        .returning(BillingAccount.reading_begun)
    )
    return CustomerRead(account.org_id, account.customer_id or "", number or 0)


def read(gateway: StripeGateway, reading: CustomerRead) -> Read:
    """Ask Stripe, outside of any unit of work. Raises `UpstreamFailed`."""
    state = gateway.customer_state(reading.customer_id)
    current = current_subscription(state)
    bill = gateway.next_bill(current) if current and not current.is_ending else None
    return Read(reading, state, bill)


def follow(found: Read, free: Plan) -> BillingAccount | None:
    """Have the org's plan, quota and invoices be what was found; return the account as it is now.

    Nothing happens where a later reading was kept already, or the customer was replaced. An org
    whose subscription is over has the free plan; one that never had any keeps what it had. Needs
    a unit of work that writes.
    """
    reading = found.reading
    account = find_account_for_update(reading.org_id)
    if account is None or account.customer_id != reading.customer_id:
        return None
    if account.reading_kept >= reading.number:
        return account
    org = (
        session()
        .scalars(
            select(Org).where(Org.id == account.org_id).execution_options(populate_existing=True)
        )
        .one()
    )
    before = _shown(account, org)
    account.reading_kept, account.read_at = reading.number, now()
    if found.state.is_deleted:
        account.customer_id = None
    current = current_subscription(found.state)
    if current is not None:
        _subscribe(account, org, current, found.next_bill)
    elif account.subscription_id is not None:
        _unsubscribe(account, org, found.state, free)
    _keep_invoices(org, found.state)
    after = _shown(account, org)
    if before != after:
        record_audit(org.id, actor=ACTOR, action="billing.plan", before=before, after=after)
    session().flush()
    return account


def refresh(database: Database, gateway: StripeGateway, org_id: int, free: Plan) -> None:
    """Read an org's account anew and follow it, in units of work of its own.

    Raises `UpstreamFailed`.
    """
    with database.unit_of_work():
        account = session().get(BillingAccount, org_id)
        if account is None or account.customer_id is None:
            return
        reading = begin_reading(account)
    found = read(gateway, reading)
    with database.unit_of_work():
        follow(found, free)


def current_subscription(state: CustomerState) -> Subscription | None:
    """Return the subscription that gives the plan: of several the latest; None where none does."""
    giving = [each for each in state.subscriptions if each.status in GIVING and each.plan]
    if len(giving) > 1:
        log.warning("a customer pays for %d subscriptions at once: %s", len(giving), giving[0].id)
    return max(giving, key=lambda each: (each.created_at, each.id), default=None)


def plan_in_force(account: BillingAccount | None, *, is_billed: bool, free_metrics: int) -> Plan:
    """Return the plan that an org has: what it pays for, else the free one.

    Where nobody is billed at all, everybody hosts the product themselves.
    """
    if not is_billed:
        return SELF_HOSTED
    return plan_of(account) or free_plan(free_metrics)


def plan_of(account: BillingAccount | None) -> Plan | None:
    """Return the plan that an org pays for; None where it pays for none."""
    return Plan.from_fields(account.plan) if account and account.plan else None


def _subscribe(
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
        account.told_debt = Debt.NONE
    # The checkout that was open is finished; the next request is a new one.
    finish_intent(org.id, CHECKOUT)


def _unsubscribe(account: BillingAccount, org: Org, state: CustomerState, free: Plan) -> None:
    last = next((each for each in state.subscriptions if each.id == account.subscription_id), None)
    account.subscription_id = None
    account.status = last.status if last else NO_SUBSCRIPTION
    account.plan = account.next_plan_id = account.period_end = None
    account.next_bill_at = account.next_bill_amount = account.next_bill_currency = None
    account.is_ending = False
    account.told_debt = Debt.NONE
    org.metric_quota, org.overdue_since = free.metric_quota, None


def _keep_invoices(org: Org, state: CustomerState) -> None:
    for found in state.invoices:
        # Another org's invoice is never taken over, whatever the customer's list says.
        kept = session().get(BillingInvoice, found.id)
        if kept is None:
            kept = BillingInvoice(id=found.id, org_id=org.id)
            session().add(kept)
        elif kept.org_id != org.id:
            continue
        kept.number, kept.status = found.number, found.status
        kept.amount, kept.currency = found.amount, found.currency
        kept.made_at, kept.pdf_url = found.made_at, found.pdf_url


def _shown(account: BillingAccount, org: Org) -> dict[str, Any]:
    """Return what the audit trail tells of an account."""
    return {
        "plan": account.plan["id"] if account.plan else None,
        "status": account.status,
        "next_plan": account.next_plan_id,
        "is_ending": account.is_ending,
        "metric_quota": org.metric_quota,
        "overdue_since": org.overdue_since,
    }

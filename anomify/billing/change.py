"""Change the plan of an org that pays: to a larger one now, to a smaller one at the period end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from anomify.audit.recording import record_audit
from anomify.billing.account import (
    CHANGE,
    apply_read,
    begin_read,
    current_subscription,
    read_customer,
    refresh,
)
from anomify.billing.checkout import finishing_failed_intent
from anomify.billing.customer import Bill, Subscription
from anomify.billing.intent import begin_intent, finish_intent
from anomify.billing.plans import FREE_ID, Plan, allows_more
from anomify.billing.queries import find_account
from anomify.billing.stripe_gateway import StripeGateway
from anomify.clock import datetime_from_timestamp, now
from anomify.db import Database
from anomify.errors import Conflict, Invalid
from anomify.org.model import Org

# How long a price that was shown is valid.
PRICE_HOLDS = timedelta(hours=1)


class Effect(StrEnum):
    """When a change takes effect."""

    NOW = "now"
    PERIOD_END = "period_end"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of plan: when it takes effect and what is due now."""

    plan: Plan
    effect: Effect
    effective_at: datetime
    due_now: Bill
    # With this moment the change itself costs exactly the price that was shown.
    priced_at: datetime


def change_plan(
    database: Database,
    gateway: StripeGateway,
    org: Org,
    plan_id: str,
    *,
    free: Plan,
    actor: str,
    priced_timestamp: int | None,
    dry_run: bool,
) -> Change:
    """Change the org's plan, and return the change; with `dry_run` only return it.

    A larger plan begins now, and its price is in proportion to the rest of the period. A smaller
    one begins when the period ends; so does the free one, which ends the subscription. Changing
    to the current plan cancels a change that is scheduled. Raises `Conflict` if there is nothing
    to change, `PaymentRefused`, then nothing was changed, and `UpstreamFailed`. Opens units of
    work of its own.
    """
    current = _current(database, gateway, org, free)
    plan = free if plan_id == FREE_ID else gateway.plans.get(plan_id)
    _check_changes(current, plan)
    change = _planned_change(gateway, org, current, plan, priced_timestamp, database)
    if dry_run:
        return change
    with database.unit_of_work():
        # The current state is a part of the key: a change and its reversal are two requests.
        intent = begin_intent(org.id, CHANGE, current, plan.id, change.priced_at)
    with finishing_failed_intent(database, org.id, CHANGE):
        _apply_change(gateway, intent.key, current, change)
    with database.unit_of_work():
        finish_intent(org.id, CHANGE)
        record_audit(
            org.id,
            actor=actor,
            action="billing.change",
            before={"plan": current.price_id},
            after={"plan": plan.id, "effective": change.effect.value},
        )
    refresh(database, gateway, org.id, free)
    return change


def _current(database: Database, gateway: StripeGateway, org: Org, free: Plan) -> Subscription:
    """Return the subscription as just read from Stripe; the stored one may be outdated."""
    with database.unit_of_work():
        account = find_account(org)
        read = begin_read(account) if account and account.customer_id else None
    current = None
    if read is not None:
        found = read_customer(gateway, read)
        with database.unit_of_work():
            apply_read(found, free)
        current = current_subscription(found.state)
    if current is None:
        raise Conflict(
            "Your org pays for no plan yet; open /billing/getcheckoutsession first.",
            code="no_subscription",
        )
    return current


def _check_changes(current: Subscription, plan: Plan) -> None:
    is_settled = not current.is_ending and current.next_price_id is None
    if plan.id == current.price_id and is_settled:
        raise Conflict("Your org has this plan already.", code="already_on_plan")
    if plan.id == FREE_ID and current.is_ending:
        raise Conflict(
            "The subscription ends at the end of the period already.", code="already_ending"
        )
    if plan.id == current.next_price_id:
        raise Conflict(
            "A change to this plan at the end of the period is scheduled already.",
            code="already_on_plan",
        )
    if current.plan and plan.currency and plan.currency != current.plan.currency:
        raise Conflict(
            "The currency of a subscription cannot change; end this one, then choose another.",
            code="other_currency",
        )


def _planned_change(
    gateway: StripeGateway,
    org: Org,
    current: Subscription,
    plan: Plan,
    priced_timestamp: int | None,
    database: Database,
) -> Change:
    moment = now().replace(microsecond=0)
    priced_at = moment if priced_timestamp is None else datetime_from_timestamp(priced_timestamp)
    if not moment - PRICE_HOLDS <= priced_at <= moment:
        raise Invalid(
            "A price is valid for an hour; request it again with dry_run.",
            fields={"priced_timestamp": "The priced_timestamp of a dry run less than an hour ago."},
        )
    at = max(priced_at, current.period_start)
    currency = (current.plan.currency if current.plan else None) or plan.currency or ""
    nothing = Bill(0, currency)
    if plan.id == current.price_id:
        return Change(plan, Effect.NOW, moment, nothing, at)
    if current.plan is None or not allows_more(plan, current.plan) or plan.id == FREE_ID:
        return Change(plan, Effect.PERIOD_END, current.period_end, nothing, at)
    if current.overdue_since is not None:
        raise Conflict(
            "A bill is overdue; pay it in the billing portal, then choose a larger plan.",
            code="overdue",
        )
    with database.unit_of_work(write=False):
        account = find_account(org)
        customer_id = (account.customer_id if account else None) or ""
    bill = gateway.preview_change(customer_id, current, plan.id, at)
    return Change(plan, Effect.NOW, moment, bill, at)


def _apply_change(gateway: StripeGateway, key: str, current: Subscription, change: Change) -> None:
    plan = change.plan
    if current.schedule_id is not None:
        gateway.release_schedule(f"{key}:release", current.schedule_id)
    if plan.id == FREE_ID:
        gateway.set_ending(key, current, is_ending=True)
    elif change.effect is Effect.NOW and plan.id != current.price_id:
        # This also clears the end of a subscription that was to end.
        gateway.change_now(key, current, plan.id, change.priced_at)
    else:
        if current.is_ending:
            gateway.set_ending(f"{key}:resume", current, is_ending=False)
        if plan.id != current.price_id:
            gateway.change_at_period_end(key, current, plan)

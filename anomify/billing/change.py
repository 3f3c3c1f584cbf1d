"""Another plan for those who pay already: more at once, less or nothing when the period ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from anomify.audit.recording import record_audit
from anomify.billing.account import (
    CHANGE,
    begin_reading,
    current_subscription,
    follow,
    read,
    refresh,
)
from anomify.billing.checkout import settling
from anomify.billing.customer import Bill, Subscription
from anomify.billing.intent import begin_intent, finish_intent
from anomify.billing.plans import FREE_ID, Plan, allows_more
from anomify.billing.queries import find_account
from anomify.billing.stripe_gateway import StripeGateway
from anomify.clock import datetime_from_timestamp, now
from anomify.db import Database
from anomify.errors import Conflict, Invalid
from anomify.org.model import Org

# A price that was shown holds for so long.
PRICE_HOLDS = timedelta(hours=1)


class Effect(StrEnum):
    """When a change takes effect."""

    NOW = "now"
    PERIOD_END = "period_end"


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of plan is, and what it costs at once."""

    plan: Plan
    effect: Effect
    effective_at: datetime
    due_now: Bill
    # Give this back with the change itself, and it costs exactly what was shown.
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
    """Have the org's plan become another one, or say with `dry_run` what that would be.

    A plan with more room begins now, its price in proportion to the rest of the period; one with
    less begins when the period ends, and so does the free one, which ends the subscription. The
    plan that the org has takes back what was to change. Raises `Conflict` where there is nothing
    to change, `PaymentRefused` with nothing changed, and `UpstreamFailed`. Opens units of its own.
    """
    current = _current(database, gateway, org, free)
    plan = free if plan_id == FREE_ID else gateway.plans.get(plan_id)
    _check_changes(current, plan)
    change = _foreseen(gateway, org, current, plan, priced_timestamp, database)
    if dry_run:
        return change
    with database.unit_of_work():
        # The current state is a part of the key: a change and its reversal are two requests.
        intent = begin_intent(org.id, CHANGE, current, plan.id, change.priced_at)
    with settling(database, org.id, CHANGE):
        _carry_out(gateway, intent.key, current, change)
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
    """Read the subscription as it is now; what was kept of it may be a moment old."""
    with database.unit_of_work():
        account = find_account(org)
        reading = begin_reading(account) if account and account.customer_id else None
    current = None
    if reading is not None:
        found = read(gateway, reading)
        with database.unit_of_work():
            follow(found, free)
        current = current_subscription(found.state)
    if current is None:
        raise Conflict(
            "Your org pays for no plan yet; /billing/getcheckoutsession is where that begins.",
            code="no_subscription",
        )
    return current


def _check_changes(current: Subscription, plan: Plan) -> None:
    is_settled = not current.is_ending and current.next_price_id is None
    if plan.id == current.price_id and is_settled:
        raise Conflict("Your org has this plan already.", code="already_on_plan")
    if plan.id == FREE_ID and current.is_ending:
        raise Conflict("The subscription ends with its period already.", code="already_ending")
    if plan.id == current.next_price_id:
        raise Conflict("This plan begins when the period ends already.", code="already_on_plan")
    if current.plan and plan.currency and plan.currency != current.plan.currency:
        raise Conflict(
            "A subscription keeps its currency; end this one first and then take the other plan.",
            code="other_currency",
        )


def _foreseen(
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
            "A price holds for an hour; ask for it again.",
            fields={"priced_timestamp": "What a dry run less than an hour ago gave."},
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
            "A bill is overdue; pay it in the billing portal, and then take a larger plan.",
            code="overdue",
        )
    with database.unit_of_work(write=False):
        account = find_account(org)
        customer_id = (account.customer_id if account else None) or ""
    bill = gateway.preview_change(customer_id, current, plan.id, at)
    return Change(plan, Effect.NOW, moment, bill, at)


def _carry_out(gateway: StripeGateway, key: str, current: Subscription, change: Change) -> None:
    plan = change.plan
    if current.schedule_id is not None:
        gateway.release_schedule(f"{key}:release", current.schedule_id)
    if plan.id == FREE_ID:
        gateway.set_ending(key, current, is_ending=True)
    elif change.effect is Effect.NOW and plan.id != current.price_id:
        # Goes on after all, too.
        gateway.change_now(key, current, plan.id, change.priced_at)
    else:
        if current.is_ending:
            gateway.set_ending(f"{key}:resume", current, is_ending=False)
        if plan.id != current.price_id:
            gateway.change_at_period_end(key, current, plan)

"""/billing: what the org pays for, and how that is changed.

Amounts of money are whole numbers of the currency's smallest unit: 4900 with eur is 49.00 euros.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from anomify.auth.subject import UserSubject, subject
from anomify.billing.account import plan_in_force
from anomify.billing.change import change_plan
from anomify.billing.checkout import open_checkout, open_portal, require_gateway
from anomify.billing.model import BillingAccount
from anomify.billing.plans import SELF_HOSTED, Plan, free_plan, metrics_over
from anomify.billing.queries import find_account, list_invoices
from anomify.billing.stripe_gateway import StripeGateway, gateway_of
from anomify.clock import to_timestamp
from anomify.edge.access import ADMIN, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.transaction import transaction
from anomify.metric.quota import quota_of
from anomify.native.envelope import NativeBlueprint
from anomify.org.model import Org

blueprint = NativeBlueprint("billing", __name__)

PATH_CHARACTERS_MAX = 500
PLAN_CHARACTERS_MAX = 255
INVOICES_MAX = 100


# No scheme and no host, and no backslash, which some browsers take for a slash.
_LOCAL = re.compile(r"/(?!/)[A-Za-z0-9/_.~?&=%#,;:@!+*-]*")
_PLAN = re.compile(r"[A-Za-z0-9_-]+")


def _local(path: str) -> str:
    """Let through what can only be a page of ours: nobody is sent elsewhere after paying."""
    if not _LOCAL.fullmatch(path):
        raise ValueError("A path of this server is needed, such as /ui/.")
    return path


def _plan(plan_id: str) -> str:
    if not _PLAN.fullmatch(plan_id):
        raise ValueError("The id of a plan that /billing/plans lists.")
    return plan_id


PlanId = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=PLAN_CHARACTERS_MAX),
    AfterValidator(_plan),
]
LocalPath = Annotated[
    str, StringConstraints(max_length=PATH_CHARACTERS_MAX), AfterValidator(_local)
]


class PlanOut(Outputs):
    """A plan."""

    id: str = Field(description="What /billing/getcheckoutsession and /billing/change take.")
    name: str = Field(description="What people call it.")
    metric_quota: int | None = Field(description="So many metrics; null for no limit.")
    amount: int = Field(description="The price per interval, in the currency's smallest unit.")
    currency: str | None = Field(description="Three letters, such as eur; null for what is free.")
    interval: str | None = Field(description="month or year; null for what is never billed.")


class OwnPlanOut(PlanOut):
    """The org's plan, and what will become of it."""

    status: str = Field(
        description="none without a subscription; else the payment provider's word, such as active,"
        " trialing, past_due or canceled."
    )
    period_end_timestamp: int | None = Field(
        description="When what is paid for is over; null without a subscription."
    )
    ends_at_period_end: bool = Field(
        description="True when the subscription was cancelled, and the free plan follows it."
    )
    next_plan_id: str | None = Field(description="The plan that follows at the end of the period.")


class InvoiceOut(Outputs):
    """An invoice."""

    id: str = Field(description="The payment provider's id of it.")
    number: str | None = Field(description="What is printed on it.")
    date: int = Field(description="When it was made, unix seconds.")
    amount: int = Field(description="The total, in the currency's smallest unit.")
    currency: str = Field(description="Three letters, such as eur.")
    status: str = Field(description="open, paid, uncollectible or void.")
    pdf_url: str | None = Field(description="Where the invoice can be downloaded.")


class NextBillOut(Outputs):
    """The bill that comes next."""

    date: int = Field(description="When, unix seconds.")
    amount: int = Field(description="How much, in the currency's smallest unit.")
    currency: str = Field(description="Three letters, such as eur.")


class HistoryIn(Inputs):
    """Which invoices."""

    limit: Annotated[int, Field(ge=1, le=INVOICES_MAX)] = Field(20, description="At most so many.")
    offset: Annotated[int, Field(ge=0)] = Field(0, description="After so many others.")


class HistoryOut(Outputs):
    """What was billed, and what will be."""

    invoices: list[InvoiceOut] = Field(description="The latest first.")
    total: int = Field(description="How many there are.")
    plan: OwnPlanOut = Field(description="The org's plan now.")
    next_bill: NextBillOut | None = Field(description="Null where none will come.")


class PlansOut(Outputs):
    """What there is to choose from."""

    plans: list[PlanOut] = Field(description="The smallest first; without billing only one.")
    plan_id: str = Field(description="The one that the org has.")
    metrics_used: int = Field(description="How many metrics count against its limit now.")


class CheckoutIn(Inputs):
    """Which plan, and where to come back to."""

    plan_id: PlanId = Field(description="One of /billing/plans.", json_schema_extra=names(None))
    success_url: LocalPath = Field(
        "/ui/", description="The path of this server to go on with once it is paid."
    )
    cancel_url: LocalPath = Field(
        "/ui/", description="The path of this server to go on with when it is not."
    )


class CheckoutOut(Outputs):
    """A page where the plan can be paid for."""

    session_id: str = Field(description="The payment provider's id of it.")
    url: str = Field(description="Send the browser there.")


class PortalIn(Inputs):
    """Where to come back to."""

    return_url: LocalPath = Field("/ui/", description="The path of this server to go on with.")


class PortalOut(Outputs):
    """A page where cards and invoices are seen to."""

    url: str = Field(description="Send the browser there within minutes.")


class ChangeIn(Inputs):
    """Which plan instead of the present one."""

    plan_id: PlanId = Field(
        json_schema_extra=names(None),
        description="One of /billing/plans; free ends the subscription, and the plan that the org"
        " has takes back what was to happen at the end of the period.",
    )
    dry_run: bool = Field(
        default=True, description="Only say what would happen and what it would cost."
    )
    priced_timestamp: Annotated[int, Field(ge=0, le=4_102_444_800)] | None = Field(
        None, description="What the dry run gave: then it costs what the dry run said."
    )


class ChangeOut(Outputs):
    """What a change of plan does, or would do."""

    plan: PlanOut = Field(description="The plan that follows.")
    dry_run: bool = Field(description="True if nothing was changed.")
    effective: str = Field(description="now, or period_end.")
    effective_timestamp: int = Field(description="When, unix seconds.")
    amount_due_now: int = Field(description="What is collected at once, in the smallest unit.")
    currency: str = Field(description="Three letters, such as eur.")
    priced_timestamp: int = Field(description="Give it back with the change itself.")
    metrics_over: int = Field(
        description="So many metrics more than the plan has room for: they go on, and no new ones"
        " are taken until there is room."
    )


@blueprint.route(
    "/billing/plans",
    inputs=Inputs,
    outputs=PlansOut,
    access=VIEWER,
    has_own_transactions=True,
    errors=(502,),
)
def plans(inputs: Inputs) -> PlansOut:
    """List the plans that the org can choose from."""
    del inputs
    org = subject().org
    gateway = _gateway()
    # Asked before the database is: nothing waits for Stripe with a transaction open.
    listed = [_free(), *gateway.plans.listed()] if gateway else [SELF_HOSTED]
    with transaction(write=False):
        own, quota = _own_plan(find_account(org)), quota_of(org.id)
    return PlansOut(
        plans=[PlanOut(**plan.as_fields()) for plan in listed],
        plan_id=own.id,
        metrics_used=quota.used,
    )


@blueprint.route("/billing/history", inputs=HistoryIn, outputs=HistoryOut, access=ADMIN)
def history(inputs: HistoryIn) -> HistoryOut:
    """List the org's invoices, its plan and its next bill.

    Without billing the list is empty, and the plan is self-hosted and has no limit.
    """
    org = subject().org
    account = find_account(org)
    page = list_invoices(org, limit=inputs.limit, offset=inputs.offset)
    return HistoryOut(
        invoices=[
            InvoiceOut(
                id=invoice.id,
                number=invoice.number,
                date=to_timestamp(invoice.made_at),
                amount=invoice.amount,
                currency=invoice.currency,
                status=invoice.status,
                pdf_url=invoice.pdf_url,
            )
            for invoice in page.items
        ],
        total=page.total,
        plan=_own_plan_out(org, account),
        next_bill=_next_bill_out(account),
    )


@blueprint.route(
    "/billing/getcheckoutsession",
    inputs=CheckoutIn,
    outputs=CheckoutOut,
    access=ADMIN,
    changes=True,
    has_own_transactions=True,
    errors=(402, 409, 502),
)
def getcheckoutsession(inputs: CheckoutIn) -> CheckoutOut:
    """Open a page where the org can begin to pay for a plan.

    The plan is the org's once the payment provider says that it is paid, moments after. An org
    that pays already changes its plan with /billing/change.
    """
    caller = subject()
    base = app_state().settings.base_url
    page = open_checkout(
        app_state().database,
        require_gateway(_gateway()),
        caller.org,
        inputs.plan_id,
        success_url=base + inputs.success_url,
        cancel_url=base + inputs.cancel_url,
        free=_free(),
        actor=caller.label,
        email=caller.user.email if isinstance(caller, UserSubject) else None,
    )
    return CheckoutOut(session_id=page.id, url=page.url)


@blueprint.route(
    "/billing/getportalsession",
    inputs=PortalIn,
    outputs=PortalOut,
    access=ADMIN,
    changes=True,
    has_own_transactions=True,
    errors=(404, 409, 502),
)
def getportalsession(inputs: PortalIn) -> PortalOut:
    """Open the page where the org changes its card, pays what is open and finds its invoices."""
    caller = subject()
    page = open_portal(
        app_state().database,
        require_gateway(_gateway()),
        caller.org,
        return_url=app_state().settings.base_url + inputs.return_url,
        actor=caller.label,
    )
    return PortalOut(url=page.url)


@blueprint.route(
    "/billing/change",
    inputs=ChangeIn,
    outputs=ChangeOut,
    access=ADMIN,
    changes=True,
    has_own_transactions=True,
    errors=(402, 409, 502),
)
def change(inputs: ChangeIn) -> ChangeOut:
    """Take another plan, or say what that would mean and cost.

    A plan for more metrics begins at once, and the rest of the period is paid in proportion. A
    smaller one, and the free one, begin when what is paid for is over. No metric is deleted.
    """
    caller = subject()
    found = change_plan(
        app_state().database,
        require_gateway(_gateway()),
        caller.org,
        inputs.plan_id,
        free=_free(),
        actor=caller.label,
        priced_timestamp=inputs.priced_timestamp,
        dry_run=inputs.dry_run,
    )
    with transaction(write=False):
        used = quota_of(caller.org.id).used
    return ChangeOut(
        plan=PlanOut(**found.plan.as_fields()),
        dry_run=inputs.dry_run,
        effective=found.effect,
        effective_timestamp=to_timestamp(found.effective_at),
        amount_due_now=found.due_now.amount,
        currency=found.due_now.currency,
        priced_timestamp=to_timestamp(found.priced_at),
        metrics_over=metrics_over(found.plan, used),
    )


def _gateway() -> StripeGateway | None:
    return gateway_of(app_state().settings)


def _free() -> Plan:
    return free_plan(app_state().settings.free_metrics)


def _own_plan(account: BillingAccount | None) -> Plan:
    return plan_in_force(
        account,
        is_billed=_gateway() is not None,
        free_metrics=app_state().settings.free_metrics,
    )


def _own_plan_out(org: Org, account: BillingAccount | None) -> OwnPlanOut:
    paid = account if account and account.plan else None
    # What holds for this org: who was here before anybody was billed may have more.
    return OwnPlanOut(
        **{**_own_plan(account).as_fields(), "metric_quota": org.metric_quota},
        status=account.status if account else "none",
        period_end_timestamp=(to_timestamp(paid.period_end) if paid and paid.period_end else None),
        ends_at_period_end=bool(paid and paid.is_ending),
        next_plan_id=paid.next_plan_id if paid else None,
    )


def _next_bill_out(account: BillingAccount | None) -> NextBillOut | None:
    if account is None or account.next_bill_at is None or account.next_bill_amount is None:
        return None
    return NextBillOut(
        date=to_timestamp(account.next_bill_at),
        amount=account.next_bill_amount,
        currency=account.next_bill_currency or "",
    )

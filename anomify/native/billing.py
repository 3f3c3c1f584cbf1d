"""/billing: the plan of the org, its invoices, checkout and changes of the plan.

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


# A path without scheme and host, and without backslashes, which some browsers read as slashes.
_LOCAL = re.compile(r"/(?!/)[A-Za-z0-9/_.~?&=%#,;:@!+*-]*")
_PLAN = re.compile(r"[A-Za-z0-9_-]+")


def _local(path: str) -> str:
    """Return the path. Raises ValueError unless it is a page of this server."""
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

    id: str = Field(description="The plan_id for /billing/getcheckoutsession and /billing/change.")
    name: str = Field(description="Its name for people.")
    metric_quota: int | None = Field(description="The number of metrics; null for no limit.")
    amount: int = Field(description="The price per interval, in the currency's smallest unit.")
    currency: str | None = Field(description="Three letters, such as eur; null for a free plan.")
    interval: str | None = Field(description="month or year; null for a free plan.")


class OwnPlanOut(PlanOut):
    """The org's plan, and how it will change."""

    status: str = Field(
        description="none without a subscription; else that of the payment provider, such as"
        " active, trialing, past_due or canceled."
    )
    period_end_timestamp: int | None = Field(
        description="When the paid period ends; null without a subscription."
    )
    ends_at_period_end: bool = Field(
        description="True when the subscription was cancelled, and the free plan follows it."
    )
    next_plan_id: str | None = Field(description="The plan that follows at the end of the period.")


class InvoiceOut(Outputs):
    """An invoice."""

    id: str = Field(description="The payment provider's id of it.")
    number: str | None = Field(description="The number printed on it.")
    date: int = Field(description="When it was made, unix seconds.")
    amount: int = Field(description="The total, in the currency's smallest unit.")
    currency: str = Field(description="Three letters, such as eur.")
    status: str = Field(description="open, paid, uncollectible or void.")
    pdf_url: str | None = Field(description="Where the invoice can be downloaded.")


class NextBillOut(Outputs):
    """The next bill."""

    date: int = Field(description="When, unix seconds.")
    amount: int = Field(description="How much, in the currency's smallest unit.")
    currency: str = Field(description="Three letters, such as eur.")


class HistoryIn(Inputs):
    """Which invoices."""

    limit: Annotated[int, Field(ge=1, le=INVOICES_MAX)] = Field(20, description="At most so many.")
    offset: Annotated[int, Field(ge=0)] = Field(0, description="After so many others.")


class HistoryOut(Outputs):
    """Invoices and the next bill."""

    invoices: list[InvoiceOut] = Field(description="The latest first.")
    total: int = Field(description="How many there are.")
    plan: OwnPlanOut = Field(description="The org's plan now.")
    next_bill: NextBillOut | None = Field(description="Null if there will be none.")


class PlansOut(Outputs):
    """The plans for sale."""

    plans: list[PlanOut] = Field(description="The smallest first; without billing only one.")
    plan_id: str = Field(description="The plan of the org.")
    metrics_used: int = Field(description="How many metrics count against its limit now.")


class CheckoutIn(Inputs):
    """The plan, and the pages to return to."""

    plan_id: PlanId = Field(description="One of /billing/plans.", json_schema_extra=names(None))
    success_url: LocalPath = Field(
        "/ui/", description="The path on this server to return to after the payment."
    )
    cancel_url: LocalPath = Field(
        "/ui/", description="The path on this server to return to without a payment."
    )


class CheckoutOut(Outputs):
    """A page where the plan can be paid for."""

    session_id: str = Field(description="The payment provider's id of it.")
    url: str = Field(description="Redirect the browser there.")


class PortalIn(Inputs):
    """The page to return to."""

    return_url: LocalPath = Field("/ui/", description="The path on this server to return to.")


class PortalOut(Outputs):
    """A billing portal page for cards and invoices."""

    url: str = Field(description="Redirect the browser there within minutes.")


class ChangeIn(Inputs):
    """The new plan."""

    plan_id: PlanId = Field(
        json_schema_extra=names(None),
        description="One of /billing/plans; free ends the subscription, and the plan that the org"
        " has takes back what was to happen at the end of the period.",
    )
    dry_run: bool = Field(
        default=True, description="Only return what would change and what it would cost."
    )
    priced_timestamp: Annotated[int, Field(ge=0, le=4_102_444_800)] | None = Field(
        None, description="The value of a dry run, to pay the price that it returned."
    )


class ChangeOut(Outputs):
    """What a change of plan does, or would do."""

    plan: PlanOut = Field(description="The plan that follows.")
    dry_run: bool = Field(description="True if nothing was changed.")
    effective: str = Field(description="now, or period_end.")
    effective_timestamp: int = Field(description="When, unix seconds.")
    amount_due_now: int = Field(
        description="The amount that is charged at once, in the smallest unit."
    )
    currency: str = Field(description="Three letters, such as eur.")
    priced_timestamp: int = Field(description="Send it with the change itself.")
    metrics_over: int = Field(
        description="So many metrics more than the plan allows: they go on, and no new ones"
        " are accepted until there are fewer."
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
    # Called outside of a transaction, so that none is open while Stripe answers.
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
    """Open a checkout page where the org can pay for a plan.

    The org has the plan when the payment provider has confirmed the payment, moments later. An org
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
    """Open the billing portal, where the org changes its card and pays open bills."""
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
    """Change the plan, or return what the change would mean and cost.

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
    # The quota of this org, which may differ from that of its plan.
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

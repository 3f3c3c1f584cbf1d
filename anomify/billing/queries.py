"""Every SELECT about billing, the org first."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select

from anomify.billing.model import BillingAccount, BillingEvent, BillingIntent, BillingInvoice
from anomify.db import Page, session
from anomify.org.model import Org


def find_account(org: Org) -> BillingAccount | None:
    """Return the org's account; None for one that has never been a customer."""
    return session().get(BillingAccount, org.id)


def find_account_for_update(org_id: int) -> BillingAccount | None:
    """Return the account, read from the database and locked until the unit of work ends."""
    rows = (
        select(BillingAccount)
        .where(BillingAccount.org_id == org_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session().scalar(rows)


def find_account_of_customer(customer_id: str) -> BillingAccount | None:
    """Return the account of a customer of Stripe's; None if no org is this customer."""
    return session().scalar(select(BillingAccount).where(BillingAccount.customer_id == customer_id))


def find_intent(org_id: int, action: str) -> BillingIntent | None:
    """Return the org's intent for an action, locked until the unit of work ends."""
    rows = (
        select(BillingIntent)
        .where(BillingIntent.org_id == org_id, BillingIntent.action == action)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session().scalar(rows)


def is_event_processed(event_id: str) -> bool:
    """Return whether a webhook event was processed already."""
    return session().get(BillingEvent, event_id) is not None


def list_invoices(org: Org, *, limit: int, offset: int) -> Page[BillingInvoice]:
    """Return the org's invoices, the latest first."""
    mine = BillingInvoice.org_id == org.id
    total = session().scalar(select(func.count()).select_from(BillingInvoice).where(mine)) or 0
    rows = (
        select(BillingInvoice)
        .where(mine)
        .order_by(BillingInvoice.made_at.desc(), BillingInvoice.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return Page(list(session().scalars(rows)), total)


def list_accounts_unread_since(
    moment: datetime, limit: int, but: Iterable[int] = ()
) -> list[BillingAccount]:
    """Return accounts of any org whose customer was last read before `moment`, oldest first.

    Orgs whose ids are in `but` are left out.
    """
    rows = (
        select(BillingAccount)
        .where(
            BillingAccount.customer_id.is_not(None),
            BillingAccount.read_at.is_(None) | (BillingAccount.read_at < moment),
            BillingAccount.org_id.not_in(list(but)),
        )
        .order_by(BillingAccount.read_at.nulls_first(), BillingAccount.org_id)
        .limit(limit)
    )
    return list(session().scalars(rows))


def list_overdue_orgs(limit: int, after_id: int = 0) -> list[int]:
    """Return ids of orgs with an overdue bill, in order, after `after_id`; for the worker only."""
    rows = (
        select(Org.id)
        .where(Org.overdue_since.is_not(None), Org.id > after_id)
        .order_by(Org.id)
        .limit(limit)
    )
    return list(session().scalars(rows))

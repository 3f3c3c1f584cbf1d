"""The rows of billing: the state of each customer as last read from Stripe."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from anomify.billing.debt import Debt
from anomify.db import Base, UtcDateTime

# The longest id of Stripe.
ID_CHARACTERS_MAX = 255
NO_SUBSCRIPTION = "none"


class BillingAccount(Base):
    """An org as a customer of Stripe, with its subscription as last read."""

    __tablename__ = "billing_accounts"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    customer_id: Mapped[str | None] = mapped_column(
        String(ID_CHARACTERS_MAX), unique=True, default=None
    )
    # Reads are numbered when they begin; the result of an earlier one never overwrites a later one.
    reading_begun: Mapped[int] = mapped_column(default=0)
    reading_kept: Mapped[int] = mapped_column(default=0)
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    subscription_id: Mapped[str | None] = mapped_column(String(ID_CHARACTERS_MAX), default=None)
    # The status of the subscription, as Stripe names it.
    status: Mapped[str] = mapped_column(String(32), default=NO_SUBSCRIPTION)
    # The plan as it was sold; an org keeps it after its price was withdrawn from sale.
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    # The plan after the current period, if a change is scheduled.
    next_plan_id: Mapped[str | None] = mapped_column(String(ID_CHARACTERS_MAX), default=None)
    period_end: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    is_ending: Mapped[bool] = mapped_column(default=False)
    next_bill_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # In the currency's smallest unit.
    next_bill_amount: Mapped[int | None] = mapped_column(BigInteger, default=None)
    next_bill_currency: Mapped[str | None] = mapped_column(String(3), default=None)
    # The most severe state that the org's admins got a letter about since the last payment.
    mailed_debt: Mapped[str] = mapped_column("told_debt", String(16), default=Debt.NONE)


class BillingIntent(Base):
    """An intended action at Stripe, so that a repeated request does it once."""

    __tablename__ = "billing_intents"

    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True)
    action: Mapped[str] = mapped_column(String(32), primary_key=True)
    # A hash of everything that the action is about.
    about: Mapped[str] = mapped_column(String(64))
    nonce: Mapped[str] = mapped_column(String(32))
    begun_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The id of Stripe's result.
    result_id: Mapped[str | None] = mapped_column(String(ID_CHARACTERS_MAX), default=None)


class BillingInvoice(Base):
    """An invoice as last read."""

    __tablename__ = "billing_invoices"
    __table_args__ = (Index("ix_billing_invoices_org_id", "org_id", "made_at"),)

    id: Mapped[str] = mapped_column(String(ID_CHARACTERS_MAX), primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    number: Mapped[str | None] = mapped_column(String(ID_CHARACTERS_MAX), default=None)
    status: Mapped[str] = mapped_column(String(32))
    # In the currency's smallest unit.
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    pdf_url: Mapped[str | None] = mapped_column(Text, default=None)


class BillingEvent(Base):
    """A webhook event of Stripe that was processed, so that it is processed once."""

    __tablename__ = "billing_events"
    __table_args__ = (Index("ix_billing_events_taken_at", "taken_at"),)

    id: Mapped[str] = mapped_column(String(ID_CHARACTERS_MAX), primary_key=True)
    type: Mapped[str] = mapped_column(String(100))
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    taken_at: Mapped[datetime] = mapped_column(UtcDateTime)

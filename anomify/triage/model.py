"""Tables of triage: the state of each anomaly, its assignees and comments, and its history."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import LISTS_USERS, Base, UtcDateTime

ACTOR_CHARACTERS_MAX = 200


class Triage(Base):
    """What people did about an anomaly, beside its status; made with the first change."""

    __tablename__ = "triages"
    __table_args__ = (
        Index("ix_triages_org_id_snoozed_until", "org_id", "snoozed_until"),
        Index("ix_triages_duplicate_of_id", "duplicate_of_id"),
    )

    anomaly_id: Mapped[int] = mapped_column(
        ForeignKey("anomalies.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # Who acknowledged it, as long as that is its status. The user's id is no foreign key: the name
    # stays when the user is deleted, and ids are never used again.
    acknowledged_by: Mapped[str | None] = mapped_column(String(ACTOR_CHARACTERS_MAX), default=None)
    acknowledged_by_id: Mapped[int | None] = mapped_column(default=None)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Until when it is hidden, unless its severity is above the one that it had then.
    snoozed_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    snoozed_severity: Mapped[str | None] = mapped_column(String(8), default=None)
    # The anomaly that it is a duplicate of; empty if that was not given, or is deleted.
    duplicate_of_id: Mapped[int | None] = mapped_column(
        ForeignKey("anomalies.id", ondelete="SET NULL"), default=None
    )


class Assignment(Base):
    """One user who is assigned to one anomaly."""

    __tablename__ = "anomaly_assignees"
    __table_args__ = (Index("ix_anomaly_assignees_user_id", "user_id"),)

    anomaly_id: Mapped[int] = mapped_column(
        ForeignKey("anomalies.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )


class Comment(Base):
    """A comment on an anomaly; a deleted one is kept without its text."""

    __tablename__ = "anomaly_comments"
    __table_args__ = (
        Index("ix_anomaly_comments_anomaly_id", "anomaly_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    anomaly_id: Mapped[int] = mapped_column(ForeignKey("anomalies.id", ondelete="CASCADE"))
    # Who wrote it; the id of no user for a token, and for a user who is deleted, of none any more.
    author_id: Mapped[int | None] = mapped_column(default=None)
    author: Mapped[str] = mapped_column(String(ACTOR_CHARACTERS_MAX))
    message: Mapped[str] = mapped_column(Text)
    mentioned_user_ids: Mapped[list[int]] = mapped_column(JSON, info=LISTS_USERS)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class TriageTransaction(Base):
    """A request of a person or program that changed one anomaly or several."""

    __tablename__ = "triage_transactions"
    __table_args__ = (
        Index("ix_triage_transactions_org_id", "org_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # Empty for a token.
    actor_id: Mapped[int | None] = mapped_column(default=None)
    actor: Mapped[str] = mapped_column(String(ACTOR_CHARACTERS_MAX))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class AnomalyChange(Base):
    """What one transaction changed of one anomaly."""

    __tablename__ = "anomaly_changes"
    __table_args__ = (Index("ix_anomaly_changes_anomaly_id", "anomaly_id"),)

    transaction_id: Mapped[int] = mapped_column(
        ForeignKey("triage_transactions.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    anomaly_id: Mapped[int] = mapped_column(
        ForeignKey("anomalies.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # By field: the value before and the value after.
    changeset: Mapped[dict[str, list[Any]]] = mapped_column(JSON)
    # For undoing it: who had acknowledged and snoozed the anomaly before.
    restores: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The transaction that this one undoes.
    undoes_id: Mapped[int | None] = mapped_column(default=None)

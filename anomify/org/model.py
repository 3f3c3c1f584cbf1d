"""The rows of an org: itself, its tokens, and the links that set the product up."""

import secrets
from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text, true
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime
from anomify.job.model import Job

# The onboarding states of an org, in the API as org_onboarding_status_id (spec/anomify.md 1.1).
ONBOARDING_NO_METRICS = 1
ONBOARDING_RECEIVING = 100
ONBOARDING_JUDGING = 200
ONBOARDING_LIVE = 300
ONBOARDING_NAMES = {
    ONBOARDING_NO_METRICS: "no metrics",
    ONBOARDING_RECEIVING: "metrics arriving",
    ONBOARDING_JUDGING: "analysing",
    ONBOARDING_LIVE: "live",
}


LETTER_SENT = "sent"

UUID_BYTES = 16


def new_uuid() -> str:
    """Return a random unique id of 32 characters."""
    return secrets.token_hex(UUID_BYTES)


class Org(Base):
    """A tenant."""

    __tablename__ = "orgs"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    # Signed links and others that outlive the row are bound to this value, which no other org gets,
    # not even after a backup was restored.
    uuid: Mapped[str] = mapped_column(String(2 * UUID_BYTES), unique=True, default=new_uuid)
    name: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    onboarding_status_id: Mapped[int] = mapped_column(default=ONBOARDING_NO_METRICS)
    # Empty for no limit, as on self-hosted installations.
    metric_quota: Mapped[int | None] = mapped_column(default=None)
    is_demo: Mapped[bool] = mapped_column(default=False)
    # Since when a bill is overdue; only billing writes it.
    overdue_since: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Until then anomalies are recorded and nobody is notified.
    muted_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Whether recurring anomalies become proposed patterns.
    learns_patterns: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Token(Base):
    """A token of an org, for machines; only its hash is stored."""

    __tablename__ = "tokens"
    __table_args__ = (Index("ix_tokens_org_id", "org_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    # The part that identifies the token in lists and logs; the secret part is only hashed.
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    # Comma-separated, of: ingest, read, write, admin.
    scopes: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    last_used_address: Mapped[str] = mapped_column(String(64), default="")
    # Comma-separated networks from which alone it is valid; empty for all.
    networks: Mapped[str] = mapped_column(Text, default="")
    # The token that replaced it; no foreign key, because both are deleted only with the org.
    replaced_by_id: Mapped[int | None] = mapped_column(default=None)


class SetupLink(Base):
    """A one-time link for creating the first owner; its secret is stored as a hash."""

    __tablename__ = "setup_links"

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class WorkerHeartbeat(Base):
    """The latest heartbeat of a worker, and how far behind the log it is."""

    __tablename__ = "worker_beats"

    worker: Mapped[str] = mapped_column(Text, primary_key=True)
    beaten_at: Mapped[datetime] = mapped_column(UtcDateTime)
    log_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    lag_seconds: Mapped[float] = mapped_column(default=0.0)
    # While it learns metrics again whose states an older version stored: how many of how many.
    learnt_again: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    to_learn_again: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class Letter(Job, Base):
    """A mail of the product to one address, sent once; its subject and text are sealed."""

    done_state = LETTER_SENT

    __tablename__ = "letters"
    __table_args__ = (
        Index("ix_letters_state_due_at", "state", "due_at"),
        Index("ix_letters_recipient_purpose", "recipient", "purpose", "created_at"),
    )

    # Part of the Message-ID, the same in every attempt.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    # Empty for a recipient without an org.
    org_id: Mapped[int | None] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    recipient: Mapped[str] = mapped_column(String(320))
    purpose: Mapped[str] = mapped_column(String(64))
    # Subject and text; emptied once the letter is sent or given up.
    sealed: Mapped[str] = mapped_column(Text)
    # It is not sent later: the link or code in it has expired by then.
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    def close(self, state: str, at: datetime) -> None:
        """Set the state in which the letter ends, and delete its subject and text."""
        super().close(state, at)
        self.sealed = ""


class OrgEvent(Base):
    """An event that people or machines reported: a deploy, or another one."""

    __tablename__ = "org_events"
    __table_args__ = (
        Index("ix_org_events_org_id_occurred_at", "org_id", "occurred_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # deploy or custom.
    type: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(String(500))
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    # Drawn on charts of metrics whose names contain every chip; on all charts without chips.
    chips: Mapped[list[str]] = mapped_column(JSON, default=list)
    actor: Mapped[str] = mapped_column(String(200))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class QuotaRefusal(Base):
    """The metric names that an org's quota refused recently."""

    __tablename__ = "quota_refusals"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    refused_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The last few of them.
    names: Mapped[list[str]] = mapped_column(JSON, default=list)


class RefusedItems(Base):
    """How many items an org sent in an hour that were not stored, by route and kind of reason."""

    __tablename__ = "refused_items"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    hour_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    # The route: flux, telegraf, prometheus, flux_prometheus or page_events.
    route: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    items: Mapped[int] = mapped_column(BigInteger)
    last_ms: Mapped[int] = mapped_column(BigInteger)
    # A recent example: its name, if it could be read, and the reason.
    metric: Mapped[str] = mapped_column(String(500))
    reason: Mapped[str] = mapped_column(String(500))

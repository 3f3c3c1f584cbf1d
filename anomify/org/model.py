"""The rows of an org: itself, its tokens, and the links that set the product up."""

import secrets
from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime
from anomify.job.model import Job

# The ladder a new org climbs, on the wire as org_onboarding_status_id (spec/anomify.md 1.1).
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
    """Return a random name of 32 characters that nothing else has, nor ever will."""
    return secrets.token_hex(UUID_BYTES)


class Org(Base):
    """A tenant."""

    __tablename__ = "orgs"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    # What outlives the row is bound to this, such as a signed link: not even a database that was
    # put back from a copy gives it to another org.
    uuid: Mapped[str] = mapped_column(String(2 * UUID_BYTES), unique=True, default=new_uuid)
    name: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    onboarding_status_id: Mapped[int] = mapped_column(default=ONBOARDING_NO_METRICS)
    # No limit where it is empty, as for everybody who hosts the product themselves.
    metric_quota: Mapped[int | None] = mapped_column(default=None)
    is_demo: Mapped[bool] = mapped_column(default=False)
    # Since when a bill is due that could not be collected; billing alone writes it.
    overdue_since: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Until then anomalies are recorded and nobody is notified.
    muted_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Token(Base):
    """A key of an org, for machines: only its hash is kept."""

    __tablename__ = "tokens"
    __table_args__ = (Index("ix_tokens_org_id", "org_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    # The part that names the token in lists and logs; the secret part is nowhere in clear.
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
    # Comma-separated networks from which alone it works; from everywhere where it is empty.
    networks: Mapped[str] = mapped_column(Text, default="")
    # The one that took its place; no reference, for either may be deleted with the org only.
    replaced_by_id: Mapped[int | None] = mapped_column(default=None)


class SetupLink(Base):
    """A one-time link with which the first owner is made; its secret is kept as a hash."""

    __tablename__ = "setup_links"

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class WorkerHeartbeat(Base):
    """A sign of life of a worker, and how far behind the log it is."""

    __tablename__ = "worker_beats"

    worker: Mapped[str] = mapped_column(Text, primary_key=True)
    beaten_at: Mapped[datetime] = mapped_column(UtcDateTime)
    log_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    lag_seconds: Mapped[float] = mapped_column(default=0.0)


class Letter(Job, Base):
    """A mail of the product to one address, sent once; its subject and text are sealed."""

    done_state = LETTER_SENT

    __tablename__ = "letters"
    __table_args__ = (
        Index("ix_letters_state_due_at", "state", "due_at"),
        Index("ix_letters_recipient_purpose", "recipient", "purpose", "created_at"),
    )

    # Sent in the Message-ID, the same through every attempt.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    # Empty for who has no org yet.
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
    # Drawn on the charts of the metrics whose names hold every chip; on all where there is none.
    chips: Mapped[list[str]] = mapped_column(JSON, default=list)
    actor: Mapped[str] = mapped_column(String(200))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class QuotaRefusal(Base):
    """The metric names that an org's quota refused lately."""

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
    # The way they came: flux, telegraf, prometheus, flux_prometheus or page_events.
    route: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    items: Mapped[int] = mapped_column(BigInteger)
    last_ms: Mapped[int] = mapped_column(BigInteger)
    # One of the last ones: what it was called, as far as that could be read, and the reason given.
    metric: Mapped[str] = mapped_column(String(500))
    reason: Mapped[str] = mapped_column(String(500))

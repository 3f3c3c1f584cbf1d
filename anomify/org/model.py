"""The rows of an org: itself, its tokens, and the links that set the product up."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime

# The ladder a new org climbs, on the wire as org_onboarding_status_id (spec/anomify.md 1.1).
ONBOARDING_NO_METRICS = 1
ONBOARDING_RECEIVING = 100
ONBOARDING_JUDGING = 200
ONBOARDING_LIVE = 300


class Org(Base):
    """A tenant."""

    __tablename__ = "orgs"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    onboarding_status_id: Mapped[int] = mapped_column(default=ONBOARDING_NO_METRICS)
    # No limit where it is empty, as for everybody who hosts the product themselves.
    metric_quota: Mapped[int | None] = mapped_column(default=None)
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Token(Base):
    """A key of an org, for machines: only its hash is kept."""

    __tablename__ = "tokens"
    __table_args__ = (Index("ix_tokens_org_id", "org_id"),)

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


class SetupLink(Base):
    """A one-time link with which the first owner is made; its secret is kept as a hash."""

    __tablename__ = "setup_links"

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class WorkerBeat(Base):
    """A sign of life of a worker, and how far behind the log it is."""

    __tablename__ = "worker_beats"

    worker: Mapped[str] = mapped_column(Text, primary_key=True)
    beaten_at: Mapped[datetime] = mapped_column(UtcDateTime)
    log_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    lag_seconds: Mapped[float] = mapped_column(default=0.0)

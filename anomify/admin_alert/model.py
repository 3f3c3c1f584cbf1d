"""The rows of admin alerts: what each org has set, the alerts raised, and their silent metrics."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import LISTS_USERS, Base, UtcDateTime


class AdminAlert(Base):
    """How an org wants to be warned of one kind of trouble; without a row it is as shipped."""

    __tablename__ = "admin_alerts"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    type_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    wait_seconds: Mapped[int]
    expiration_seconds: Mapped[int]
    is_enabled: Mapped[bool]
    # Who is told; empty means all admins, whoever they are at that time.
    email_user_ids: Mapped[list[int] | None] = mapped_column(
        JSON(none_as_null=True), default=None, info=LISTS_USERS
    )


class RaisedAlert(Base):
    """A warning of an org's admins, from raised to recovered."""

    __tablename__ = "raised_alerts"
    __table_args__ = (
        Index("ix_raised_alerts_org_id_raised_at", "org_id", "raised_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    type_id: Mapped[int]
    # Names it in links; good for nobody who may not look at the org anyway.
    code: Mapped[str] = mapped_column(String(32), unique=True)
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When the trouble began, which is some time before it was noticed.
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recovered_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When admins were last written to about it; empty while nobody has been.
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # How many metrics it is about, or how many names were refused.
    metric_count: Mapped[int] = mapped_column(default=0)


class SilentMetric(Base):
    """A metric that an admin alert is about, from its last point until it reports again."""

    __tablename__ = "silent_metrics"
    __table_args__ = (Index("ix_silent_metrics_metric_id", "metric_id"),)

    alert_id: Mapped[int] = mapped_column(
        ForeignKey("raised_alerts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # When it was last heard of, by our clock, and when it was found to be silent.
    silent_since: Mapped[datetime] = mapped_column(UtcDateTime)
    noticed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The time of its last point; a later one says that it is back.
    last_ms: Mapped[int] = mapped_column(BigInteger)
    returned_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Silent for a day: it is not waited for any longer.
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)

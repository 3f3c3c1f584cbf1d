"""The rows of admin alerts: an org's settings, the alerts raised, and their silent metrics."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import LISTS_USERS, Base, UtcDateTime


class AdminAlert(Base):
    """An org's settings for one kind of admin alert; without a row the defaults apply."""

    __tablename__ = "admin_alerts"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    type_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    wait_seconds: Mapped[int]
    expiration_seconds: Mapped[int]
    is_enabled: Mapped[bool]
    # The users who receive the letters; null means all admins of the org at the time of sending.
    email_user_ids: Mapped[list[int] | None] = mapped_column(
        JSON(none_as_null=True), default=None, info=LISTS_USERS
    )


class RaisedAlert(Base):
    """An admin alert of one org, from the time it is raised until it has recovered."""

    __tablename__ = "raised_alerts"
    __table_args__ = (
        Index("ix_raised_alerts_org_id_raised_at", "org_id", "raised_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    type_id: Mapped[int]
    # Identifies the alert in links. It grants no access: the reader must belong to the org.
    code: Mapped[str] = mapped_column(String(32), unique=True)
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When the problem began, which is before it was noticed.
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recovered_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When the last letter about it was written; null before the first one.
    mailed_at: Mapped[datetime | None] = mapped_column("told_at", UtcDateTime, default=None)
    # The number of metrics that stopped, or of names that were refused.
    metric_count: Mapped[int] = mapped_column(default=0)


class SilentMetric(Base):
    """A metric that belongs to a raised alert because it stopped reporting."""

    __tablename__ = "silent_metrics"
    __table_args__ = (Index("ix_silent_metrics_metric_id", "metric_id"),)

    alert_id: Mapped[int] = mapped_column(
        ForeignKey("raised_alerts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # When its last point arrived, by the server's clock, and when it was found to be silent.
    silent_since: Mapped[datetime] = mapped_column(UtcDateTime)
    noticed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The timestamp of its last point. A point with a later timestamp means that it has returned.
    last_ms: Mapped[int] = mapped_column(BigInteger)
    returned_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When it was removed from the metrics that are expected to report, after a day of silence.
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)

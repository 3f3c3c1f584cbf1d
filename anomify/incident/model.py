"""The tables of incidents, and of the anomalies that belong to each."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime

RELATED: Final = "related"
STORM: Final = "storm"


class Incident(Base):
    """Anomalies of one org that belong together."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index("ix_incidents_org_id_opened_at", "org_id", "opened_at"),
        Index("ix_incidents_org_id_is_open", "org_id", "is_open", "changed_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # related, or storm: then it holds everything that began while too much began at once.
    kind: Mapped[str] = mapped_column(String(8), default=RELATED)
    # The highest of its anomalies so far.
    severity: Mapped[str] = mapped_column(String(8))
    is_open: Mapped[bool] = mapped_column(default=True)
    # The start of its earliest anomaly, and the last point of evidence once it is closed.
    began_ms: Mapped[int] = mapped_column(BigInteger)
    ended_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # When the product opened and closed it, and when an anomaly last joined.
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # The anomaly that most probably came first. It is no foreign key, because that anomaly may be
    # deleted; ids are never used again.
    first_anomaly_id: Mapped[int]
    anomaly_count: Mapped[int] = mapped_column(default=1)


class IncidentMember(Base):
    """An anomaly of an incident; each belongs to one at most."""

    __tablename__ = "incident_members"
    __table_args__ = (Index("ix_incident_members_incident_id", "incident_id"),)

    anomaly_id: Mapped[int] = mapped_column(
        ForeignKey("anomalies.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    joined_at: Mapped[datetime] = mapped_column(UtcDateTime)

"""The table of silences: which metrics nobody is notified of, when and why."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime
from anomify.org.daily_times import DailyTimes
from anomify.silence.schedule import Schedule

COMMENT_CHARACTERS_MAX = 500


class SilenceKind(StrEnum):
    """Why notifications are held back: a person wants quiet, or work on systems is planned."""

    SILENCE = "silence"
    MAINTENANCE = "maintenance"


class Silence(Base):
    """Anomalies of some metrics are recorded, and nobody is notified, at some times."""

    __tablename__ = "silences"
    __table_args__ = (
        Index("ix_silences_org_id_ended_at", "org_id", "ended_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # One of SilenceKind.
    kind: Mapped[str] = mapped_column(String(16))
    comment: Mapped[str] = mapped_column(String(COMMENT_CHARACTERS_MAX), default="")

    # Which metrics: those of this name that every matcher and chip matches; with none of the three,
    # all metrics of the org.
    metric: Mapped[str | None] = mapped_column(Text, default=None)
    matchers: Mapped[list[str]] = mapped_column(JSON, default=list)
    chips: Mapped[list[str]] = mapped_column(JSON, default=list)

    # When: between these moments, and with daily times only at these. A silence without an end has
    # daily times.
    begins_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Minutes of the local day.
    from_minute: Mapped[int | None] = mapped_column(default=None)
    until_minute: Mapped[int | None] = mapped_column(default=None)
    weekdays: Mapped[list[int]] = mapped_column(JSON, default=list)
    month_days: Mapped[list[int]] = mapped_column(JSON, default=list)
    # As 2026-12-24.
    dates: Mapped[list[str]] = mapped_column(JSON, default=list)
    # In which the daily times are meant.
    timezone: Mapped[str] = mapped_column(String(64))

    # Which contact points are told that it begins and ends. They are no foreign keys: one that is
    # deleted is left out when a notice is sent.
    notify_contact_point_ids: Mapped[list[int]] = mapped_column(JSON, default=list)
    notifies_start: Mapped[bool] = mapped_column(default=False, server_default=false())
    notifies_end: Mapped[bool] = mapped_column(default=False, server_default=false())
    # The beginning of the occurrence that is known to run; emptied when its end is noticed.
    noticed_start: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)

    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When it was ended before its time, and by whom.
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    ended_by: Mapped[str | None] = mapped_column(String(200), default=None)

    @property
    def schedule(self) -> Schedule:
        """Return when it is in force."""
        ends = [moment for moment in (self.ends_at, self.ended_at) if moment is not None]
        return Schedule(self.begins_at, min(ends, default=None), self.daily)

    @property
    def daily(self) -> DailyTimes | None:
        """Return its daily times, None if it is in force once."""
        if self.from_minute is None or self.until_minute is None:
            return None
        return DailyTimes(
            self.from_minute,
            self.until_minute,
            self.timezone,
            frozenset(self.weekdays),
            frozenset(self.month_days),
            frozenset(map(date.fromisoformat, self.dates)),
        )

    @property
    def is_for_all(self) -> bool:
        """Return whether it is about all metrics of the org."""
        return self.metric is None and not self.matchers and not self.chips

"""The table of watchers, with the fields of spec/anomify.md and a webhook each."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import LISTS_USERS, Base, UtcDateTime


class Watcher(Base):
    """A request to notify people of anomalies of the metrics whose names hold every chip."""

    __tablename__ = "watchers"
    __table_args__ = (Index("ix_watchers_org_id", "org_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    chips: Mapped[list[str]] = mapped_column(JSON)
    is_alerting: Mapped[bool] = mapped_column(default=False)
    # The least severity that it notifies of; a new watcher starts at high.
    severity: Mapped[str] = mapped_column(String(8), default="high")
    # After a message about a metric it sends no other about it for so long. The unit is stored as
    # it was given, and shown again.
    expiration_seconds: Mapped[int] = mapped_column(default=3600)
    expiration_unit: Mapped[str] = mapped_column(String(8), default="second")
    # Tell the first message of an incident only so long after it opened, or lasts, if it goes on.
    group_wait_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    sustain_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    # The least time between a message and one that further anomalies have joined the incident.
    group_interval_seconds: Mapped[int] = mapped_column(default=300, server_default="300")
    # How long an incident must be over before its recovery is told.
    recover_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    # How often to remind of an incident that goes on and nobody has acknowledged; never if empty.
    reminder_seconds: Mapped[int | None] = mapped_column(default=None)
    # After how many minutes without an acknowledgement each later step is told.
    escalation_minutes: Mapped[list[int]] = mapped_column(JSON, default=list, server_default="[]")
    # A threshold instead of anomalies that the engine finds: one of watcher.threshold.Operator, the
    # value to compare with, how many points in a row it must hold, and of what: a function of the
    # points of so many seconds. Silent metrics are compared with the time since `threshold_since`.
    threshold_operator: Mapped[str | None] = mapped_column(String(16), default=None)
    threshold_value: Mapped[float | None] = mapped_column(default=None)
    threshold_times: Mapped[int] = mapped_column(default=1, server_default="1")
    threshold_function: Mapped[str] = mapped_column(
        String(16), default="last", server_default="last"
    )
    threshold_function_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    threshold_since: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When a summary is sent, such as daily-10:00, and to which users; the end of what the last
    # one covered.
    summary_report_frequency: Mapped[str | None] = mapped_column(String(32), default=None)
    summary_report_user_ids: Mapped[list[int]] = mapped_column(
        JSON, default=list, server_default="[]", info=LISTS_USERS
    )
    reported_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    email_user_ids: Mapped[list[int]] = mapped_column(JSON, default=list, info=LISTS_USERS)
    webhook_url: Mapped[str | None] = mapped_column(Text, default=None)
    # Encrypted with the server's key, which is not in the database.
    webhook_secret_sealed: Mapped[str | None] = mapped_column(Text, default=None)
    # A replaced secret also signs for a while, so that receivers can change to the new one.
    former_secret_sealed: Mapped[str | None] = mapped_column(Text, default=None)
    former_secret_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When the receiver answered 410 Gone; nothing is sent there until the webhook is set again.
    webhook_stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Since when its messages reach nobody although it is alerting; the org's admins got a letter.
    unreached_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class WatcherContact(Base):
    """A contact point that a watcher notifies."""

    __tablename__ = "watcher_contacts"
    __table_args__ = (Index("ix_watcher_contacts_contact_point_id", "contact_point_id"),)

    watcher_id: Mapped[int] = mapped_column(
        ForeignKey("watchers.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    contact_point_id: Mapped[int] = mapped_column(
        ForeignKey("contact_points.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # 0 is notified at once; step n only where nobody has acknowledged the incident by then.
    step: Mapped[int] = mapped_column(default=0)

"""The tables of deliveries: what each contact point was told of an incident, and the messages."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime
from anomify.job.model import Job

SENT = "sent"
# The comment of a silence and who made it may together be longer.
HELD_WHY_CHARACTERS_MAX = 500


class Notification(Base):
    """What a contact point was told of an incident for one watcher, and when to look again.

    `delivery.decision` decides from these columns what is told next.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("incident_id", "watcher_id", "contact_point_id"),
        Index("ix_notifications_due_at", "due_at"),
        # Finds when a watcher last told a contact point about a metric.
        Index("ix_notifications_watcher_id_opening_told_at", "watcher_id", "opening_told_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    watcher_id: Mapped[int] = mapped_column(ForeignKey("watchers.id", ondelete="CASCADE"))
    contact_point_id: Mapped[int] = mapped_column(
        ForeignKey("contact_points.id", ondelete="CASCADE")
    )
    # When to decide again; empty when only a change of the incident can matter.
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Whether the last thing told is that the incident goes on.
    is_told_open: Mapped[bool] = mapped_column(default=False)
    # When the last message was enqueued, and the last one that the incident had opened.
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    opening_told_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    told_severity: Mapped[str | None] = mapped_column(String(8), default=None)
    # When it was told that the metric opens and recovers too often to tell each time.
    flapping_told_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # How many messages there were; the number of the last one.
    sequence: Mapped[int] = mapped_column(default=0)
    # Since when an opening is held back, why (completes "Not sent because ..."), and by what kind.
    held_since: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    held_why: Mapped[str | None] = mapped_column(String(HELD_WHY_CHARACTERS_MAX), default=None)
    held_kind: Mapped[str | None] = mapped_column(String(16), default=None)
    # The incident has come and gone while it was held back, and that is not told yet.
    is_missed: Mapped[bool] = mapped_column(default=False)
    # Since when what the watcher watches of the incident goes on, and since when it is over.
    live_since: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    over_since: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class Delivery(Job, Base):
    """A message in the outbox: its id stays the same through every attempt."""

    done_state = SENT

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_state_due_at", "state", "due_at"),
        Index("ix_deliveries_notification_id_sequence", "notification_id", "sequence"),
        # Finds the latest messages of a watcher, and of an org.
        Index("ix_deliveries_watcher_id_created_at", "watcher_id", "created_at"),
        Index("ix_deliveries_org_id_created_at", "org_id", "created_at"),
        Index("ix_deliveries_incident_id", "incident_id"),
        # For deleting the messages of a metric with it.
        Index("ix_deliveries_metric_id", "metric_id"),
    )

    # Sent as the webhook-id and in the Message-ID of a mail.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    contact_point_id: Mapped[int | None] = mapped_column(
        ForeignKey("contact_points.id", ondelete="CASCADE"), default=None
    )
    # Empty where no watcher is the reason, as in the notice of a maintenance.
    watcher_id: Mapped[int | None] = mapped_column(
        ForeignKey("watchers.id", ondelete="CASCADE"), default=None
    )
    # Empty in a test, a report and a notice.
    incident_id: Mapped[int | None] = mapped_column(
        ForeignKey("incidents.id", ondelete="CASCADE"), default=None
    )
    notification_id: Mapped[int | None] = mapped_column(
        ForeignKey("notifications.id", ondelete="CASCADE"), default=None
    )
    # The number of the message among those of its notification: they are sent in this order.
    sequence: Mapped[int] = mapped_column(default=0)
    # The metric that came first, for the messages about one.
    metric_id: Mapped[int | None] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), default=None
    )
    # One of delivery.facts.Transition.
    transition: Mapped[str] = mapped_column(String(16))
    # The kind of the contact point, and its name when the message was made.
    channel: Mapped[str] = mapped_column(String(16))
    recipient: Mapped[str] = mapped_column(String(200))
    # Deliveries of one lane wait for each other, those of others do not: a host, or the mail.
    lane: Mapped[str] = mapped_column(String(260))
    # What was true when it was enqueued; the wording is made from it.
    facts: Mapped[dict[str, object]] = mapped_column(JSON)
    # What the channel identifies the message by, once it was taken.
    reference: Mapped[str | None] = mapped_column(Text, default=None)


class DeliveryAttempt(Base):
    """One attempt to send a message, and the answer."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (
        Index("ix_delivery_attempts_delivery_id", "delivery_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    ended_at: Mapped[datetime] = mapped_column(UtcDateTime)
    is_delivered: Mapped[bool]
    # What the receiver answered, or why there was no answer.
    answer: Mapped[str] = mapped_column(Text)

"""The row of a delivery: one message to one channel, from enqueued to settled."""

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base
from anomify.job.model import Job

SENT = "sent"


class Delivery(Job, Base):
    """A message in the outbox: its id stays the same through every attempt."""

    done_state = SENT

    __tablename__ = "deliveries"
    __table_args__ = (
        # One message per transition and recipient, however often the tick that makes it is run.
        UniqueConstraint(
            "anomaly_id",
            "watcher_id",
            "transition",
            "channel",
            "recipient",
            name="uq_deliveries_one_per_recipient",  # the usual name is too long for PostgreSQL
        ),
        Index("ix_deliveries_state_due_at", "state", "due_at"),
        # Finds the latest message of a watcher about a metric.
        Index("ix_deliveries_watcher_id_metric_id", "watcher_id", "metric_id", "created_at"),
        # For deleting the messages of a metric with it.
        Index("ix_deliveries_metric_id", "metric_id"),
    )

    # Sent as the webhook-id and in the Message-ID of a mail.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    watcher_id: Mapped[int] = mapped_column(ForeignKey("watchers.id", ondelete="CASCADE"))
    # Empty for a test message, which is about nothing that happened.
    anomaly_id: Mapped[int | None] = mapped_column(ForeignKey("anomalies.id", ondelete="CASCADE"))
    metric_id: Mapped[int | None] = mapped_column(ForeignKey("metrics.id", ondelete="CASCADE"))
    # opened, recovered or test.
    transition: Mapped[str] = mapped_column(String(16))
    # webhook or email.
    channel: Mapped[str] = mapped_column(String(16))
    # The user's id, or the word webhook: where it goes is looked up when it is sent, so that a
    # corrected address also helps what is already waiting.
    recipient: Mapped[str] = mapped_column(String(80))
    # Deliveries of one lane wait for each other, those of others do not: a host, or the mail.
    lane: Mapped[str] = mapped_column(String(260))
    # What was true when it was enqueued; the wording is made from it.
    facts: Mapped[dict[str, object]] = mapped_column(JSON)

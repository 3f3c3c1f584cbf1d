"""The row of a delivery: one message to one channel, from enqueued to settled."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime

STATE_PENDING = "pending"
STATE_SENT = "sent"
STATE_DEAD = "dead"


class Delivery(Base):
    """A message in the outbox: its id stays the same through every attempt."""

    __tablename__ = "deliveries"
    __table_args__ = (
        # One message per transition and recipient, however often the tick that makes it is run.
        UniqueConstraint("anomaly_id", "watcher_id", "transition", "channel", "recipient"),
        Index("ix_deliveries_state_due_at", "state", "due_at"),
    )

    # Sent as the webhook-id and in the Message-ID of a mail.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    # Grows with each row: a recovery never overtakes the notice it belongs to.
    sequence: Mapped[int] = mapped_column(BigInteger)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    watcher_id: Mapped[int] = mapped_column(ForeignKey("watchers.id", ondelete="CASCADE"))
    anomaly_id: Mapped[int] = mapped_column(ForeignKey("anomalies.id", ondelete="CASCADE"))
    metric_id: Mapped[int] = mapped_column(ForeignKey("metrics.id", ondelete="CASCADE"))
    # opened or recovered.
    transition: Mapped[str] = mapped_column(String(16))
    # webhook or email.
    channel: Mapped[str] = mapped_column(String(16))
    # A URL's hash or a user's id: enough to tell recipients apart.
    recipient: Mapped[str] = mapped_column(String(80))
    # What was true when it was enqueued; the wording is made from it.
    facts: Mapped[dict[str, object]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16), default=STATE_PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    last_error: Mapped[str | None] = mapped_column(Text, default=None)

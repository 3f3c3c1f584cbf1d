"""The rows of page events: how often each event happened, by metric and minute."""

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base


class CountedMinute(Base):
    """How often an event happened in one minute, until it is stored as a datapoint."""

    __tablename__ = "counted_minutes"
    __table_args__ = (Index("ix_counted_minutes_minute_ms", "minute_ms"),)

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    minute_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)
    # The count that was last stored as a datapoint; null before the first time.
    stored_count: Mapped[int | None] = mapped_column(BigInteger, default=None)

"""Tables: anomalies, and the span of a metric that is the evidence of one."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from anomify.db import Base, UtcDateTime
from anomify.metric.model import Metric

STATUS_ACTIVE = "active"
ORIGIN_ENGINE = "engine"
ORIGIN_THRESHOLD = "threshold"


class Ending(StrEnum):
    """How the evidence of an anomaly ended."""

    RECOVERED = "recovered"
    """The metric is back to normal."""
    NEW_LEVEL = "new_level"
    """The value has not come back; the engine has taken its new level as normal."""
    PATTERN = "pattern"
    """A pattern explains it."""
    SILENCE = "silence"
    """The metric stopped reporting."""


class Anomaly(Base):
    """A case, with what people do about it; what was measured is in its evidence, a span."""

    __tablename__ = "anomalies"
    __table_args__ = (
        Index("ix_anomalies_org_id_opened_at", "org_id", "opened_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(16), default=STATUS_ACTIVE)
    origin: Mapped[str] = mapped_column(String(16), default=ORIGIN_ENGINE)
    # When the evidence began; when it was stored is `recorded_at`.
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When a message about it was last held back because the org was muted, and its severity then.
    muted_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    muted_severity: Mapped[str | None] = mapped_column(String(8), default=None)
    # What a person said of it: True for expected, False for unexpected. The user's id is no foreign
    # key, because it would need a new table on SQLite; ids are never used again.
    expected: Mapped[bool | None] = mapped_column(default=None)
    labelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    labelled_by_id: Mapped[int | None] = mapped_column(default=None)
    labelled_by: Mapped[str | None] = mapped_column(String(200), default=None)
    label: Mapped[str | None] = mapped_column(String(200), default=None)
    # When people last did something about it; a rebuild of the metric keeps it.
    triaged_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)

    span: Mapped["Span"] = relationship(back_populates="anomaly", lazy="raise", uselist=False)


class Peak:
    """A mixin for a model: what was measured at the most unusual point of a time range."""

    # The point farthest outside of its range, and what was expected there.
    peak_ms: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float]
    expected_lower: Mapped[float]
    expected_upper: Mapped[float]
    # The highest alert of all points, and the score there.
    score: Mapped[float]
    alert: Mapped[float]
    # low, medium or high: the false-alarm rate this alert has been measured to have.
    severity: Mapped[str] = mapped_column(String(8))
    evidence: Mapped[str] = mapped_column(String(16))
    explanation: Mapped[str] = mapped_column(Text)
    # How far that point is from what was expected; the unit depends on `evidence`.
    amount: Mapped[float | None] = mapped_column(default=None)
    # Since when the evidence holds: for a constant value, since before the anomaly.
    since_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)


class Span(Peak, Base):
    """Evidence: a time range in which a metric was over its alert threshold.

    Or, if `is_silence`, one in which points were overdue.
    """

    __tablename__ = "spans"
    __table_args__ = (
        # One anomaly for one start of a metric: a replay finds it instead of adding another. A span
        # of missing points and a span of anomalous points may start at the same time, and so may
        # what the thresholds of watchers find.
        UniqueConstraint("metric_id", "started_ms", "is_silence", "watcher_id"),
        Index("ix_spans_is_open_metric_id", "is_open", "metric_id"),
    )

    anomaly_id: Mapped[int] = mapped_column(
        ForeignKey("anomalies.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    metric_id: Mapped[int] = mapped_column(ForeignKey("metrics.id", ondelete="CASCADE"))
    started_ms: Mapped[int] = mapped_column(BigInteger)
    # The last point over the threshold so far.
    last_over_ms: Mapped[int] = mapped_column(BigInteger)
    # When it closed; empty while it is open.
    ended_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    is_open: Mapped[bool] = mapped_column(default=True)
    # The expected range at the onset, which the value left; empty for anomalies of older versions.
    onset_lower: Mapped[float | None] = mapped_column(default=None)
    onset_upper: Mapped[float | None] = mapped_column(default=None)
    # What closing it needs of the points so far (`pipeline.level_watch`); empty once it is closed.
    level_watch: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    # Closed because the engine has taken this as the new level of the metric, at which the value
    # had stayed since then; without that moment the value has moved about.
    accepted_level: Mapped[float | None] = mapped_column(default=None)
    accepted_since_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # Closed because the metric stopped reporting, not because it returned to normal.
    ended_by_silence: Mapped[bool] = mapped_column(default=False)
    # Closed because this pattern explains it. It is no foreign key, because that package lies above
    # this one; a pattern is deleted only with its metric.
    ended_by_pattern_id: Mapped[int | None] = mapped_column(default=None)
    # What it was like at first and how it differs now, where a pattern explained its beginning.
    outgrown_reason: Mapped[str | None] = mapped_column(Text, default=None)
    is_silence: Mapped[bool] = mapped_column(default=False)
    # The watcher whose threshold it is over; 0 where the engine has found it. It is no foreign key,
    # because that package lies above this one; ids are never used again.
    watcher_id: Mapped[int] = mapped_column(default=0, server_default="0")
    # How many anomalies with this evidence the metric had before this one, and when the last began.
    similar_before: Mapped[int] = mapped_column(default=0)
    similar_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)

    # From the identity map only: a span is always loaded together with its anomaly.
    anomaly: Mapped[Anomaly] = relationship(back_populates="span", lazy="raise_on_sql")
    metric: Mapped[Metric] = relationship(lazy="raise_on_sql")

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it is open."""
        if self.is_open:
            return None
        if self.ended_by_silence:
            return Ending.SILENCE
        if self.ended_by_pattern_id is not None:
            return Ending.PATTERN
        return Ending.RECOVERED if self.accepted_level is None else Ending.NEW_LEVEL

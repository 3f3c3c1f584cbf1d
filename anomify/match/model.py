"""Table: matches, the excursions that were explained by a pattern instead of being anomalies."""

from datetime import datetime
from enum import IntEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from anomify.anomaly.model import Peak
from anomify.db import Base, UtcDateTime
from anomify.metric.model import Metric
from anomify.pattern.model import Pattern


class Validated(IntEnum):
    """What people said of a match."""

    UNSET = 0
    VALID = 1
    INVALID = 2


class Match(Peak, Base):
    """An excursion of a metric that would have been an anomaly and was explained by a pattern."""

    __tablename__ = "matches"
    __table_args__ = (
        # One match for one start of a metric: a replay finds it instead of adding another.
        UniqueConstraint("metric_id", "started_ms"),
        Index("ix_matches_is_open_metric_id", "is_open", "metric_id"),
        Index("ix_matches_org_id_started_ms", "org_id", "started_ms"),
        Index("ix_matches_pattern_id_started_ms", "pattern_id", "started_ms"),
        Index("ix_matches_anomaly_id", "anomaly_id"),
        Index("ix_matches_outgrown_by_anomaly_id", "outgrown_by_anomaly_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    metric_id: Mapped[int] = mapped_column(ForeignKey("metrics.id", ondelete="CASCADE"))
    pattern_id: Mapped[int] = mapped_column(ForeignKey("patterns.id", ondelete="CASCADE"))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # How the pattern explains it: shape, motif or usual.
    kind: Mapped[str] = mapped_column(String(16))
    started_ms: Mapped[int] = mapped_column(BigInteger)
    # Its last point outside of the range so far.
    last_ms: Mapped[int] = mapped_column(BigInteger)
    # When it closed; empty while it is open.
    ended_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    is_open: Mapped[bool] = mapped_column(default=True)
    # The range that was expected at its first point; it lasts until the value is back in it.
    onset_lower: Mapped[float]
    onset_upper: Mapped[float]
    # How like the pattern it is. The similarity is 0 to 100; the others are of the engine.
    distance: Mapped[float]
    similarity: Mapped[float]
    height_ratio: Mapped[float | None] = mapped_column(default=None)
    length_ratio: Mapped[float | None] = mapped_column(default=None)
    minutes_apart: Mapped[float | None] = mapped_column(default=None)
    # Where in the pattern's points the part that is alike begins, and how many points it has.
    motif_index: Mapped[int | None] = mapped_column(default=None)
    motif_size: Mapped[int | None] = mapped_column(default=None)
    area_percent_diff: Mapped[float | None] = mapped_column(default=None)
    # How many deviations as strong had been called expected, where it is usual for that.
    labels: Mapped[int | None] = mapped_column(default=None)
    # One of Validated, and who said so.
    validated: Mapped[int] = mapped_column(default=Validated.UNSET)
    validated_by: Mapped[str] = mapped_column(String(200), default="")
    validated_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # The anomaly that was closed because the pattern explains it.
    anomaly_id: Mapped[int | None] = mapped_column(
        ForeignKey("anomalies.id", ondelete="SET NULL"), default=None
    )
    # The anomaly that it became because the pattern did not explain it any more, and why.
    outgrown_by_anomaly_id: Mapped[int | None] = mapped_column(
        ForeignKey("anomalies.id", ondelete="SET NULL"), default=None
    )
    outgrown_reason: Mapped[str | None] = mapped_column(Text, default=None)

    pattern: Mapped[Pattern] = relationship(lazy="raise_on_sql")
    metric: Mapped[Metric] = relationship(lazy="raise_on_sql")

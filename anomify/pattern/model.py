"""Tables: patterns with their points, waiting trainings, and what proposals would have hidden."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from anomify.anomaly.model import Anomaly
from anomify.db import Base, UtcDateTime
from anomify.job.model import Job
from anomify.metric.model import Metric
from anomify.user.model import User

LABEL_CHARACTERS_MAX = 200
# The label of the pattern of 24 hours that is made together with one of seven days.
ECHO_LABEL = "echo"
# The creator of patterns that the product itself has found.
MACHINE = "Anomify"


class Scope(StrEnum):
    """Which metrics a pattern may explain."""

    METRIC = "metric"
    # Also the metrics of the same name with other values of the same labels.
    FAMILY = "family"


class PatternState(StrEnum):
    """What a pattern is used for."""

    # Found by the product and not used yet; what it would have hidden is listed.
    PROPOSED = "proposed"
    ACTIVE = "active"
    DISABLED = "disabled"
    # Found by the product and not used any more, because it did not recur.
    RETIRED = "retired"


class PatternOrigin(StrEnum):
    """How a pattern came about."""

    TRAINED = "trained"
    LEARNT = "learnt"
    # Unexpected: of a match that a person has called invalid.
    INVALIDATED = "invalidated"


class CreatorType(StrEnum):
    """Who made a pattern."""

    USER = "user"
    MACHINE = "machine"


class Pattern(Base):
    """An excursion of a metric that counts as normal, or, if `positive`, as abnormal.

    Its points are in a `PatternSeries`, so that it stays when the metric's points are deleted.
    """

    __tablename__ = "patterns"
    __table_args__ = (
        Index("ix_patterns_metric_id_state", "metric_id", "state"),
        Index("ix_patterns_org_id_state_created_at", "org_id", "state", "created_at"),
        Index("ix_patterns_org_id_family_hash", "org_id", "family_hash"),
        Index("ix_patterns_anomaly_id", "anomaly_id"),
        Index("ix_patterns_parent_id", "parent_id"),
        Index("ix_patterns_creator_user_id", "creator_user_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    metric_id: Mapped[int] = mapped_column(ForeignKey("metrics.id", ondelete="CASCADE"))
    # The anomaly it was trained from; empty where that is deleted, and where a match was invalid.
    anomaly_id: Mapped[int | None] = mapped_column(
        ForeignKey(Anomaly.id, ondelete="SET NULL"), default=None
    )
    # The longer pattern of the same training: disabling that one disables this one.
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("patterns.id", ondelete="SET NULL"), default=None
    )
    # The patterns of one training have the same group: the id of the first of them.
    group_id: Mapped[int | None] = mapped_column(default=None)
    generation: Mapped[int] = mapped_column(default=0)
    # One of PatternOrigin and of CreatorType.
    origin: Mapped[str] = mapped_column(String(16), default=PatternOrigin.TRAINED)
    creator_type: Mapped[str] = mapped_column(String(16), default=CreatorType.USER)
    creator_user_id: Mapped[int | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), default=None
    )
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # How much of the metric's past is kept with it.
    duration_seconds: Mapped[int]
    label: Mapped[str] = mapped_column(String(LABEL_CHARACTERS_MAX), default="")
    # Marked as unexpected: it explains nothing, and what is more like it than like any other
    # pattern is not explained either.
    positive: Mapped[bool] = mapped_column(default=False)
    # One of Scope.
    scope: Mapped[str] = mapped_column(String(16), default=Scope.METRIC)
    # Of a pattern for its whole family: the SHA-256 of the name and the names of the labels.
    family_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)
    # One of PatternState, and who or what set it.
    state: Mapped[str] = mapped_column(String(16), default=PatternState.ACTIVE)
    state_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state_by: Mapped[str] = mapped_column(String(200))
    state_reason: Mapped[str] = mapped_column(Text, default="")
    # Trained from an excursion that had not ended: it becomes longer until that has.
    is_growing: Mapped[bool] = mapped_column(default=False)
    # The excursion: its first and its last point, and the expected range at the first one.
    started_ms: Mapped[int] = mapped_column(BigInteger)
    last_ms: Mapped[int] = mapped_column(BigInteger)
    expected_lower: Mapped[float]
    expected_upper: Mapped[float]
    # The value farthest outside of that range, the evidence there, and the highest alert.
    value: Mapped[float]
    evidence: Mapped[str] = mapped_column(String(16))
    alert: Mapped[float]
    step_ms: Mapped[int] = mapped_column(BigInteger)
    # How many candidates were compared with it, how many it explained, and when the last one began.
    checks: Mapped[int] = mapped_column(default=0)
    matches: Mapped[int] = mapped_column(default=0)
    last_match_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)

    metric: Mapped[Metric] = relationship(lazy="raise_on_sql")

    @property
    def enabled(self) -> bool:
        """Return whether it is used."""
        return self.state == PatternState.ACTIVE


class PatternSeries(Base):
    """The points of a pattern, as judged: the value, or a counter's increase per second."""

    __tablename__ = "pattern_series"

    pattern_id: Mapped[int] = mapped_column(
        ForeignKey("patterns.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # The excursion and the points before it, encoded as in chunks.
    excursion_points: Mapped[bytes] = mapped_column(LargeBinary)
    # How many of these points lie before the excursion.
    context: Mapped[int]
    # The whole window, for pictures: the least and the greatest point of each `window_step_ms`.
    window_points: Mapped[bytes] = mapped_column(LargeBinary)
    window_step_ms: Mapped[int] = mapped_column(BigInteger)


class PatternChange(Base):
    """How often the patterns in use of an org have changed; the count only grows.

    The worker reads this in every tick, and the patterns only when it has changed.
    """

    __tablename__ = "pattern_changes"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    count: Mapped[int] = mapped_column(default=0)


class Training(Job, Base):
    """A requested pattern that needs points which are not there yet; the worker makes it."""

    __tablename__ = "trainings"
    __table_args__ = (
        UniqueConstraint("anomaly_id", "duration_seconds"),
        Index("ix_trainings_state_due_at", "state", "due_at"),
        Index("ix_trainings_org_id_state", "org_id", "state"),
        Index("ix_trainings_metric_id", "metric_id"),
        Index("ix_trainings_user_id", "user_id"),
        {"sqlite_autoincrement": True},
    )
    is_deleted_when_done = True

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    metric_id: Mapped[int] = mapped_column(ForeignKey("metrics.id", ondelete="CASCADE"))
    anomaly_id: Mapped[int] = mapped_column(ForeignKey(Anomaly.id, ondelete="CASCADE"))
    duration_seconds: Mapped[int]
    positive: Mapped[bool] = mapped_column(default=False)
    label: Mapped[str] = mapped_column(String(LABEL_CHARACTERS_MAX), default="")
    scope: Mapped[str] = mapped_column(String(16), default=Scope.METRIC)
    group_id: Mapped[int | None] = mapped_column(default=None)
    requested_by: Mapped[str] = mapped_column(String(200))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), default=None
    )

    metric: Mapped[Metric] = relationship(lazy="raise_on_sql")


class WouldHide(Base):
    """An anomaly that a proposed pattern would have explained."""

    __tablename__ = "would_hide"
    __table_args__ = (Index("ix_would_hide_anomaly_id", "anomaly_id"),)

    pattern_id: Mapped[int] = mapped_column(
        ForeignKey("patterns.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    anomaly_id: Mapped[int] = mapped_column(
        ForeignKey(Anomaly.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    similarity: Mapped[float]
    found_at: Mapped[datetime] = mapped_column(UtcDateTime)

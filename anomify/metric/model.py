"""The rows of metrics: names, judging progress, settings, and judgements that are not sealed."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column, relationship

from anomify.db import Base, UtcDateTime
from anomify.job.model import Job
from anomify.metric.folding import fold
from anomify.org.model import Org


def _folded_name(context: DefaultExecutionContext) -> str:
    parameters = context.get_current_parameters()  # type: ignore[no-untyped-call]  # the library's
    name: str = parameters["name"]
    return fold(name)


class Metric(Base):
    """A metric: a canonical name within an org; it cannot be renamed."""

    __tablename__ = "metrics"
    __table_args__ = (
        UniqueConstraint("org_id", "name_hash"),
        Index("ix_metrics_org_id_composed_hash", "org_id", "composed_hash"),
        Index("ix_metrics_org_id_excluded_by", "org_id", "excluded_by"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # Plain, or `name{label="value",...}` with sorted labels; its code points as they were sent.
    name: Mapped[str] = mapped_column(Text)
    # The name folded for case-insensitive comparison; searches use it.
    folded_name: Mapped[str] = mapped_column(Text, default=_folded_name, server_default="")
    # SHA-256 of the name's UTF-8 bytes, because names are too long for an index.
    name_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    # The same of the name in Unicode's form NFC, if that differs: finds names that have the same
    # characters in other code points.
    composed_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)
    # Of a name that was derived from the description of a series: the SHA-256 of the description.
    source_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)
    # Stored in form NFC by an older version: it gets the spelling of the next point.
    takes_other_spelling: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The rule that excludes it from judging and from the quota; the package `exclusion`
    # updates it. It is no foreign key, because that package lies above this one.
    excluded_by: Mapped[int | None] = mapped_column(default=None)

    org: Mapped[Org] = relationship(lazy="raise")


class Progress(Base):
    """How far a metric has been judged, written in the transaction of its anomalies."""

    __tablename__ = "progress"

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # Points up to this time are not judged again.
    judged_until_ms: Mapped[int] = mapped_column(BigInteger)
    points_seen: Mapped[int] = mapped_column(BigInteger)
    last_value: Mapped[float]
    resolution_ms: Mapped[int] = mapped_column(BigInteger)
    is_counter: Mapped[bool] = mapped_column(default=False)
    is_constant: Mapped[bool] = mapped_column(default=False)
    # The sender has ended the series (a Prometheus stale marker), until the next point.
    has_ended: Mapped[bool] = mapped_column(default=False)
    late_points: Mapped[int] = mapped_column(BigInteger, default=0)
    # After so many points the metric is judged; fewer where points come hours or days apart.
    learning_points: Mapped[int] = mapped_column(default=100)
    # Silent for longer than this is stale, as learnt from its gaps, unless it may be silent.
    stale_after_ms: Mapped[int] = mapped_column(BigInteger, default=900_000)
    may_be_silent: Mapped[bool] = mapped_column(default=False)
    # Without a point until this time its silence is an anomaly. None where it would be none: while
    # it is learning, after the anomaly was recorded, and for history without new points.
    silent_from_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # Late points since the last rebuild; over ten of them queue one (spec/storage.md 10.6).
    unjudged_late_points: Mapped[int] = mapped_column(default=0)
    # Four days after its first point: until then only strong deviations are reported. 0: unknown.
    young_until_ms: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class MovedInterval(Base):
    """How unusual a metric was in five minutes; only where it was unusual at all.

    It is the index of the question which metrics of an org moved in a window.
    """

    __tablename__ = "moved_intervals"
    __table_args__ = (Index("ix_moved_intervals_org_id_interval", "org_id", "interval"),)

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # Five minutes since 1970.
    interval: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # The first and the last unusual point, and the one of the highest strength.
    first_ms: Mapped[int] = mapped_column(BigInteger)
    last_ms: Mapped[int] = mapped_column(BigInteger)
    peak_ms: Mapped[int] = mapped_column(BigInteger)
    strength: Mapped[float]
    # What was measured there; the ends are empty where they are not finite.
    value: Mapped[float]
    lower: Mapped[float | None]
    upper: Mapped[float | None]
    # The metric reported nothing from then on; there is no value.
    is_silence: Mapped[bool] = mapped_column(default=False, server_default=false())


class MetricSettings(Base):
    """The settings of a metric; without a row the defaults apply."""

    __tablename__ = "metric_settings"
    __table_args__ = (Index("ix_metric_settings_changed_at", "changed_at"),)

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # both, up or down: which deviations are worth an anomaly.
    direction: Mapped[str] = mapped_column(String(8), default="both")
    # In the unit in which the metric is judged; smaller deviations are no anomaly.
    smallest_change: Mapped[float] = mapped_column(default=0.0)
    # auto, gauge or counter.
    kind: Mapped[str] = mapped_column(String(8), default="auto")
    # None: as measured.
    step_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # Shown after values in sentences.
    unit: Mapped[str] = mapped_column(String(32), default="")
    may_be_silent: Mapped[bool] = mapped_column(default=False)
    # The accepted false alarms a week; None: the default.
    false_alarms: Mapped[float | None] = mapped_column(default=None)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DeletedMetric(Base):
    """The id of a deleted metric; points that still arrive for it are discarded."""

    __tablename__ = "deleted_metrics"
    __table_args__ = (
        Index("ix_deleted_metrics_deleted_at", "deleted_at"),
        Index("ix_deleted_metrics_points_gone_at", "points_gone_at", "deleted_at"),
    )

    metric_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    deleted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When its stored points were deleted; points that were in the log may have been sealed later.
    first_swept_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When its points were deleted finally, after none can be in the log any more.
    points_gone_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class JudgedHour(Base):
    """The number of judged points of an org, by the hour of their timestamps."""

    __tablename__ = "judged_hours"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    hour_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    points: Mapped[int] = mapped_column(BigInteger)


class DryRun(Base):
    """The result of the last dry run of a server of an org."""

    __tablename__ = "rehearsals"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # Empty where the sender gave none.
    server_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    received_at: Mapped[datetime] = mapped_column("rehearsed_at", UtcDateTime)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)


class JudgedBatch(Base):
    """Scores and expected ranges of one tick, until they are sealed beside the values."""

    __tablename__ = "judged_batches"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    through_offset: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[bytes] = mapped_column(LargeBinary)


class Checkpoint(Base):
    """A partition's engine state as of a log offset; after a crash the log is replayed from it."""

    __tablename__ = "checkpoints"

    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    log_offset: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[bytes] = mapped_column(LargeBinary)
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JudgingEpoch(Base):
    """The current epoch of judging: only the worker that began it may write."""

    __tablename__ = "judging_epochs"

    # The work that the epoch is for: `judging`, of all metrics.
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    taken_by: Mapped[str] = mapped_column(String(200))
    taken_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JudgedBeforeRebuild(Base):
    """The counts of judged points of a metric whose scores are being rewritten.

    Written before the first score is rewritten and deleted in the commit that corrects the counts,
    because meanwhile the stored scores no longer give what was counted.
    """

    __tablename__ = "judged_before_rebuilds"

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # Of points up to this time; later ones are counted by their stored scores.
    through_ms: Mapped[int] = mapped_column(BigInteger)
    # Pairs of an hour in unix ms and how many of its points were judged, as 64-bit integers.
    hours: Mapped[bytes] = mapped_column(LargeBinary)


class DormantState(Base):
    """The engine state of a metric that has been silent for a day, until its next point."""

    __tablename__ = "dormant_states"

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    state: Mapped[bytes] = mapped_column(LargeBinary)


class FailingMetric(Base):
    """A metric whose judging, sealing or rebuilding failed recently; repeated failures isolate it.

    The points of an isolated metric are kept, and it is left out until a rebuild succeeds.
    """

    __tablename__ = "failing_metrics"

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    failures: Mapped[int] = mapped_column(default=0)
    # The last failure, for the operator.
    doing: Mapped[str] = mapped_column(String(16))
    problem: Mapped[str] = mapped_column(Text)
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    isolated_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class Rebuild(Job, Base):
    """A leased slow job: compute the scores of a metric again from its stored points."""

    __tablename__ = "rebuilds"
    __table_args__ = (Index("ix_rebuilds_state_due_at", "state", "due_at"),)
    is_deleted_when_done = True

    metric_id: Mapped[int] = mapped_column(
        ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    reason: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column("requested_at", UtcDateTime)

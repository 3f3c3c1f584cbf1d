"""Trainings that wait until the points of their window suffice, a queue of jobs."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select

from anomify.anomaly.model import Anomaly, Span
from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.job.queue import Queue
from anomify.metric.model import Metric, Progress
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.pattern.made_patterns import (
    PatternFields,
    Trainer,
    make_patterns,
    onset_of,
    read_judged,
)
from anomify.pattern.model import (
    Pattern,
    PatternState,
    Scope,
    Training,
)
from anomify.pattern.points import (
    excursion_in,
)
from anomify.pattern.trainability import (
    SENTENCES,
    SETTLED_AFTER_MS,
    TrainingRefusal,
    refusal_of,
)

TRAINING_LEASE: Final = timedelta(minutes=5)
MOST_TRAINING_ATTEMPTS: Final = 5
# A window of thirty days that has too few points is tried again daily until then.
POINTS_AWAITED_FOR: Final = timedelta(days=30)
TRY_AGAIN_AFTER: Final = timedelta(days=1)


def _pause(attempts: int) -> timedelta:
    return TRAINING_LEASE * attempts


TRAININGS: Final = Queue(Training, TRAINING_LEASE, MOST_TRAINING_ATTEMPTS, _pause)


def is_training_due(at: datetime) -> bool:
    """Return whether a claim might find a waiting training; this changes and locks nothing."""
    return TRAININGS.is_any_due(at)


def claim_training(at: datetime) -> Training | None:
    """Lease the training that has been due longest to the caller; None where none is due."""
    claimed = TRAININGS.claim(at, 1)
    return claimed[0] if claimed else None


def complete_training(
    training_id: int, leased_until: datetime, points: PointStore, at: datetime
) -> Pattern | None:
    """Make the pattern of a claimed training; return it, or None where it has to wait or cannot.

    One whose points do not suffice yet is tried again daily, and refused with the reason when
    thirty days have passed.
    """
    training = TRAININGS.held(training_id, leased_until)
    if training is None:
        return None
    org = session().get_one(Org, training.org_id)
    anomaly = session().scalar(select(Anomaly).where(Anomaly.id == training.anomaly_id))
    span = session().get(Span, training.anomaly_id)
    progress = session().get(Progress, training.metric_id)
    if anomaly is None or span is None or progress is None or anomaly.expected is None:
        session().delete(training)
        return None
    if _is_group_unused(training):
        TRAININGS.give_up(training, "The other patterns of this training were disabled.", at)
        return None
    if span.is_open:
        _wait(training, at + timedelta(milliseconds=SETTLED_AFTER_MS))
        return None
    series = read_judged(points, span, progress, training.duration_seconds)
    refusal = refusal_of(
        series.times, span.started_ms, training.duration_seconds, progress.resolution_ms
    )
    excursion = excursion_in(series, onset_of(span), progress.resolution_ms, ZoneInfo(org.timezone))
    if refusal is not None or excursion is None:
        why = SENTENCES[refusal or TrainingRefusal.NO_DATA]
        if refusal == TrainingRefusal.TOO_SHORT and at - training.created_at < POINTS_AWAITED_FOR:
            training.last_error = why
            _wait(training, at + TRY_AGAIN_AFTER)
        else:
            TRAININGS.give_up(training, why, at)
        return None
    fields = PatternFields(
        org_id=org.id,
        metric=session().get_one(Metric, training.metric_id),
        anomaly_id=training.anomaly_id,
        positive=training.positive,
        label=training.label,
        scope=Scope(training.scope),
        trainer=Trainer(training.requested_by, training.user_id),
    )
    [pattern] = make_patterns(fields, excursion, series, [training.duration_seconds])
    pattern.group_id = training.group_id or pattern.id
    record_audit(
        org.id,
        actor=training.requested_by,
        action="pattern.create",
        target=fields.metric.name,
        after={"anomaly": training.anomaly_id, "pattern": pattern.id},
    )
    TRAININGS.finish(training.id, leased_until, at)
    return pattern


def fail_training(training_id: int, leased_until: datetime, problem: str, at: datetime) -> None:
    """Store why an attempt failed; it is repeated after a pause, or given up."""
    TRAININGS.fail(training_id, leased_until, problem, at)


def _is_group_unused(training: Training) -> bool:
    """Return whether the patterns that were made with a training are not in use any more."""
    if training.group_id is None:
        return False
    wanted = (
        Pattern.org_id == training.org_id,
        Pattern.group_id == training.group_id,
        Pattern.state == PatternState.ACTIVE,
    )
    return session().scalar(select(Pattern.id).where(*wanted).limit(1)) is None


def _wait(training: Training, until: datetime) -> None:
    training.due_at = until
    training.attempts = 0
    training.leased_until = None

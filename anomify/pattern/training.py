"""Train anomalies: patterns of what is expected, labels of what is not, and undoing both."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select

from anomify.anomaly.model import Anomaly, Span
from anomify.audit.recording import record_audit
from anomify.clock import datetime_from_ms, now, now_ms, to_ms
from anomify.db import session
from anomify.errors import Conflict, Invalid
from anomify.job.model import PENDING
from anomify.metric.model import Progress
from anomify.metric.name import has_unseen
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.pattern.lineage import set_state
from anomify.pattern.made_patterns import (
    PatternFields,
    Trainer,
    make_patterns,
    onset_of,
    read_judged,
)
from anomify.pattern.model import (
    ECHO_LABEL,
    LABEL_CHARACTERS_MAX,
    Pattern,
    PatternOrigin,
    PatternState,
    Scope,
    Training,
)
from anomify.pattern.points import (
    excursion_in,
)
from anomify.pattern.trainability import (
    DAY_SECONDS,
    DURATIONS,
    MONTH_SECONDS,
    SENTENCES,
    SETTLED_AFTER_MS,
    TRAINABLE_FOR_MS,
    WEEK_SECONDS,
    TrainingRefusal,
    refusal_of,
)
from anomify.user.profile import take_step

TRAINED_STEP: Final = "pattern_trained"


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What a person said of an anomaly, and for which windows patterns are wanted."""

    expected: bool
    durations: Collection[int] = (DAY_SECONDS, WEEK_SECONDS)
    label: str = ""
    scope: Scope = Scope.METRIC


@dataclass(slots=True)
class Trained:
    """The patterns that were made, the trainings that wait, and what was refused and why."""

    patterns: list[Pattern] = field(default_factory=list)
    pending: list[Training] = field(default_factory=list)
    refused: dict[int, TrainingRefusal] = field(default_factory=dict)


def train(
    org: Org, anomaly: Anomaly, request: TrainingRequest, points: PointStore, trainer: Trainer
) -> Trained:
    """Store what a person said of an anomaly, and make the patterns of up to seven days at once.

    A pattern of thirty days waits as a `Training`. Span and metric of the anomaly must be loaded.
    The other label than before replaces that; with the same one only missing windows are added.
    Raises Invalid for a bad request, and Conflict, with the reason as its code, where nothing can
    be trained or nothing is missing.
    """
    _check(request)
    _lock(anomaly)
    span = anomaly.span
    _refuse_unless_trainable(span)
    if anomaly.expected is None:
        # Patterns of a label that was taken back, and that were enabled again since.
        _withdraw(anomaly, trainer, "The anomaly was labelled again.")
    elif anomaly.expected != request.expected:
        _withdraw(anomaly, trainer, "The anomaly was labelled the other way.")
    made = _durations_made(anomaly)
    wanted = [seconds for seconds in request.durations if seconds not in made]
    if not wanted and anomaly.expected == request.expected:
        raise Conflict("It is trained like this already; undo that first.", code="already_trained")
    group_id = _group_of(anomaly, request.scope)
    trained = _make_at_once(org, anomaly, request, points, trainer, wanted)
    for pattern in trained.patterns:
        # Windows that are added later are of the same training: it counts as one label.
        pattern.group_id = group_id or pattern.group_id
    if MONTH_SECONDS in wanted:
        group_id = trained.patterns[0].group_id if trained.patterns else group_id
        trained.pending.append(_request_month(org, anomaly, request, trainer, group_id))
    if not trained.patterns and not trained.pending:
        refusal = next(iter(trained.refused.values()), TrainingRefusal.NO_DATA)
        raise Conflict(SENTENCES[refusal], code=refusal.value)
    anomaly.expected = request.expected
    anomaly.label = _tidy(request.label)
    anomaly.labelled_at = now()
    anomaly.labelled_by_id = trainer.user_id
    anomaly.labelled_by = trainer.name
    if trainer.user_id is not None:
        take_step(trainer.user_id, TRAINED_STEP)
    session().flush()
    record_audit(
        org.id,
        actor=trainer.name,
        action="anomaly.train",
        target=span.metric.name,
        after={
            "anomaly": anomaly.id,
            "expected": request.expected,
            "label": anomaly.label,
            "scope": request.scope.value,
            "patterns": [pattern.id for pattern in trained.patterns],
            "pending": [training.duration_seconds for training in trained.pending],
        },
    )
    return trained


def withdraw_label(anomaly: Anomaly, trainer: Trainer, reason: str = "") -> list[Pattern]:
    """Undo a training: forget the label and disable the anomaly's patterns; return these.

    Raises Conflict where the anomaly has no label.
    """
    _lock(anomaly)
    if anomaly.expected is None:
        raise Conflict("Nobody has labelled this anomaly.", code="not_trained")
    before = {"expected": anomaly.expected, "label": anomaly.label}
    disabled = _withdraw(anomaly, trainer, reason or "The training was undone.")
    record_audit(
        anomaly.org_id,
        actor=trainer.name,
        action="anomaly.untrain",
        target=anomaly.span.metric.name,
        before=before,
        after={"anomaly": anomaly.id, "disabled": [pattern.id for pattern in disabled]},
    )
    return disabled


def _check(request: TrainingRequest) -> None:
    problems = {}
    label = _tidy(request.label)
    if len(label) > LABEL_CHARACTERS_MAX:
        problems["label"] = f"A label has at most {LABEL_CHARACTERS_MAX} characters."
    elif has_unseen(label):
        problems["label"] = "A label holds no control or direction characters."
    if not request.durations or set(request.durations) - set(DURATIONS.values()):
        problems["durations"] = f"One or more of {', '.join(DURATIONS)}."
    if problems:
        raise Invalid("It cannot be trained like this.", fields=problems)


def _tidy(label: str) -> str:
    return " ".join(label.split())


def _lock(anomaly: Anomaly) -> None:
    """Wait for others who label the same anomaly, and read its label again."""
    session().flush()
    row = (
        session()
        .execute(
            select(Anomaly.expected, Anomaly.label)
            .where(Anomaly.id == anomaly.id)
            .with_for_update()
        )
        .one()
    )
    anomaly.expected, anomaly.label = row


def _refuse_unless_trainable(span: Span) -> None:
    refusal = None
    if span.is_silence:
        refusal = TrainingRefusal.NO_DATA
    elif span.watcher_id:
        refusal = TrainingRefusal.THRESHOLD
    elif not span.is_open and now_ms() > span.last_over_ms + TRAINABLE_FOR_MS:
        refusal = TrainingRefusal.TOO_OLD
    if refusal is not None:
        raise Conflict(SENTENCES[refusal], code=refusal.value)


def _durations_made(anomaly: Anomaly) -> set[int]:
    """Return the windows of which people made a pattern that is in use, or requested one."""
    made = select(Pattern.duration_seconds).where(
        Pattern.anomaly_id == anomaly.id,
        Pattern.origin == PatternOrigin.TRAINED,
        Pattern.state == PatternState.ACTIVE,
    )
    waiting = select(Training.duration_seconds).where(
        Training.anomaly_id == anomaly.id, Training.state == PENDING
    )
    return {*session().scalars(made), *session().scalars(waiting)}


def _group_of(anomaly: Anomaly, scope: Scope) -> int | None:
    """Return the group of the patterns in use that people made of an anomaly for this scope."""
    return session().scalar(
        select(Pattern.group_id)
        .where(
            Pattern.anomaly_id == anomaly.id,
            Pattern.origin == PatternOrigin.TRAINED,
            Pattern.state == PatternState.ACTIVE,
            Pattern.scope == scope,
        )
        .order_by(Pattern.id)
        .limit(1)
    )


def _make_at_once(
    org: Org,
    anomaly: Anomaly,
    request: TrainingRequest,
    points: PointStore,
    trainer: Trainer,
    wanted: Collection[int],
) -> Trained:
    trained = Trained()
    short = [seconds for seconds in wanted if seconds < MONTH_SECONDS]
    span = anomaly.span
    progress = session().get(Progress, span.metric_id)
    if not short:
        return trained
    if progress is None:
        trained.refused = dict.fromkeys(short, TrainingRefusal.NO_DATA)
        return trained
    series = read_judged(points, span, progress, max(short))
    excursion = excursion_in(series, onset_of(span), progress.resolution_ms, ZoneInfo(org.timezone))
    for seconds in short:
        refusal = refusal_of(series.times, span.started_ms, seconds, progress.resolution_ms)
        if refusal is not None or excursion is None:
            trained.refused[seconds] = refusal or TrainingRefusal.NO_DATA
    possible = {seconds for seconds in short if seconds not in trained.refused}
    if not possible or excursion is None:
        return trained
    has_echo = WEEK_SECONDS in possible and DAY_SECONDS not in request.durations
    fields = PatternFields(
        org_id=org.id,
        metric=span.metric,
        anomaly_id=anomaly.id,
        positive=not request.expected,
        label=_tidy(request.label),
        scope=request.scope,
        trainer=trainer,
    )
    durations = possible | {DAY_SECONDS} if has_echo else possible
    trained.patterns = make_patterns(fields, excursion, series, durations)
    for pattern in trained.patterns:
        # The one of an excursion that still runs becomes longer with it.
        pattern.is_growing = not excursion.is_complete and request.expected
        pattern.last_ms = max(pattern.last_ms, span.last_over_ms)
        if has_echo and pattern.duration_seconds == DAY_SECONDS:
            pattern.label = ECHO_LABEL
    return trained


def _request_month(
    org: Org, anomaly: Anomaly, request: TrainingRequest, trainer: Trainer, group_id: int | None
) -> Training:
    """Queue the training of thirty days; it is due an hour after the anomaly."""
    at = now()
    session().execute(
        delete(Training).where(
            Training.anomaly_id == anomaly.id, Training.duration_seconds == MONTH_SECONDS
        )
    )
    last_ms = to_ms(at) if anomaly.span.is_open else anomaly.span.last_over_ms
    training = Training(
        org_id=org.id,
        metric_id=anomaly.span.metric_id,
        metric=anomaly.span.metric,
        anomaly_id=anomaly.id,
        duration_seconds=MONTH_SECONDS,
        positive=not request.expected,
        label=_tidy(request.label),
        scope=request.scope.value,
        group_id=group_id,
        requested_by=trainer.name,
        user_id=trainer.user_id,
        created_at=at,
        due_at=max(at, datetime_from_ms(last_ms + SETTLED_AFTER_MS)),
    )
    session().add(training)
    return training


def _withdraw(anomaly: Anomaly, trainer: Trainer, reason: str) -> list[Pattern]:
    session().execute(
        delete(Training).where(Training.anomaly_id == anomaly.id, Training.state == PENDING)
    )
    patterns = list(
        session().scalars(
            select(Pattern).where(
                Pattern.anomaly_id == anomaly.id,
                Pattern.origin == PatternOrigin.TRAINED,
                Pattern.state == PatternState.ACTIVE,
            )
        )
    )
    at = now()
    for pattern in patterns:
        set_state(pattern, PatternState.DISABLED, by=trainer.name, at=at, reason=reason)
    anomaly.expected = None
    anomaly.label = None
    anomaly.labelled_at = None
    anomaly.labelled_by_id = None
    anomaly.labelled_by = None
    session().flush()
    return patterns

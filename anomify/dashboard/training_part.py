"""The question whether an anomaly was expected, and the answer that was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from anomify.anomaly.model import Anomaly
from anomify.auth.subject import subject
from anomify.clock import to_ms
from anomify.dashboard.layout import local_moment
from anomify.dashboard.pattern_link import name_of, pattern_url
from anomify.dashboard.wording import Moment, within_sentence
from anomify.edge.access import EDITOR
from anomify.edge.app_state import app_state
from anomify.metric.model import Progress
from anomify.pattern.family import family_hash
from anomify.pattern.figures import window_in_words
from anomify.pattern.model import Pattern, Training
from anomify.pattern.queries import patterns_by_anomaly, patterns_by_id, pending_by_anomaly
from anomify.pattern.trainability import MONTH_SECONDS, TrainableWindow, trainability


@dataclass(frozen=True, slots=True)
class WindowChoice:
    """A window that a pattern can keep; without a sentence in `reason` it can be chosen."""

    name: str
    words: str
    reason: str
    is_chosen: bool
    # When it is made, where that is not at once.
    ready: Moment | None


@dataclass(frozen=True, slots=True)
class PatternLink:
    """A pattern that was made of the anomaly, or one that explains it."""

    words: str
    url: str
    is_used: bool


@dataclass(frozen=True, slots=True)
class PendingPattern:
    """A pattern that is still to be made, and when."""

    words: str
    ready: Moment


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said of an anomaly, and what was made of it."""

    is_expected: bool
    label: str
    by: str
    at: Moment | None
    patterns: tuple[PatternLink, ...]
    pending: tuple[PendingPattern, ...]


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """The question about one anomaly, or the answer to it."""

    anomaly_id: int
    answer: Answer | None
    # Why it cannot be asked; empty if it can.
    reason: str
    may_answer: bool
    windows: tuple[WindowChoice, ...]
    has_family: bool
    # The question is shown open: the address of the page asks for that.
    is_open: bool
    # The pattern that explained it while it ran.
    ended_by: PatternLink | None
    outgrown: str


def training_part_of(anomaly: Anomaly, progress: Progress | None, *, is_open: bool) -> TrainingPart:
    """Return the question about an anomaly whose span and metric are loaded, or its answer."""
    org_id, span = subject().org.id, anomaly.span
    able = trainability(anomaly, progress, app_state().points)
    ended_by = None
    if span.ended_by_pattern_id is not None:
        known = patterns_by_id(org_id, [span.ended_by_pattern_id])
        ended_by = next((_link(pattern) for pattern in known.values()), None)
    return TrainingPart(
        anomaly_id=anomaly.id,
        answer=None if anomaly.expected is None else _answer(anomaly, is_expected=anomaly.expected),
        reason=able.reason or "",
        may_answer=EDITOR.allows(subject()),
        windows=tuple(_choice(window) for window in able.windows),
        has_family=family_hash(span.metric.name) is not None,
        is_open=is_open,
        ended_by=ended_by,
        outgrown=span.outgrown_reason or "",
    )


def _answer(anomaly: Anomaly, *, is_expected: bool) -> Answer:
    org_id = subject().org.id
    made = patterns_by_anomaly(org_id, [anomaly.id]).get(anomaly.id, [])
    waiting = pending_by_anomaly(org_id, [anomaly.id]).get(anomaly.id, [])
    at = anomaly.labelled_at
    return Answer(
        is_expected=is_expected,
        label=anomaly.label or "",
        by=anomaly.labelled_by or "",
        at=None if at is None else within_sentence(local_moment(to_ms(at))),
        patterns=tuple(
            PatternLink(
                window_in_words(pattern.duration_seconds), pattern_url(pattern.id), pattern.enabled
            )
            for pattern in sorted(made, key=lambda one: one.duration_seconds)
            if pattern.positive is not is_expected and pattern.enabled
        ),
        pending=_pending(waiting),
    )


def _pending(waiting: Sequence[Training]) -> tuple[PendingPattern, ...]:
    return tuple(
        PendingPattern(
            window_in_words(training.duration_seconds),
            within_sentence(local_moment(to_ms(training.due_at))),
        )
        for training in waiting
    )


def _choice(window: TrainableWindow) -> WindowChoice:
    is_possible = window.refusal is None
    return WindowChoice(
        name=window.name,
        words=window_in_words(window.duration_seconds),
        reason=window.reason or "",
        is_chosen=is_possible and window.duration_seconds != MONTH_SECONDS,
        ready=(
            None
            if window.ready_ms is None or not is_possible
            else within_sentence(local_moment(window.ready_ms))
        ),
    )


def _link(pattern: Pattern) -> PatternLink:
    return PatternLink(name_of(pattern), pattern_url(pattern.id), pattern.enabled)

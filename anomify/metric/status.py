"""The status of a metric: whether it is judged, and if not, why."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from anomify.clock import to_ms
from anomify.detection.state import LEARNING_POINTS
from anomify.metric.model import Metric, Progress

# A metric that has been silent for this long is inactive.
INACTIVE_AFTER_MS = 86_400_000


class State(StrEnum):
    """The states of a metric."""

    WAITING = "waiting"
    LEARNING = "learning"
    JUDGED = "judged"
    CONSTANT = "constant"
    STALE = "stale"
    ENDED = "ended"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True)
class MetricStatus:
    """A metric with its state and progress."""

    metric: Metric
    progress: Progress | None
    state: State
    # The number of learned points, at most `learning_points`.
    learned: int
    # The number of points after which it is judged; fewer if they are hours or days apart.
    learning_points: int
    sentence: str
    # Judging it kept failing, so it is left out until a rebuild succeeds.
    is_isolated: bool = False

    @property
    def is_judged(self) -> bool:
        """Return whether the next point will be judged."""
        is_left_out = self.state is State.EXCLUDED or self.is_isolated
        return not is_left_out and self.learned >= self.learning_points


def status_of(metric: Metric, progress: Progress | None, at: datetime) -> MetricStatus:
    """Return the status of a metric at this time."""
    if metric.excluded_by is not None:
        sentence = "Excluded: its points are kept, but not judged."
        learned = min(progress.points_seen, progress.learning_points) if progress else 0
        most = progress.learning_points if progress else LEARNING_POINTS
        return MetricStatus(metric, progress, State.EXCLUDED, learned, most, sentence)
    if progress is None:
        sentence = "Waiting: its first points have arrived and are judged in a moment."
        return MetricStatus(metric, None, State.WAITING, 0, LEARNING_POINTS, sentence)
    learned = min(progress.points_seen, progress.learning_points)
    state, sentence = _state(progress, learned, to_ms(at))
    return MetricStatus(metric, progress, state, learned, progress.learning_points, sentence)


def isolated(status: MetricStatus) -> MetricStatus:
    """Return the status of a metric that is isolated because judging it kept failing."""
    sentence = (
        "Not judged: judging it failed several times. Its points are kept, and it is retried every"
        " day; the operator of this server can see the reason with `anomify doctor`."
    )
    return replace(status, sentence=sentence, is_isolated=True)


def inactive_since_ms(status: MetricStatus, at: datetime) -> int | None:
    """Return since when a metric is inactive: it has ended, or been silent for a day."""
    progress = status.progress
    if progress is None:
        return None
    if progress.has_ended:
        return progress.judged_until_ms
    since_ms = progress.judged_until_ms + INACTIVE_AFTER_MS
    is_over = since_ms < to_ms(at)
    return since_ms if is_over and not progress.may_be_silent else None


def _state(progress: Progress, learned: int, now_ms: int) -> tuple[State, str]:
    if progress.has_ended:
        return State.ENDED, "Ended: its sender has marked the series as ended."
    silent_ms = now_ms - progress.judged_until_ms
    if silent_ms > progress.stale_after_ms and not progress.may_be_silent:
        return State.STALE, f"Stale: no point for {duration_in_words(silent_ms)}."
    if learned < progress.learning_points:
        return State.LEARNING, f"Learning: {learned} of {progress.learning_points} points."
    if progress.is_constant:
        return State.CONSTANT, "Constant: one value for a long time; a change will be judged."
    return State.JUDGED, "Judged: every new point is compared with its own past."


def duration_in_words(duration_ms: int) -> str:
    """Return a duration in words: 40 seconds, 12 minutes, 3 hours, 5 days."""
    seconds = max(duration_ms, 0) // 1000
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size or (seconds >= size and size == 60):  # noqa: PLR2004 -- "2 hours" up
            count = seconds // size
            return f"{count} {word}" if count == 1 else f"{count} {word}s"
    return f"{seconds} second" if seconds == 1 else f"{seconds} seconds"

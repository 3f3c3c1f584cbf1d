"""Where a metric stands: is it judged, and if not, why not."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from anomify.detection.state import LEARNING_POINTS
from anomify.metric.model import Metric, Progress

# A metric that has missed this many of its own steps is stale, but never before five minutes.
STALE_STEPS = 5
STALE_LEAST_MS = 300_000
# Before its step is known.
STALE_UNKNOWN_MS = 900_000


class State(StrEnum):
    """The words in which the product says how a metric is doing."""

    WAITING = "waiting"
    LEARNING = "learning"
    JUDGED = "judged"
    CONSTANT = "constant"
    STALE = "stale"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """A metric with what is known about it now."""

    metric: Metric
    progress: Progress | None
    state: State
    # Points learnt, at most LEARNING_POINTS.
    learned: int
    sentence: str

    @property
    def is_judged(self) -> bool:
        """Tell whether the next point will be judged when it comes."""
        return self.learned >= LEARNING_POINTS


def stale_after_ms(resolution_ms: int) -> int:
    """Return after how much silence a metric of this resolution counts as stale."""
    if resolution_ms <= 0:
        return STALE_UNKNOWN_MS
    return max(STALE_STEPS * resolution_ms, STALE_LEAST_MS)


def standing_of(metric: Metric, progress: Progress | None, at: datetime) -> Standing:
    """Say where the metric stands at that moment."""
    if progress is None:
        sentence = "Waiting: its first points have arrived and are judged in a moment."
        return Standing(metric, None, State.WAITING, 0, sentence)
    learned = min(progress.points_seen, LEARNING_POINTS)
    state, sentence = _state(progress, learned, int(at.timestamp() * 1000))
    return Standing(metric, progress, state, learned, sentence)


def _state(progress: Progress, learned: int, now_ms: int) -> tuple[State, str]:
    if progress.has_ended:
        return State.ENDED, "Ended: its sender said that the series has ended."
    silent_ms = now_ms - progress.judged_until_ms
    if silent_ms > stale_after_ms(progress.resolution_ms):
        return State.STALE, f"Stale: no point for {in_words(silent_ms)}."
    if learned < LEARNING_POINTS:
        return State.LEARNING, f"Learning: {learned} of {LEARNING_POINTS} points."
    if progress.is_constant:
        return State.CONSTANT, "Constant: one value for a long time; a change will be judged."
    return State.JUDGED, "Judged: every new point is compared with its own past."


def in_words(duration_ms: int) -> str:
    """Say a duration as a person would: 40 seconds, 12 minutes, 3 hours, 5 days."""
    seconds = max(duration_ms, 0) // 1000
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size or (seconds >= size and size == 60):  # noqa: PLR2004 -- "2 hours" up
            count = seconds // size
            return f"{count} {word}" if count == 1 else f"{count} {word}s"
    return f"{seconds} second" if seconds == 1 else f"{seconds} seconds"

"""Whether an anomaly can be trained, with the reason and the windows that are possible."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from anomify.anomaly.model import Anomaly, Span
from anomify.clock import now_ms
from anomify.metric.model import Progress
from anomify.metric.store import PointStore
from anomify.series import Int64s, Series

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
TRAINABLE_FOR_MS: Final = 14 * DAY_MS
"""An anomaly can be trained so long after its last point."""

DAY_SECONDS: Final = 86_400
WEEK_SECONDS: Final = 7 * DAY_SECONDS
MONTH_SECONDS: Final = 30 * DAY_SECONDS
DURATIONS: Final[Mapping[str, int]] = {
    "24h": DAY_SECONDS,
    "7d": WEEK_SECONDS,
    "30d": MONTH_SECONDS,
}
"""The windows of a pattern: how much of the metric's past is kept with the excursion."""

SETTLED_AFTER_MS: Final = HOUR_MS
"""A window of thirty days is taken this long after the anomaly, when its points are complete."""

# A window needs so many points before the anomaly, and this share of those that it could have.
LEAST_POINTS: Final = 12
LEAST_SHARE: Final = 0.5
# Windows longer than a day need points of this share of their time.
LEAST_COVERED: Final = 0.5


class TrainingRefusal(StrEnum):
    """Why something cannot be trained."""

    TOO_OLD = "too_old"
    NO_DATA = "no_data"
    THRESHOLD = "threshold"
    TOO_SHORT = "too_short"
    GAPS = "gaps"


SENTENCES: Final[Mapping[TrainingRefusal, str]] = {
    TrainingRefusal.TOO_OLD: "It ended over 14 days ago; what happens next time can be trained.",
    TrainingRefusal.NO_DATA: "No points of it are stored, so there is nothing to learn from.",
    TrainingRefusal.THRESHOLD: "It is over a watcher's threshold; change the threshold instead.",
    TrainingRefusal.TOO_SHORT: "The metric has too few points before it for this window.",
    TrainingRefusal.GAPS: "Over half of the points of this window are missing.",
}


@dataclass(frozen=True, slots=True)
class TrainableWindow:
    """One of DURATIONS: whether it can be trained, else why not.

    Before `ready_ms`, unix milliseconds, it is not made at once but waits.
    """

    name: str
    duration_seconds: int
    refusal: TrainingRefusal | None
    ready_ms: int | None = None

    @property
    def reason(self) -> str | None:
        """Return in a sentence why it cannot be trained; None if it can."""
        return None if self.refusal is None else SENTENCES[self.refusal]


@dataclass(frozen=True, slots=True)
class Trainability:
    """Whether an anomaly can be trained until a time, else why not, and its windows."""

    refusal: TrainingRefusal | None
    until_ms: int
    windows: tuple[TrainableWindow, ...]

    @property
    def is_trainable(self) -> bool:
        """Return whether any window can be trained."""
        return self.refusal is None

    @property
    def reason(self) -> str | None:
        """Return in a sentence why it cannot be trained; None if it can."""
        return None if self.refusal is None else SENTENCES[self.refusal]


def trainability(
    anomaly: Anomaly, progress: Progress | None = None, points: PointStore | None = None
) -> Trainability:
    """Return whether an anomaly can be trained and with which windows; its span must be loaded.

    Without `points` and `progress` only its age and its kind count, as in lists; with both, its
    stored points do as well.
    """
    span = anomaly.span
    until_ms = span.last_over_ms + TRAINABLE_FOR_MS
    if span.is_silence:
        return _refused(TrainingRefusal.NO_DATA, until_ms)
    if span.watcher_id:
        return _refused(TrainingRefusal.THRESHOLD, until_ms)
    if not span.is_open and now_ms() > until_ms:
        return _refused(TrainingRefusal.TOO_OLD, until_ms)
    if points is None or progress is None:
        refusals: dict[int, TrainingRefusal | None] = dict.fromkeys(DURATIONS.values())
    else:
        series = points.read(
            span.metric_id, span.started_ms - MONTH_SECONDS * 1000, span.started_ms + 1
        )
        refusals = {
            seconds: refusal_of(series.times, span.started_ms, seconds, progress.resolution_ms)
            for seconds in DURATIONS.values()
        }
    windows = tuple(
        TrainableWindow(
            name, seconds, refusals[seconds], _ready_ms(span) if seconds == MONTH_SECONDS else None
        )
        for name, seconds in DURATIONS.items()
    )
    if all(window.refusal is not None for window in windows):
        return Trainability(windows[0].refusal, until_ms, windows)
    return Trainability(None, until_ms, windows)


def refusal_of(
    times: Int64s, started_ms: int, duration_seconds: int, step_ms: int
) -> TrainingRefusal | None:
    """Return why a window before an anomaly cannot be trained, by the times of its points."""
    row = int(np.searchsorted(times, started_ms))
    if row == len(times) or int(times[row]) != started_ms:
        return TrainingRefusal.NO_DATA
    first = int(np.searchsorted(times, started_ms - duration_seconds * 1000))
    count = row - first
    if count < LEAST_POINTS:
        return TrainingRefusal.TOO_SHORT
    covered_ms = started_ms - int(times[first])
    if duration_seconds > DAY_SECONDS and covered_ms < LEAST_COVERED * duration_seconds * 1000:
        return TrainingRefusal.TOO_SHORT
    if count * max(step_ms, 1) < LEAST_SHARE * covered_ms:
        return TrainingRefusal.GAPS
    return None


def window_in(series: Series, started_ms: int, duration_seconds: int) -> Series:
    """Return the points of a series from the beginning of a window on."""
    first = int(np.searchsorted(series.times, started_ms - duration_seconds * 1000))
    return series.of(np.arange(first, len(series)))


def _ready_ms(span: Span) -> int:
    return (now_ms() if span.is_open else span.last_over_ms) + SETTLED_AFTER_MS


def _refused(refusal: TrainingRefusal, until_ms: int) -> Trainability:
    windows = tuple(TrainableWindow(name, seconds, refusal) for name, seconds in DURATIONS.items())
    return Trainability(refusal, until_ms, windows)

"""Whether an anomaly can be trained, in a word and in a sentence."""

from anomify.anomaly.model import Anomaly
from anomify.pattern.trainability import (
    SETTLED_AFTER_MS,
    TRAINABLE_FOR_MS,
    Trainability,
    TrainingRefusal,
)


def training_status(anomaly: Anomaly, able: Trainability) -> str:
    """Return in one word whether an anomaly can be trained: trainable, trained, or why not."""
    if anomaly.expected is not None:
        return "trained"
    if able.refusal is TrainingRefusal.TOO_OLD:
        return "expired"
    return "trainable" if able.refusal is None else able.refusal.value


def training_reason(anomaly: Anomaly, able: Trainability) -> str:
    """Return in a sentence why an anomaly cannot be trained; empty if it can."""
    if anomaly.expected is not None:
        said = "expected" if anomaly.expected else "unexpected"
        return f"{anomaly.labelled_by} called it {said}; the other answer replaces this one."
    return able.reason or ""


def month_ready_ms(able: Trainability) -> int:
    """Return from when on a window of thirty days can be made, unix milliseconds."""
    waiting = [window.ready_ms for window in able.windows if window.ready_ms is not None]
    return waiting[0] if waiting else able.until_ms - TRAINABLE_FOR_MS + SETTLED_AFTER_MS

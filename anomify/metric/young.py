"""Until when a metric is new, so that only strong deviations of it are reported."""

from datetime import datetime

from anomify.clock import datetime_from_ms, to_ms
from anomify.detection.state import YOUNG_SECONDS
from anomify.metric.intake import FUTURE_MS
from anomify.metric.model import Metric, Progress
from anomify.metric.status import MetricStatus

# A metric is created when its first point arrives, whose time may lie a little ahead of it.
MOST_YOUNG_MS = int(YOUNG_SECONDS * 1000) + FUTURE_MS


def young_until_ms(status: MetricStatus, at: datetime) -> int | None:
    """Return until when only strong deviations of a metric are reported, in unix milliseconds.

    None once that is over, while the metric is learning, and where it is not judged at all.
    """
    if not status.is_judged or status.progress is None:
        return None
    until_ms = _young_until_ms(status.metric, status.progress)
    return until_ms if until_ms > to_ms(at) else None


def was_young(metric: Metric, progress: Progress | None, at_ms: int) -> bool:
    """Return whether a metric was new at that moment, unix milliseconds."""
    return progress is not None and at_ms < _young_until_ms(metric, progress)


def with_young_sentence(sentence: str, until_ms: int | None) -> str:
    """Return the sentence of a metric's status and, while it is new, another one about that."""
    if until_ms is None:
        return sentence
    until = f"{datetime_from_ms(until_ms):%Y-%m-%d %H:%M} UTC"
    return f"{sentence} New: until {until} only strong deviations are reported."


def _young_until_ms(metric: Metric, progress: Progress) -> int:
    """Return until when a metric is or was new, 0 where that is not known.

    What is stored is later than it can be where an older version began to judge the metric, and
    this one has learnt it again from a part of its past.
    """
    until_ms = progress.young_until_ms
    return until_ms if until_ms <= to_ms(metric.created_at) + MOST_YOUNG_MS else 0

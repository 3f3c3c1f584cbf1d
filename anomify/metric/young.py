"""Until when a metric is new, so that only strong deviations of it are reported."""

from datetime import datetime

import numpy as np

from anomify.clock import datetime_from_ms, to_ms
from anomify.detection.state import YOUNG_SECONDS, describe
from anomify.metric.intake import FUTURE_MS
from anomify.metric.state import find_state
from anomify.metric.status import MetricStatus

# A metric is created when its first point arrives, whose time may lie a little ahead of it.
MOST_YOUNG_MS = int(YOUNG_SECONDS * 1000) + FUTURE_MS


def young_until_ms(status: MetricStatus, at: datetime) -> int | None:
    """Return until when only strong deviations of a metric are reported, in unix milliseconds.

    None once that is over, while the metric is learning, and where it is not judged at all. The
    time is that of the last stored state of the engine, which is stored within seconds after the
    metric has learnt enough to be judged.
    """
    if not status.is_judged or to_ms(status.metric.created_at) + MOST_YOUNG_MS <= to_ms(at):
        return None
    found = find_state(status.metric.id)
    if found is None:
        return None
    state, slot = found
    until_ms = int(describe(state, np.array([slot])).young_until_ms[0])
    return until_ms if until_ms > to_ms(at) else None


def with_young_sentence(sentence: str, until_ms: int | None) -> str:
    """Return the sentence of a metric's status and, while it is new, another one about that."""
    if until_ms is None:
        return sentence
    until = f"{datetime_from_ms(until_ms):%Y-%m-%d %H:%M} UTC"
    return f"{sentence} New: until {until} only strong deviations are reported."

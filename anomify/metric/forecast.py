"""The expected range of a metric after its newest point, for a day."""

from anomify.detection.forecast import HORIZON_MS, Forecast, forecast
from anomify.metric.state import find_state
from anomify.metric.status import MetricStatus, State

_WITHOUT_FORECAST = (State.ENDED, State.EXCLUDED)


def expected_ahead(status: MetricStatus, from_ms: int, until_ms: int, now_ms: int) -> Forecast:
    """Return the expected range for the part of the window after the metric's newest point.

    It ends a day after now, and at most two days after the newest point. It is computed from the
    last stored state of the engine, which is at most a quarter of an hour old, and is the same for
    every window. It is empty while the metric is learning.
    """
    progress = status.progress
    until_ms = min(until_ms, now_ms + HORIZON_MS)
    if (
        progress is None
        or status.state in _WITHOUT_FORECAST
        or until_ms <= progress.judged_until_ms
    ):
        return Forecast.empty()
    found = find_state(status.metric.id)
    if found is None:
        return Forecast.empty()
    return forecast(*found).between(max(from_ms, progress.judged_until_ms + 1), until_ms)

"""The expected range of a metric after its newest point, for a day."""

from anomify.detection.forecast import HORIZON_MS, Forecast, forecast
from anomify.metric.state import find_state
from anomify.metric.status import MetricStatus, State

_SILENT = (State.ENDED, State.EXCLUDED)


def expected_ahead(standing: MetricStatus, from_ms: int, until_ms: int, now_ms: int) -> Forecast:
    """Return the expected range for the part of the window after the metric's newest point.

    It reaches a day ahead of now, and no further than two days beyond the newest point. It is made
    from what the engine knew when its memory was last kept, a quarter of an hour ago at the most,
    and is the same for every window. There is none while the metric learns.
    """
    progress = standing.progress
    until_ms = min(until_ms, now_ms + HORIZON_MS)
    if progress is None or standing.state in _SILENT or until_ms <= progress.judged_until_ms:
        return Forecast.empty()
    found = find_state(standing.metric.id)
    if found is None:
        return Forecast.empty()
    return forecast(*found).between(max(from_ms, progress.judged_until_ms + 1), until_ms)

"""How completely a metric reports: the share of expected points that arrived."""

from typing import Final

from anomify.clock import to_ms
from anomify.metric.reading import MOST_RAW
from anomify.metric.status import MetricStatus
from anomify.metric.store import PointStore

DAY_MS: Final = 86_400_000


def sparsity(points: PointStore, status: MetricStatus, at_ms: int) -> float | None:
    """Return the share of the last day's expected points that arrived, in percent.

    For a metric younger than a day, since its first point. None until its resolution is known.
    """
    progress, metric = status.progress, status.metric
    if progress is None or progress.resolution_ms <= 0:
        return None
    from_ms = at_ms - DAY_MS
    series = points.read(metric.id, from_ms, at_ms + 1, most_points=MOST_RAW)
    first_ms = to_ms(metric.created_at)
    if len(series):
        # Its first points may be older than the metric.
        first_ms = min(first_ms, int(series.times[0]))
    due = (at_ms - max(from_ms, first_ms)) / progress.resolution_ms
    return round(min(100.0 * len(series) / max(due, 1.0), 100.0), 1)

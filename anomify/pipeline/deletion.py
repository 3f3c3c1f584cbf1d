"""The story of a metric that somebody deletes: what goes with it, and in which order."""

from dataclasses import dataclass

from anomify.anomaly.deletion import count_anomalies_of, delete_anomalies_of
from anomify.delivery.queries import count_messages_about
from anomify.metric.deleting import delete_metric
from anomify.metric.model import Metric
from anomify.metric.store import PointStore


@dataclass(frozen=True, slots=True)
class DeletionCounts:
    """What goes with a metric."""

    points: int
    anomalies: int
    messages: int


def count_deletions(metric: Metric, points: PointStore) -> DeletionCounts:
    """Count what would go with a metric; all its points are looked at."""
    return DeletionCounts(
        points=points.count(metric.id),
        anomalies=count_anomalies_of(metric.id),
        messages=count_messages_about(metric.id),
    )


def delete_with_all(metric: Metric, actor: str) -> None:
    """Delete a metric with its anomalies and the messages about them, told or not."""
    delete_anomalies_of(metric.id)
    delete_metric(metric, actor)

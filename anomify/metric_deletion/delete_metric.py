"""Count and delete a metric's points, anomalies and messages."""

from dataclasses import dataclass

from anomify.anomaly.deletion import count_anomalies_of, delete_anomalies_of
from anomify.delivery.queries import count_messages_about
from anomify.match.queries import list_explained_elsewhere
from anomify.metric.deleting import delete_metric
from anomify.metric.model import Metric
from anomify.metric.store import PointStore
from anomify.pattern.changes import note_deletion
from anomify.pattern.lineage import keep_for_matches
from anomify.silence.editing import end_silences_of_metric


@dataclass(frozen=True, slots=True)
class DeletionCounts:
    """How much is deleted with a metric."""

    points: int
    anomalies: int
    messages: int


def count_deletions(metric: Metric, points: PointStore) -> DeletionCounts:
    """Count what would be deleted with a metric; this reads all its points."""
    return DeletionCounts(
        points=points.count(metric.id),
        anomalies=count_anomalies_of(metric.id),
        messages=count_messages_about(metric.id),
    )


def delete_metric_and_anomalies(metric: Metric, actor: str) -> None:
    """Delete a metric with its anomalies and the messages about them, sent or not.

    Silences that are only about it end. Its patterns are deleted with it, but for those that have
    explained other metrics of its family.
    """
    delete_anomalies_of(metric.id)
    keep_for_matches(metric, list_explained_elsewhere(metric.id), actor)
    end_silences_of_metric(metric.org_id, metric.name, actor)
    note_deletion(metric.org_id, metric.id)
    delete_metric(metric, actor)

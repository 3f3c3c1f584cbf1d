"""Delete the anomalies of a metric that is deleted."""

from sqlalchemy import delete, func, select

from anomify.anomaly.model import Anomaly, Span
from anomify.db import session


def count_anomalies_of(metric_id: int) -> int:
    """Count the anomalies of a metric."""
    counted = select(func.count()).select_from(Span).where(Span.metric_id == metric_id)
    return session().scalar(counted) or 0


def delete_anomalies_of(metric_id: int) -> None:
    """Delete the anomalies of a metric, whatever their status."""
    found = select(Span.anomaly_id).where(Span.metric_id == metric_id)
    session().execute(delete(Anomaly).where(Anomaly.id.in_(found)))

"""Orgs with a metric, its points and its anomalies, made by the domain packages themselves."""

import hashlib
from datetime import UTC, datetime

import numpy as np

from anomify.anomaly.model import Span
from anomify.anomaly.recording import Observation, close_anomaly, extend_anomaly, open_anomaly
from anomify.clock import now
from anomify.db import session
from anomify.metric.model import Metric, Progress
from anomify.metric.store import PointStore
from anomify.org.creating import create_org
from anomify.org.model import Org
from anomify.series import Points
from anomify.storage.log import Entry

MINUTE = 60_000
HOUR = 60 * MINUTE
# Long ago, so that a window around it is over: 5 March 2026, noon.
NOON = int(datetime(2026, 3, 5, 12, tzinfo=UTC).timestamp() * 1000)


def org_with_metric(name: str, metric_name: str, *, is_counter: bool = False) -> tuple[Org, Metric]:
    """Make an org and one metric of it that reports once a minute."""
    org = create_org(name)
    metric = Metric(
        org_id=org.id,
        name=metric_name,
        name_hash=hashlib.sha256(metric_name.encode()).digest(),
        created_at=now(),
    )
    session().add(metric)
    session().flush()
    session().add(
        Progress(
            metric_id=metric.id,
            judged_until_ms=NOON + 2 * HOUR,
            points_seen=1_000,
            last_value=1.0,
            resolution_ms=MINUTE,
            is_counter=is_counter,
        )
    )
    session().flush()
    return org, metric


def anomaly_at(metric: Metric, first_ms: int, last_ms: int, *, is_open: bool = False) -> Span:
    """Record an anomaly of the metric from its first to its last point."""
    span = open_anomaly(metric, _sighting(first_ms))
    extend_anomaly(span, _sighting(last_ms))
    if not is_open:
        close_anomaly(span)
    session().flush()
    return span


def give_points(store: PointStore, metric: Metric, first_ms: int, values: list[float]) -> None:
    """Append one value a minute."""
    times = first_ms + np.arange(len(values), dtype=np.int64) * MINUTE
    ids = np.full(len(values), metric.id, np.int64)
    store.append(Entry(Points(ids, times, np.array(values, np.float64)), Points.empty()))


def _sighting(time_ms: int) -> Observation:
    return Observation(
        time_ms=time_ms,
        value=9.0,
        expected_lower=1.0,
        expected_upper=2.0,
        score=0.8,
        alert=5.0,
        severity="high",
        evidence="level",
        explanation="Far above what was expected.",
    )

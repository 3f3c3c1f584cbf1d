"""Deleting metrics: the row goes at once, what it had follows, and its id never comes back."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, literal, select, update

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.metric.model import DeletedMetric, Metric

# By then nothing of a metric waits in the log any more, whoever had not heard that it is gone.
SETTLED_AFTER: Final = timedelta(hours=1)
# No process sleeps for longer and wakes with an old id.
REMEMBERED_FOR: Final = timedelta(days=30)
# Databases bound the number of values in one statement.
MOST_IDS: Final = 500


def delete_metric(metric: Metric, actor: str) -> None:
    """Delete a metric and all rows that are only about it; its place in the quota is free.

    Its points follow within the hour. The next point of its name makes a new metric, which knows
    nothing of this one.
    """
    record_audit(metric.org_id, actor=actor, action="metric.delete", target=metric.name)
    session().add(DeletedMetric(metric_id=metric.id, deleted_at=now()))
    # The database takes along what belongs to it.
    session().execute(delete(Metric).where(Metric.id == metric.id))


def bury_metrics_of(org_id: int) -> None:
    """Remember the ids of all metrics of an org that is about to be deleted."""
    session().execute(
        insert(DeletedMetric).from_select(
            ["metric_id", "deleted_at"],
            select(Metric.id, literal(now(), DeletedMetric.deleted_at.type)).where(
                Metric.org_id == org_id
            ),
        )
    )


def deleted_ids() -> frozenset[int]:
    """Return the ids of metrics that were deleted of late; points for them are nobody's."""
    return frozenset(session().scalars(select(DeletedMetric.metric_id)))


def list_unsettled(at: datetime) -> list[tuple[int, bool]]:
    """Return metrics whose points are still to be deleted, and whether that is then for good."""
    rows = session().execute(
        select(DeletedMetric.metric_id, DeletedMetric.deleted_at)
        .where(DeletedMetric.points_gone_at.is_(None))
        .limit(MOST_IDS)
    )
    return [(metric_id, deleted_at <= at - SETTLED_AFTER) for metric_id, deleted_at in rows]


def settle_deleted(metric_ids: Iterable[int], at: datetime) -> None:
    """Note that the points of these metrics are gone for good, and forget the oldest ids."""
    session().execute(
        update(DeletedMetric)
        .where(DeletedMetric.metric_id.in_(list(metric_ids)))
        .values(points_gone_at=at)
    )
    session().execute(
        delete(DeletedMetric).where(
            DeletedMetric.points_gone_at.is_not(None),
            DeletedMetric.deleted_at < at - REMEMBERED_FOR,
        )
    )

"""Every question asked about deliveries, for people to see; the org comes first."""

from collections.abc import Sequence

from sqlalchemy import func, select

from anomify.db import batches, session
from anomify.delivery.facts import OPENED
from anomify.delivery.model import SENT, Delivery
from anomify.job.model import DEAD


def count_messages_about(metric_id: int) -> int:
    """Count the messages about a metric, sent or waiting."""
    counted = select(func.count()).select_from(Delivery).where(Delivery.metric_id == metric_id)
    return session().scalar(counted) or 0


def notified_among(anomaly_ids: Sequence[int]) -> set[int]:
    """Return those of the anomalies that have an opened message, sent or waiting."""
    notified: set[int] = set()
    for some in batches(anomaly_ids):
        notified |= set(
            session().scalars(
                select(Delivery.anomaly_id).where(
                    Delivery.anomaly_id.in_(some),
                    Delivery.transition == OPENED,
                    Delivery.state != DEAD,
                )
            )
        )
    return notified


def latest_problems(org_id: int, watcher_ids: Sequence[int]) -> dict[int, str]:
    """Return, by watcher id, why its latest message has not arrived; most have no problem."""
    if not watcher_ids:
        return {}
    age = func.row_number().over(
        partition_by=Delivery.watcher_id, order_by=(Delivery.created_at.desc(), Delivery.id)
    )
    attempted = (
        select(Delivery.watcher_id, Delivery.state, Delivery.last_error, age.label("age"))
        .where(
            Delivery.org_id == org_id,
            Delivery.watcher_id.in_(watcher_ids),
            Delivery.attempts > 0,
        )
        .subquery()
    )
    rows = session().execute(
        select(attempted.c.watcher_id, attempted.c.last_error).where(
            attempted.c.age == 1,
            attempted.c.state != SENT,
            attempted.c.last_error.is_not(None),
        )
    )
    return {row[0]: row[1] for row in rows}

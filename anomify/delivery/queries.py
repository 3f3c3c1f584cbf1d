"""Every question asked about deliveries, for people to see; the org comes first."""

from collections.abc import Sequence

from sqlalchemy import func, select

from anomify.db import Page, batches, session
from anomify.delivery.model import SENT, Delivery, DeliveryAttempt, Notification
from anomify.errors import NotFound
from anomify.incident.model import IncidentMember

MOST_DELIVERIES = 500
ATTEMPTS_SHOWN_MOST = 20


def count_messages_about(metric_id: int) -> int:
    """Count the messages about a metric, sent or waiting."""
    counted = select(func.count()).select_from(Delivery).where(Delivery.metric_id == metric_id)
    return session().scalar(counted) or 0


def notified_among(anomaly_ids: Sequence[int]) -> set[int]:
    """Return those of the anomalies of whose incident a message was enqueued."""
    notified: set[int] = set()
    for some in batches(anomaly_ids):
        notified |= set(
            session().scalars(
                select(IncidentMember.anomaly_id)
                .join(Notification, Notification.incident_id == IncidentMember.incident_id)
                .where(IncidentMember.anomaly_id.in_(some), Notification.sequence > 0)
            )
        )
    return notified


def get_delivery(org_id: int, delivery_id: str) -> Delivery:
    """Return the org's message. Raises `NotFound`."""
    found = session().scalar(
        select(Delivery).where(Delivery.org_id == org_id, Delivery.id == delivery_id)
    )
    if found is None:
        raise NotFound("Your org has no message with this id; /deliveries/list lists them.")
    return found


def list_deliveries(
    org_id: int,
    *,
    state: str | None = None,
    incident_id: int | None = None,
    watcher_id: int | None = None,
    contact_point_id: int | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[Delivery]:
    """List the org's messages, the latest first."""
    wanted = [Delivery.org_id == org_id]
    for column, value in (
        (Delivery.state, state),
        (Delivery.incident_id, incident_id),
        (Delivery.watcher_id, watcher_id),
        (Delivery.contact_point_id, contact_point_id),
    ):
        if value is not None:
            wanted.append(column == value)
    rows = session().scalars(
        select(Delivery)
        .where(*wanted)
        .order_by(Delivery.created_at.desc(), Delivery.id)
        .limit(min(limit, MOST_DELIVERIES))
        .offset(offset)
    )
    total = session().scalar(select(func.count()).select_from(Delivery).where(*wanted))
    return Page(list(rows), total or 0)


def attempts_of(delivery_ids: Sequence[str]) -> dict[str, list[DeliveryAttempt]]:
    """Return the attempts to send each of these messages, the latest first, the last ones only."""
    found: dict[str, list[DeliveryAttempt]] = {each: [] for each in delivery_ids}
    rows = session().scalars(
        select(DeliveryAttempt)
        .where(DeliveryAttempt.delivery_id.in_(delivery_ids))
        .order_by(DeliveryAttempt.id.desc())
    )
    for attempt in rows:
        if len(found[attempt.delivery_id]) < ATTEMPTS_SHOWN_MOST:
            found[attempt.delivery_id].append(attempt)
    return found


def told_of(incident_id: int) -> list[Notification]:
    """Return what each contact point was told of an incident."""
    rows = session().scalars(
        select(Notification)
        .where(Notification.incident_id == incident_id)
        .order_by(Notification.watcher_id, Notification.contact_point_id)
    )
    return list(rows)


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

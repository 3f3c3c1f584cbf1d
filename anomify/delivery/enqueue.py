"""Put messages into the outbox, in the transaction of what they report."""

from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import func, select

from anomify.clock import now
from anomify.contact_point.model import ContactPoint
from anomify.db import session
from anomify.delivery.facts import TEST, Facts, facts_of_test
from anomify.delivery.model import SENT, Delivery, Notification
from anomify.delivery.outbox import DELIVERIES
from anomify.errors import QuotaExceeded
from anomify.job.model import PENDING
from anomify.org.model import Org
from anomify.watcher.model import Watcher
from anomify.watcher.queries import contacts_of

# The shortest time between two test messages of a watcher, so that they cannot flood a
# mailbox or a server.
TEST_EVERY: Final = timedelta(minutes=1)


def add_delivery(
    notification: Notification, contact_point: ContactPoint, facts: Facts, at: datetime
) -> Delivery:
    """Enqueue the next message of a notification; it is sent after the ones before it."""
    notification.sequence += 1
    delivery = _delivery(contact_point, facts, at)
    delivery.watcher_id = notification.watcher_id
    delivery.incident_id = notification.incident_id
    delivery.notification_id = notification.id
    delivery.sequence = notification.sequence
    delivery.metric_id = None if facts.anomaly is None else facts.anomaly.metric_id
    session().add(delivery)
    session().flush()
    return delivery


def add_notice(contact_point: ContactPoint, facts: Facts, at: datetime) -> Delivery:
    """Enqueue a message that is about no incident, such as a report or the notice of a silence."""
    delivery = _delivery(contact_point, facts, at)
    delivery.watcher_id = facts.watcher_id or None
    session().add(delivery)
    session().flush()
    return delivery


def resend(notification: Notification, at: datetime) -> None:
    """Have the last message of a notification sent once more, if it was sent."""
    last = session().scalar(
        select(Delivery).where(
            Delivery.notification_id == notification.id,
            Delivery.sequence == notification.sequence,
            Delivery.state == SENT,
        )
    )
    if last is not None:
        DELIVERIES.request_again(last, at)


def enqueue_test(org: Org, watcher: Watcher) -> int:
    """Enqueue a test message for each contact point of the watcher.

    Return how many. Raises `QuotaExceeded` if the last test is less than a minute old.
    """
    at = now()
    last = session().scalar(
        select(func.max(Delivery.created_at)).where(
            Delivery.watcher_id == watcher.id, Delivery.transition == TEST
        )
    )
    if last is not None and at - last < TEST_EVERY:
        seconds = int(TEST_EVERY.total_seconds())
        raise QuotaExceeded(
            "A watcher sends at most one test message a minute; try again later.",
            retry_after_seconds=seconds,
        )
    points = contacts_of([watcher.id])[watcher.id]
    for _, point in points:
        add_notice(point, facts_of_test(org, watcher, at, point), at)
    return len(points)


def _delivery(contact_point: ContactPoint, facts: Facts, at: datetime) -> Delivery:
    return Delivery(
        id=str(uuid4()),
        org_id=contact_point.org_id,
        contact_point_id=contact_point.id,
        sequence=0,
        transition=facts.transition,
        channel=contact_point.kind,
        recipient=contact_point.name,
        lane=contact_point.lane,
        facts=facts.as_row(),
        state=PENDING,
        attempts=0,
        created_at=at,
        due_at=at,
    )

"""Enqueue messages for the recipients of watchers, in the transaction of what they report."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import delete, func, or_, select

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import is_more_severe
from anomify.channel.kinds import EMAIL, WEBHOOK
from anomify.clock import now
from anomify.db import batches, session, upsert
from anomify.delivery.facts import OPENED, RECOVERED, TEST, Facts, facts_of_anomaly, facts_of_test
from anomify.delivery.model import Delivery
from anomify.delivery.outbox import DELIVERIES
from anomify.delivery.recipient import mailed_users
from anomify.errors import QuotaExceeded
from anomify.job.model import DEAD, PENDING
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.outbound.address_guard import host_of
from anomify.silence.window import silence_decision
from anomify.watcher.model import Watcher
from anomify.watcher.routing import watchers_for

# The shortest time between two test messages of a watcher, so that they cannot flood a
# mailbox or a server.
TEST_EVERY = timedelta(minutes=1)
# The recipient that is stored for a webhook: a watcher has at most one.
THE_WEBHOOK = "webhook"
# The lane of e-mails; no host has this name.
MAIL_LANE = "@mail"


def enqueue_opened(anomaly: Anomaly) -> int:
    """Enqueue a message that this anomaly opened for each recipient of each matching watcher.

    Return how many are new. Another call adds only messages for watchers that match since the
    severity has risen. A watcher that was notified of another anomaly of the metric
    within its `expiration_seconds` gets none. While the org is silenced or muted there are none
    and the anomaly is marked; later there are some only if its severity has risen since.
    """
    org, span, metric = _evidence(anomaly)
    at = now()
    if silence_decision(org, at) is not None:
        anomaly.muted_at, anomaly.muted_severity = at, span.severity
        return 0
    held_back = anomaly.muted_severity
    if held_back is not None and not is_more_severe(span.severity, held_back):
        return 0
    watchers = watchers_for(org.id, metric.name, span.severity)
    notified_at = _last_notified(metric.id, [watcher.id for watcher in watchers], anomaly.id)
    rows = []
    for watcher in watchers:
        quiet_for = timedelta(seconds=watcher.expiration_seconds)
        if (last := notified_at.get(watcher.id)) is not None and at - last < quiet_for:
            continue
        facts = facts_of_anomaly(OPENED, org, watcher, anomaly, span, metric)
        rows += _rows(watcher, facts, at)
    return _insert(rows)


def enqueue_recovered(anomaly: Anomaly) -> int:
    """Enqueue a message that this anomaly ended for each recipient of its opened messages.

    Return how many are new; calling it again adds none. While the org is silenced or muted they
    wait, and opened messages that were not attempted yet are given up without one.
    """
    org, span, metric = _evidence(anomaly)
    at = now()
    decision = silence_decision(org, at)
    opened_messages = session().execute(
        select(Delivery, Watcher)
        .join(Watcher, Watcher.id == Delivery.watcher_id)
        .where(
            Delivery.anomaly_id == anomaly.id,
            Delivery.transition == OPENED,
            Delivery.state != DEAD,
        )
    )
    rows = []
    for opened, watcher in opened_messages:
        if decision is not None and opened.state == PENDING and not opened.attempts:
            DELIVERIES.give_up(
                opened, f"Not sent because {decision.why}; the anomaly has ended since.", at
            )
            anomaly.muted_at, anomaly.muted_severity = at, span.severity
            continue
        facts = facts_of_anomaly(RECOVERED, org, watcher, anomaly, span, metric)
        rows.append(_row(watcher, facts, at, opened.channel, opened.recipient, opened.lane))
    return _insert(rows)


def withdraw(anomaly_id: int) -> None:
    """Delete the waiting messages of an anomaly; one that is being sent now still arrives."""
    session().execute(
        delete(Delivery).where(
            Delivery.anomaly_id == anomaly_id,
            Delivery.state == PENDING,
            or_(Delivery.leased_until.is_(None), Delivery.leased_until <= now()),
        )
    )


def enqueue_test(org: Org, watcher: Watcher) -> int:
    """Enqueue a test message for each recipient of the watcher.

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
    return _insert(_rows(watcher, facts_of_test(org, watcher, at), at))


def _evidence(anomaly: Anomaly) -> tuple[Org, Span, Metric]:
    session().flush()
    # By key: rows that the caller has loaded or just created are not read again.
    span = session().get_one(Span, anomaly.id)
    return (
        session().get_one(Org, anomaly.org_id),
        span,
        session().get_one(Metric, span.metric_id),
    )


def _last_notified(
    metric_id: int, watcher_ids: Sequence[int], but_anomaly_id: int
) -> dict[int, datetime]:
    if not watcher_ids:
        return {}
    rows = session().execute(
        select(Delivery.watcher_id, func.max(Delivery.created_at))
        .where(
            Delivery.watcher_id.in_(watcher_ids),
            Delivery.metric_id == metric_id,
            Delivery.transition == OPENED,
            Delivery.state != DEAD,
            Delivery.anomaly_id != but_anomaly_id,
        )
        .group_by(Delivery.watcher_id)
    )
    return {row[0]: row[1] for row in rows}


def _rows(watcher: Watcher, facts: Facts, at: datetime) -> list[dict[str, object]]:
    """Return a row for the watcher's webhook and for each user whom it sends e-mails."""
    rows = []
    if watcher.webhook_url is not None and watcher.webhook_stopped_at is None:
        lane = host_of(watcher.webhook_url)
        rows.append(_row(watcher, facts, at, WEBHOOK, THE_WEBHOOK, lane))
    rows.extend(
        _row(watcher, facts, at, EMAIL, str(user_id), MAIL_LANE)
        for user_id in mailed_users(watcher)
    )
    return rows


def _row(
    watcher: Watcher, facts: Facts, at: datetime, channel: str, recipient: str, lane: str
) -> dict[str, object]:
    anomaly = facts.anomaly
    return {
        "id": str(uuid4()),
        "org_id": watcher.org_id,
        "watcher_id": watcher.id,
        "anomaly_id": None if anomaly is None else anomaly.id,
        "metric_id": None if anomaly is None else anomaly.metric_id,
        "transition": facts.transition,
        "channel": channel,
        "recipient": recipient,
        "lane": lane,
        "facts": facts.as_row(),
        "state": PENDING,
        "attempts": 0,
        "created_at": at,
        "due_at": at,
    }


def _insert(rows: Sequence[dict[str, object]]) -> int:
    """Insert the rows whose recipient has no message of this transition yet; return how many."""
    added = 0
    for some in batches(rows):
        inserted = upsert(Delivery).values(some).on_conflict_do_nothing()
        added += len(session().scalars(inserted.returning(Delivery.id)).all())
    return added

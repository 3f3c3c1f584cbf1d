"""Enqueue messages in the transaction of what they report; claim and settle them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import aliased

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import is_more_severe
from anomify.channel.kinds import EMAIL, WEBHOOK
from anomify.channel.message import Receipt, Target
from anomify.clock import now
from anomify.db import batches, session, upsert
from anomify.delivery.backoff import delay_seconds, next_attempt_at
from anomify.delivery.facts import OPENED, RECOVERED, TEST, Facts, facts_of_anomaly, facts_of_test
from anomify.delivery.first_steps import note_first_steps
from anomify.delivery.model import Delivery
from anomify.delivery.recipient import mailed_users, nobody, target_of
from anomify.errors import QuotaExceeded
from anomify.job.model import DEAD, PENDING
from anomify.job.queue import Queue
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.outbound.address_guard import host_of
from anomify.silence.window import silence_decision, silenced_orgs
from anomify.watcher.model import Watcher
from anomify.watcher.routing import watchers_for

log = logging.getLogger(__name__)

# Longer than a sender may take, so that a lease runs out only when the sender is no more.
LEASE = timedelta(seconds=60)
# More than a receiver that is away for a day can cause, so it stops only what ends its sender.
MOST_ATTEMPTS = 500
# Deliveries on their way at once to one host, or to the mail server.
LANE_MOST = 4
# Longer than the longest time for which a watcher can suppress repeated messages.
FORGOTTEN_AFTER = timedelta(days=400)
# A test message goes out to people and servers: it is no way to fill their boxes.
TEST_EVERY = timedelta(minutes=1)
# The recipient of a webhook: a watcher has one at most.
THE_WEBHOOK = "webhook"
# No host is called this.
MAIL_LANE = "@mail"


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=delay_seconds(attempts, 0.5))


DELIVERIES = Queue(Delivery, LEASE, MOST_ATTEMPTS, _pause)


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is the caller's to send until the lease runs out."""

    id: str
    # The opened notice that a recovery follows; mails are threaded by it.
    answers_id: str | None
    channel: str
    lane: str
    facts: Facts
    target: Target
    attempts: int
    leased_until: datetime


def enqueue_opened(anomaly: Anomaly) -> int:
    """Enqueue a message that this anomaly opened for each recipient of each matching watcher.

    Return how many are new. Calling it again adds only messages of watchers that match since then,
    because the severity has risen. A watcher that was notified of another anomaly of the metric
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
    wait, and opened messages that were not attempted yet are given up instead.
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
            DELIVERIES.give_up(opened, f"It was over before it could be told: {decision.why}.", at)
            anomaly.muted_at, anomaly.muted_severity = at, span.severity
            continue
        facts = facts_of_anomaly(RECOVERED, org, watcher, anomaly, span, metric)
        rows.append(_row(watcher, facts, at, opened.channel, opened.recipient, opened.lane))
    return _insert(rows)


def withdraw(anomaly_id: int) -> None:
    """Delete the messages of an anomaly that wait; one that is being sent now still arrives."""
    session().execute(
        delete(Delivery).where(
            Delivery.anomaly_id == anomaly_id,
            Delivery.state == PENDING,
            or_(Delivery.leased_until.is_(None), Delivery.leased_until <= now()),
        )
    )


def enqueue_test(org: Org, watcher: Watcher) -> int:
    """Put a test message for each recipient of the watcher into the open unit of work.

    Return how many. Raises QuotaExceeded when the last test is less than a minute old.
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
            "One test message a minute is enough; try again later.", retry_after_seconds=seconds
        )
    return _insert(_rows(watcher, facts_of_test(org, watcher, at), at))


def is_anything_due(at: datetime) -> bool:
    """Return whether a claim might find a delivery; this changes and locks nothing."""
    return DELIVERIES.is_any_due(at, _is_not_silenced(at))


def longest_due(at: datetime) -> datetime | None:
    """Return since when the message that waits longest should have gone; None when none waits."""
    return session().scalar(select(func.min(Delivery.due_at)).where(*_may_go(at)))


def claim(at: datetime, most: int, busy: Mapping[str, int], sealing_key: bytes) -> list[Claim]:
    """Lease due deliveries to the caller, at most LANE_MOST a lane; orgs take turns.

    `busy` says how many of each lane the caller has on the way already. Two callers never get the
    same delivery while its lease runs. One whose recipient is no more is settled here and now.
    """
    claims = []
    for delivery in DELIVERIES.claim_chosen(_due(at, most, busy), at, _is_not_silenced(at)):
        leased_until = at + LEASE
        try:
            claimed: Claim | Receipt = _claimed(delivery, leased_until, at, sealing_key)
        except SQLAlchemyError:
            raise
        except Exception:
            # One that cannot be read must not hold up the others; it is tried again like them.
            log.exception("delivery %s cannot be made ready to be sent", delivery.id)
            claimed = Receipt(is_delivered=False, problem="The message cannot be read.")
        if isinstance(claimed, Receipt):
            settle(delivery.id, leased_until, claimed, at, chance=0.5)
        else:
            claims.append(claimed)
    return claims


def settle(
    delivery_id: str, leased_until: datetime, receipt: Receipt, at: datetime, *, chance: float
) -> None:
    """Record the result of an attempt: sent, to be tried again, or dead.

    What was delivered is sent, whoever holds the lease by now; a failure counts only for the one
    who still holds it. `chance` from 0 to 1 spreads the next attempt.
    """
    if receipt.is_delivered:
        sent = DELIVERIES.finish_unleased(delivery_id, at)
        if sent is not None:
            note_first_steps(sent)
        return
    delivery = DELIVERIES.held(delivery_id, leased_until)
    if delivery is None:
        return
    again_at = None
    if not (receipt.is_permanent or receipt.is_gone):
        again_at = next_attempt_at(
            delivery.created_at, at, delivery.attempts, chance, receipt.retry_after_seconds
        )
    if again_at is None:
        DELIVERIES.give_up(delivery, receipt.problem, at)
    else:
        DELIVERIES.retry(delivery, receipt.problem, at, again_at=again_at)
    if receipt.is_gone:
        _stop_webhook(delivery.watcher_id, at)


def forget_settled(at: datetime) -> None:
    """Delete messages settled longer ago than any watcher's `expiration_seconds`."""
    session().execute(delete(Delivery).where(Delivery.settled_at < at - FORGOTTEN_AFTER))


def _stop_webhook(watcher_id: int, at: datetime) -> None:
    watcher = session().get(Watcher, watcher_id)
    if watcher is not None and watcher.webhook_stopped_at is None:
        watcher.webhook_stopped_at = at


def _evidence(anomaly: Anomaly) -> tuple[Org, Span, Metric]:
    session().flush()
    # By key: rows that the caller has loaded or just made are not asked for again.
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
    """Return a row for the watcher's webhook and for each person it mails."""
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
    """Insert the rows whose recipient has no message of this transition; return how many."""
    added = 0
    for some in batches(rows):
        inserted = upsert(Delivery).values(some).on_conflict_do_nothing()
        added += len(session().scalars(inserted.returning(Delivery.id)).all())
    return added


def _may_go(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (*DELIVERIES.free(at), _is_not_silenced(at))


def _is_not_silenced(at: datetime) -> ColumnElement[bool]:
    # A test message was requested by a person just now, so it is sent during a silence too.
    return or_(Delivery.transition == TEST, Delivery.org_id.not_in(silenced_orgs(at)))


def _due(at: datetime, most: int, busy: Mapping[str, int]) -> list[str]:
    opened = aliased(Delivery)
    # A recovery waits until the notice it ends has been sent or given up.
    has_to_wait = and_(
        Delivery.transition == RECOVERED,
        exists().where(
            opened.anomaly_id == Delivery.anomaly_id,
            opened.watcher_id == Delivery.watcher_id,
            opened.channel == Delivery.channel,
            opened.recipient == Delivery.recipient,
            opened.transition == OPENED,
            opened.state == PENDING,
        ),
    )
    full = [lane for lane, count in busy.items() if count >= LANE_MOST]
    turn = func.row_number().over(
        partition_by=(Delivery.lane, Delivery.org_id), order_by=(Delivery.due_at, Delivery.id)
    )
    waiting = (
        select(Delivery.id, Delivery.due_at, Delivery.lane, Delivery.org_id, turn.label("turn"))
        .where(*_may_go(at), ~has_to_wait, Delivery.lane.not_in(full))
        .subquery()
    )
    # In a lane the orgs take turns: many mails of one org hold up no mail of another.
    place = func.row_number().over(
        partition_by=waiting.c.lane,
        order_by=(waiting.c.turn, waiting.c.due_at, waiting.c.id),
    )
    placed = (
        select(waiting, place.label("place")).where(waiting.c.turn <= LANE_MOST).subquery("placed")
    )
    # Each org's first, then each org's second: an org that sends to many slow hosts holds up
    # nobody else. Of one org the lanes take turns.
    org_turn = func.row_number().over(
        partition_by=placed.c.org_id, order_by=(placed.c.place, placed.c.due_at, placed.c.id)
    )
    ranked = (
        select(placed, org_turn.label("org_turn")).where(placed.c.place <= LANE_MOST).subquery()
    )
    rows = session().execute(
        select(ranked.c.id, ranked.c.lane)
        .order_by(ranked.c.org_turn, ranked.c.place, ranked.c.due_at, ranked.c.id)
        .limit(most + LANE_MOST * len(busy))
    )
    taken: list[str] = []
    free_slots = {lane: LANE_MOST - count for lane, count in busy.items()}
    for delivery_id, lane in rows:
        left = free_slots.get(lane, LANE_MOST)
        if left > 0 and len(taken) < most:
            free_slots[lane] = left - 1
            taken.append(delivery_id)
    return taken


def _answers_id(delivery: Delivery) -> str | None:
    if delivery.transition != RECOVERED:
        return None
    return session().scalar(
        select(Delivery.id).where(
            Delivery.anomaly_id == delivery.anomaly_id,
            Delivery.watcher_id == delivery.watcher_id,
            Delivery.channel == delivery.channel,
            Delivery.recipient == delivery.recipient,
            Delivery.transition == OPENED,
        )
    )


def _claimed(
    delivery: Delivery, leased_until: datetime, at: datetime, sealing_key: bytes
) -> Claim | Receipt:
    try:
        facts = Facts.from_row(delivery.facts)
    except msgspec.ValidationError:
        # It must not hold up the others.
        return nobody("The message was written by another version and cannot be read.")
    target = target_of(delivery, at, sealing_key)
    if isinstance(target, Receipt):
        return target
    return Claim(
        id=delivery.id,
        answers_id=_answers_id(delivery),
        channel=delivery.channel,
        lane=delivery.lane,
        facts=facts,
        target=target,
        attempts=delivery.attempts,
        leased_until=leased_until,
    )

"""Claim the messages that are due, and settle them: sent, to be tried again, or given up."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, delete, exists, func, or_, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import aliased

from anomify.channel.message import Receipt, Target
from anomify.channel.reply import given_up
from anomify.clock import datetime_from_ms
from anomify.contact_point.model import ContactPoint
from anomify.db import session
from anomify.delivery.backoff import delay_seconds, next_attempt_at
from anomify.delivery.dead_letter import tell_admins
from anomify.delivery.facts import FLAPPING, OPENED, Facts
from anomify.delivery.first_steps import note_first_steps
from anomify.delivery.model import SENT, Delivery, DeliveryAttempt, Notification
from anomify.delivery.recipient import target_of_contact, undeliverable
from anomify.job.model import PENDING
from anomify.job.queue import Queue
from anomify.silence.window import silenced_orgs
from anomify.watcher.model import Watcher
from anomify.watcher.reach import stop_contact_point

log = logging.getLogger(__name__)

# The key in the facts of a message of when a person had it sent again.
REPLAYED = "replayed_ms"
# Longer than sending may take, so a lease runs out only if the process that held it has ended.
LEASE = timedelta(seconds=60)
# More than a receiver can cause that fails for a day: this gives up only a message that ends the
# process at every attempt.
MOST_ATTEMPTS = 500
# The most of an answer that is kept.
ANSWER_MAX_CHARACTERS = 2000
# The number of deliveries that are sent at once in one lane: to one host, or to the mail server.
LANE_MOST = 4
# Longer than the longest time for which a watcher can suppress repeated messages.
FORGOTTEN_AFTER = timedelta(days=400)


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=delay_seconds(attempts, 0.5))


DELIVERIES = Queue(Delivery, LEASE, MOST_ATTEMPTS, _pause)


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that the caller has leased, and may send until `leased_until`."""

    id: str
    # The id of the first message of the conversation, if this is a later one, and what the channel
    # returned for it: mails and threads are made of them.
    answers_id: str | None
    first_reference: str
    created_at: datetime
    org_id: int
    channel: str
    lane: str
    facts: Facts
    target: Target
    attempts: int
    leased_until: datetime


def is_anything_due(at: datetime) -> bool:
    """Return whether a claim might find a delivery; this changes and locks nothing."""
    return DELIVERIES.is_any_due(at, _is_not_silenced(at))


def longest_due(at: datetime) -> datetime | None:
    """Return since when the message that waits longest has been due; None when none waits."""
    return session().scalar(select(func.min(Delivery.due_at)).where(*_sendable(at)))


def claim(
    at: datetime,
    most: int,
    busy: Mapping[str, int],
    sealing_key: bytes,
    paused: Collection[tuple[int, str]] = (),
    *,
    base_url: str = "",
) -> list[Claim]:
    """Lease due deliveries to the caller, at most LANE_MOST a lane, in turn by org.

    `busy` is how many of each lane the caller is sending already; nothing is taken from the lanes
    of orgs in `paused`. Two callers never get the same delivery while its lease runs. A delivery
    without a recipient any more is given up instead.
    """
    claims = []
    for delivery in DELIVERIES.claim_chosen(_due(at, most, busy, paused), at, _is_not_silenced(at)):
        leased_until = at + LEASE
        try:
            claimed: Claim | Receipt = _claimed(delivery, leased_until, at, sealing_key)
        except SQLAlchemyError:
            raise
        except Exception:
            # It must not hold up the others; it is tried again later.
            log.exception("delivery %s cannot be prepared", delivery.id)
            claimed = Receipt(is_delivered=False, problem="The message cannot be read.")
        if isinstance(claimed, Receipt):
            # What cannot be sent because people decided so is no fault to be told of.
            told = not claimed.is_permanent
            settle(
                delivery.id,
                leased_until,
                claimed,
                at,
                chance=0.5,
                base_url=base_url,
                tells_admins=told,
            )
        else:
            claims.append(claimed)
    return claims


def settle(
    delivery_id: str,
    leased_until: datetime,
    receipt: Receipt,
    at: datetime,
    *,
    chance: float,
    base_url: str = "",
    tells_admins: bool = True,
) -> None:
    """Record the result of an attempt: sent, to be tried again, or dead.

    A delivered message becomes sent even if another worker holds the lease by now; a failure is
    recorded only while this lease is in force. `chance` from 0 to 1 spreads the next attempt. The
    org's admins are told of a dead message, with a link that begins with `base_url`.
    """
    if receipt.is_delivered:
        sent = DELIVERIES.finish_unleased(delivery_id, at)
        if sent is not None:
            sent.reference = receipt.reference or sent.reference
            _note_attempt(sent, receipt, at)
            note_first_steps(sent)
        return
    delivery = DELIVERIES.held(delivery_id, leased_until)
    if delivery is None:
        return
    _note_attempt(delivery, receipt, at)
    again_at = None
    if not (receipt.is_permanent or receipt.is_gone):
        again_at = next_attempt_at(
            _tried_since(delivery), at, delivery.attempts, chance, receipt.retry_after_seconds
        )
    if again_at is None:
        problem = given_up(receipt.problem)
        DELIVERIES.give_up(delivery, problem, at)
        _forget_opening(delivery)
        if tells_admins:
            tell_admins(delivery, problem, at, base_url)
    else:
        DELIVERIES.retry(delivery, receipt.problem, at, again_at=again_at)
    if receipt.is_gone and delivery.contact_point_id is not None:
        point = session().get(ContactPoint, delivery.contact_point_id)
        if point is not None:
            stop_contact_point(point, at)


def forget_settled(at: datetime) -> None:
    """Delete messages settled longer ago than any watcher's `expiration_seconds`."""
    session().execute(delete(Delivery).where(Delivery.settled_at < at - FORGOTTEN_AFTER))


def _tried_since(delivery: Delivery) -> datetime:
    """Return when a message was enqueued, or when a person had it sent again."""
    replayed = delivery.facts.get(REPLAYED)
    return datetime_from_ms(replayed) if isinstance(replayed, int) else delivery.created_at


def _forget_opening(delivery: Delivery) -> None:
    """Have the quiet time of the watcher not begin with a message that did not arrive."""
    if delivery.notification_id is None or delivery.transition not in {OPENED, FLAPPING}:
        return
    notification = session().get(Notification, delivery.notification_id)
    if notification is not None and notification.sequence == delivery.sequence:
        notification.opening_told_at = None


def _note_attempt(delivery: Delivery, receipt: Receipt, at: datetime) -> None:
    """Keep the answer of an attempt for the alerts log, and the state of the contact point."""
    answer = receipt.problem or "The message was taken."
    session().add(
        DeliveryAttempt(
            delivery_id=delivery.id,
            ended_at=at,
            is_delivered=receipt.is_delivered,
            answer=answer[:ANSWER_MAX_CHARACTERS],
        )
    )
    point = None
    if delivery.contact_point_id is not None:
        point = session().get(ContactPoint, delivery.contact_point_id)
    if point is None:
        return
    if receipt.is_delivered:
        point.delivered_at, point.problem = at, None
    else:
        point.problem = answer[:ANSWER_MAX_CHARACTERS]


def _sendable(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (*DELIVERIES.free(at), _is_not_silenced(at))


def _is_not_silenced(at: datetime) -> ColumnElement[bool]:
    # A test, a report or a notice was requested by a person, so it is sent during a silence, too.
    return or_(Delivery.notification_id.is_(None), Delivery.org_id.not_in(silenced_orgs(at)))


def _due(
    at: datetime, most: int, busy: Mapping[str, int], paused: Collection[tuple[int, str]]
) -> list[str]:
    earlier = aliased(Delivery)
    # A message waits until those before it about the same incident have been sent or given up.
    has_to_wait = exists().where(
        earlier.notification_id == Delivery.notification_id,
        earlier.sequence < Delivery.sequence,
        earlier.state == PENDING,
    )
    full = [lane for lane, count in busy.items() if count >= LANE_MOST]
    is_paused = tuple_(Delivery.org_id, Delivery.lane).in_(list(paused))
    turn = func.row_number().over(
        partition_by=(Delivery.lane, Delivery.org_id), order_by=(Delivery.due_at, Delivery.id)
    )
    waiting = (
        select(Delivery.id, Delivery.due_at, Delivery.lane, Delivery.org_id, turn.label("turn"))
        .where(*_sendable(at), ~has_to_wait, Delivery.lane.not_in(full), ~is_paused)
        .subquery()
    )
    # In a lane the orgs take turns: many mails of one org do not delay those of another.
    place = func.row_number().over(
        partition_by=waiting.c.lane,
        order_by=(waiting.c.turn, waiting.c.due_at, waiting.c.id),
    )
    placed = (
        select(waiting, place.label("place")).where(waiting.c.turn <= LANE_MOST).subquery("placed")
    )
    # Each org's first, then each org's second: an org that sends to many slow hosts does not delay
    # the others. Within an org the lanes take turns.
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


def _first_message(delivery: Delivery) -> Delivery | None:
    """Return the first message of the conversation that was sent before this one."""
    if delivery.notification_id is None:
        return None
    return session().scalar(
        select(Delivery)
        .where(
            Delivery.notification_id == delivery.notification_id,
            Delivery.sequence < delivery.sequence,
            Delivery.state == SENT,
        )
        .order_by(Delivery.sequence)
        .limit(1)
    )


def _claimed(
    delivery: Delivery, leased_until: datetime, at: datetime, sealing_key: bytes
) -> Claim | Receipt:
    try:
        facts = Facts.from_row(delivery.facts)
    except msgspec.ValidationError:
        return undeliverable("The message was written by another version and cannot be read.")
    target = _target(delivery, at, sealing_key)
    if isinstance(target, Receipt):
        return target
    first = _first_message(delivery)
    return Claim(
        id=delivery.id,
        answers_id=None if first is None else first.id,
        first_reference=(None if first is None else first.reference) or "",
        created_at=delivery.created_at,
        org_id=delivery.org_id,
        channel=delivery.channel,
        lane=delivery.lane,
        facts=facts,
        target=target,
        attempts=delivery.attempts,
        leased_until=leased_until,
    )


def _target(delivery: Delivery, at: datetime, sealing_key: bytes) -> Target | Receipt:
    """Return where a message is to be sent now, or a receipt with the reason why nowhere."""
    if delivery.watcher_id is not None:
        watcher = session().get(Watcher, delivery.watcher_id)
        if watcher is None or watcher.deleted_at is not None:
            return undeliverable("The watcher has been deleted.")
        if delivery.notification_id is not None and not watcher.is_alerting:
            return undeliverable("The watcher is not alerting any more.")
    point = None
    if delivery.contact_point_id is not None:
        point = session().get(ContactPoint, delivery.contact_point_id)
    if point is None:
        return undeliverable("The contact point does not exist any more.")
    return target_of_contact(point, at, sealing_key)

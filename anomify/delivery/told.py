"""What each contact point was told of an incident, or why it was not, for people to see."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from anomify.contact_point.model import ContactPoint
from anomify.db import session
from anomify.delivery.model import Delivery, Notification
from anomify.watcher.model import Watcher


class ToldState(StrEnum):
    """What is true of a contact point and an incident."""

    # The last thing that it was told is that the incident goes on, or that it is over.
    OPEN = "open"
    OVER = "over"
    # It is told when what holds the message back ends, or when its wait is over.
    HELD = "held"
    WAITING = "waiting"
    # It was held back until the incident was over.
    NOT_TOLD = "not_told"


@dataclass(frozen=True, slots=True)
class ToldContact:
    """What one contact point of one watcher was told."""

    watcher_id: int
    watcher: str
    contact_point_id: int
    contact_point: str
    kind: str
    state: ToldState
    # When it was first told of it, and when it was last told something.
    opened_at: datetime | None
    told_at: datetime | None
    # Since when and why an opening is held back; `why` completes "Not sent because ...".
    held_since: datetime | None
    held_why: str | None
    held_kind: str | None
    messages: int
    # The state of the last message, and why it has not arrived.
    last_state: str | None
    last_problem: str | None


def told_of_incident(org_id: int, incident_id: int) -> list[ToldContact]:
    """Return what each contact point was told of an incident of the org."""
    rows = (
        session()
        .execute(
            select(Notification, Watcher.name, ContactPoint.name, ContactPoint.kind)
            .join(Watcher, Watcher.id == Notification.watcher_id)
            .join(ContactPoint, ContactPoint.id == Notification.contact_point_id)
            .where(Notification.org_id == org_id, Notification.incident_id == incident_id)
            .order_by(Watcher.name, ContactPoint.name, Notification.id)
        )
        .all()
    )
    sent: dict[int | None, list[Delivery]] = {}
    for delivery in session().scalars(
        select(Delivery)
        .where(Delivery.org_id == org_id, Delivery.incident_id == incident_id)
        .order_by(Delivery.sequence)
    ):
        sent.setdefault(delivery.notification_id, []).append(delivery)
    return [
        _told(row, watcher, point, kind, sent.get(row.id, [])) for row, watcher, point, kind in rows
    ]


def _told(
    row: Notification, watcher: str, point: str, kind: str, messages: list[Delivery]
) -> ToldContact:
    last = messages[-1] if messages else None
    return ToldContact(
        watcher_id=row.watcher_id,
        watcher=watcher,
        contact_point_id=row.contact_point_id,
        contact_point=point,
        kind=kind,
        state=_state(row),
        opened_at=messages[0].created_at if messages else None,
        told_at=row.told_at,
        held_since=row.held_since,
        held_why=row.held_why,
        held_kind=row.held_kind,
        messages=len(messages),
        last_state=None if last is None else last.state,
        last_problem=None if last is None else last.last_error,
    )


def _state(row: Notification) -> ToldState:
    if row.is_told_open:
        return ToldState.OPEN
    if row.held_since is not None:
        return ToldState.NOT_TOLD if row.is_missed else ToldState.HELD
    if row.sequence:
        return ToldState.OVER
    return ToldState.WAITING if row.due_at is not None else ToldState.NOT_TOLD

"""Find what has to be told because watchers or contact points were changed while it goes on."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select

from anomify.contact_point.people import why_not_reached
from anomify.db import among, session
from anomify.delivery.model import Notification
from anomify.incident.model import Incident
from anomify.watcher.model import Watcher
from anomify.watcher.queries import contacts_of

# A new watcher is told of what goes on, but not of what has gone on for longer: nobody waits for
# that, and an org may have many such incidents.
TOLD_LATER_FOR: Final = timedelta(days=1)

# What decides who is told of an incident: of a watcher its id, severity, and chips, and of a
# contact point its step and id.
_Contacts = frozenset[tuple[int, str, tuple[str, ...], int, int]]


class ChangedWatchers:
    """Remembers by org whom its watchers notify, and finds the incidents that a change is about."""

    def __init__(self) -> None:
        """Start without knowing any org: all that goes on is looked at once."""
        self._known: dict[int, _Contacts] = {}

    def find_incidents(self, at: datetime) -> list[int]:
        """Return the incidents of orgs whose watchers or contact points were changed.

        Those are the incidents that go on and began lately, and those of which a contact point was
        told that they go on, but that nobody has looked at since the watcher was changed.
        """
        found = _contacts_by_org()
        changed = [
            org_id for org_id, contacts in found.items() if self._known.get(org_id) != contacts
        ]
        self._known = dict(found)
        if not changed:
            return []
        rows = session().scalars(
            select(Incident.id)
            .distinct()
            .join(Notification, Notification.incident_id == Incident.id, isouter=True)
            .where(
                among(Incident.org_id, changed),
                or_(
                    Incident.is_open.is_(True) & (Incident.opened_at >= at - TOLD_LATER_FOR),
                    _is_left(),
                ),
            )
            .order_by(Incident.id)
        )
        return list(rows)


def _is_left() -> ColumnElement[bool]:
    """Return the condition that something is left to tell, and that nobody looks at it again."""
    untold = or_(Notification.is_told_open.is_(True), Notification.is_missed.is_(True))
    return and_(untold, Notification.due_at.is_(None))


def _contacts_by_org() -> dict[int, _Contacts]:
    """Return whom the watchers notify of each org in which something goes on or was told so."""
    busy = or_(
        Watcher.org_id.in_(select(Incident.org_id).where(Incident.is_open.is_(True))),
        Watcher.org_id.in_(select(Notification.org_id).where(_is_left())),
    )
    watchers = list(
        session().scalars(
            select(Watcher).where(Watcher.is_alerting.is_(True), Watcher.deleted_at.is_(None), busy)
        )
    )
    linked = contacts_of([watcher.id for watcher in watchers])
    found: dict[int, set[tuple[int, str, tuple[str, ...], int, int]]] = defaultdict(set)
    for watcher in watchers:
        for step, point in linked[watcher.id]:
            if why_not_reached(point) is None:
                found[watcher.org_id].add(
                    (watcher.id, watcher.severity, tuple(watcher.chips), step, point.id)
                )
    return {org_id: frozenset(contacts) for org_id, contacts in found.items()}

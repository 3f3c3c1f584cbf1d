"""Decide for incidents what each contact point is told now, and enqueue the messages."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

import msgspec
from msgspec import structs
from sqlalchemy import select, update

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import SEVERITIES
from anomify.channel.kinds import KINDS
from anomify.channel.text import cut
from anomify.clock import to_ms
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import why_not_reached
from anomify.db import among, session
from anomify.delivery.decision import (
    Decision,
    Hold,
    Rules,
    Situation,
    Tell,
    Told,
    decide,
)
from anomify.delivery.dismissal import dismissals_of
from anomify.delivery.enqueue import add_delivery, resend
from anomify.delivery.facts import (
    ACKNOWLEDGED,
    FLAPPING,
    NAMED_MOST,
    OPENED,
    MissedFacts,
    facts_of_incident,
)
from anomify.delivery.holds import QUIET_HOURS, Holds, Onsets, OpeningHistory, opening_history
from anomify.delivery.model import HELD_WHY_CHARACTERS_MAX, Delivery, Notification
from anomify.delivery.outbox import DELIVERIES
from anomify.delivery.rules import rules_of
from anomify.incident.model import Incident
from anomify.incident.queries import Member, lock_incidents, members_of, spans_in_order
from anomify.incident.relation import first_mover
from anomify.job.model import DEAD, PENDING
from anomify.org.model import Org
from anomify.triage.queries import states_of
from anomify.triage.status import Status
from anomify.watcher.model import Watcher
from anomify.watcher.queries import contacts_of, list_alerting_watchers
from anomify.watcher.routing import is_told

# So many notifications are decided in one transaction.
DUE_MOST: Final = 500
# The most incidents that one message lists as gone meanwhile.
MISSED_NAMED_MOST: Final = 10


@dataclass(frozen=True, slots=True)
class _Contact:
    """A contact point of a watcher, and the step at which it is told."""

    watcher: Watcher
    step: int
    point: ContactPoint

    @property
    def key(self) -> tuple[int, int]:
        return self.watcher.id, self.point.id

    def rules(self) -> Rules:
        """Return what the watcher wants for this contact point."""
        kind = KINDS.get(self.point.kind)
        resend_seconds = None if kind is None else kind.resend_seconds
        return rules_of(self.watcher, self.step, resend_seconds)


@dataclass(slots=True)
class _Missed:
    """What a contact point is to be told of as gone, and the row that the message belongs to."""

    contact: _Contact
    row: Notification
    incident: Incident
    members: list[Member]


@dataclass(slots=True)
class _OrgState:
    """What is read once for all incidents of an org."""

    org: Org
    contacts: list[_Contact]
    holds: Holds


def notify(
    incident_ids: Collection[int], at: datetime, *, as_open: Collection[int] = frozenset()
) -> int:
    """Decide for these incidents what is told now; return how many messages were enqueued.

    Call it in the transaction that changes the incidents. The anomalies in `as_open` count as
    open: they may have ended in the same transaction, and their beginning is told first.
    """
    orgs: dict[int, _OrgState] = {}
    enqueued = 0
    missed: dict[tuple[int, int], list[_Missed]] = defaultdict(list)
    opened: dict[tuple[int, int], Delivery] = {}
    for incident in lock_incidents(incident_ids):
        members = members_of(incident.id)
        if not members:
            # Its anomalies were deleted.
            session().delete(incident)
            continue
        state = orgs.get(incident.org_id) or _org_state(incident.org_id, at)
        orgs[incident.org_id] = state
        deciding = _IncidentDecision(incident, members, state, at, frozenset(as_open))
        enqueued += deciding.run()
        opened.update(deciding.opened)
        for each in deciding.missed:
            missed[each.contact.key].append(each)
    for key, of_contact in missed.items():
        enqueued += _tell_missed(of_contact, opened.get(key), at)
    return enqueued


def due_incidents(at: datetime) -> list[int]:
    """Return the incidents whose time has come, the longest due first, at most DUE_MOST rows."""
    due = session().scalars(
        select(Notification.incident_id)
        .where(Notification.due_at <= at)
        .order_by(Notification.due_at, Notification.id)
        .limit(DUE_MOST)
    )
    return list(dict.fromkeys(due))


def notify_due(at: datetime) -> int:
    """Decide for the incidents whose time has come; return how many were looked at."""
    incident_ids = due_incidents(at)
    if incident_ids:
        notify(incident_ids, at)
    return len(incident_ids)


def put_off(incident_id: int, until: datetime) -> None:
    """Decide about an incident not before this moment, for it cannot be decided now."""
    session().execute(
        update(Notification)
        .where(Notification.incident_id == incident_id, Notification.due_at < until)
        .values(due_at=until)
        .execution_options(synchronize_session=False)
    )


def is_any_due(at: datetime) -> bool:
    """Return whether `notify_due` might find something; this changes and locks nothing."""
    due = select(Notification.id).where(Notification.due_at <= at).limit(1)
    return session().scalar(due) is not None


class _IncidentDecision:
    """Decides what each contact point is told of one incident."""

    def __init__(
        self,
        incident: Incident,
        members: Sequence[Member],
        state: _OrgState,
        at: datetime,
        as_open: frozenset[int],
    ) -> None:
        self._incident = incident
        self._members = members
        self._state = state
        self._at = at
        self._as_open = as_open
        self._watched_by: dict[int, list[Member]] = {}
        self._muted: set[int] = set()
        self.opened: dict[tuple[int, int], Delivery] = {}
        self.missed: list[_Missed] = []

    def run(self) -> int:
        """Bring the incident up to date, and decide for each contact point."""
        self._update_incident()
        rows = {
            (row.watcher_id, row.contact_point_id): row
            for row in session().scalars(
                select(Notification).where(Notification.incident_id == self._incident.id)
            )
        }
        enqueued = 0
        current = set()
        for contact in self._state.contacts:
            row = rows.get(contact.key)
            watched = self._watched(contact.watcher)
            if not watched and row is not None and row.is_told_open:
                # The watcher was changed: that what it has told of is over is told all the same.
                watched = list(self._members)
            if not watched or (row is None and not any(map(self._is_live, watched))):
                continue
            current.add(contact.key)
            if row is None:
                row = self._new_row(contact)
            enqueued += self._decide(contact, row, watched)
        for key, row in rows.items():
            if key not in current:
                # The watcher does not notify this contact point of it any more.
                row.due_at = None
        self._note_muted()
        return enqueued

    def _update_incident(self) -> None:
        incident = self._incident
        members = self._members
        incident.severity = max((member.severity for member in members), key=SEVERITIES.index)
        widest_ms = max(member.step_ms for member in members)
        early = [
            member for member in members if member.started_ms - members[0].started_ms <= widest_ms
        ]
        first = first_mover(
            [member.onset for member in early],
            {member.anomaly_id: member.alert for member in early},
        )
        incident.first_anomaly_id = first.anomaly_id
        incident.anomaly_count = len(members)
        is_open = any(map(self._is_live, members))
        if incident.is_open and not is_open:
            incident.closed_at = self._at
            incident.ended_ms = max(member.last_ms for member in members)
        elif is_open:
            incident.closed_at = incident.ended_ms = None
        incident.is_open = is_open

    def _is_live(self, member: Member) -> bool:
        """Return whether an anomaly goes on and no person has ended it."""
        is_open = member.is_open or member.anomaly_id in self._as_open
        return is_open and not Status(member.status).is_archived

    def _is_handled(self, member: Member) -> bool:
        """Return whether nobody has to be reminded of an anomaly now."""
        return member.status != Status.ACTIVE or member.is_snoozed(self._at)

    def _watched(self, watcher: Watcher) -> list[Member]:
        """Return the anomalies that a watcher notifies of, the one that came first at the front."""
        if watcher.id not in self._watched_by:
            first = self._incident.first_anomaly_id
            watched = [
                member
                for member in self._members
                if is_told(watcher, member.metric_name, member.severity, member.watcher_id)
            ]
            # Those that are named in a message: open ones before those with the highest alert.
            watched.sort(
                key=lambda member: (
                    member.anomaly_id != first,
                    not self._is_live(member),
                    -member.alert,
                    member.anomaly_id,
                )
            )
            self._watched_by[watcher.id] = watched
        return self._watched_by[watcher.id]

    def _new_row(self, contact: _Contact) -> Notification:
        row = Notification(
            org_id=self._incident.org_id,
            incident_id=self._incident.id,
            watcher_id=contact.watcher.id,
            contact_point_id=contact.point.id,
            is_told_open=False,
            sequence=0,
            is_missed=False,
        )
        session().add(row)
        session().flush()
        return row

    def _decide(self, contact: _Contact, row: Notification, watched: list[Member]) -> int:
        situation = self._situation(contact, row, watched)
        told = _told(row)
        if situation.hold is not None and not situation.is_open and _is_unattempted(row):
            _take_back(row, situation.hold, self._at)
            if situation.hold.kind != QUIET_HOURS:
                self._muted.update(member.anomaly_id for member in watched)
            told = replace(
                told,
                is_told_open=False,
                opening_told_at=None,
                flapping_told_at=None,
                held_since=told.told_at,
                held_why=situation.hold.why,
                held_kind=situation.hold.kind,
            )
        is_pending = row.is_told_open or row.held_since is not None
        if not situation.is_open and is_pending and (why := self._why_dismissed(watched)):
            if _is_unattempted(row):
                _give_up(row, f"Not sent because {why}.", self._at)
                told = replace(
                    told, is_told_open=False, opening_told_at=None, flapping_told_at=None
                )
            # What people or a rule ended while it was held back is not told as gone, either.
            told = replace(told, held_since=None, held_why=None, held_kind=None, is_missed=False)
        decision = decide(situation, told, contact.rules())
        told_now = self._act(contact, row, watched, decision, told, situation)
        return told_now or self._tell_acknowledged(contact, row, watched, situation)

    def _why_dismissed(self, watched: list[Member]) -> str:
        """Return which person or rule ended the incident; empty if its values did."""
        closed_at = self._incident.closed_at or self._at
        # Most incidents end by their values, so that a few of them suffice to see that.
        for spans in (self._named(watched), spans_in_order([each.anomaly_id for each in watched])):
            dismissed = dismissals_of(self._state.org, spans, closed_at)
            if len(dismissed) < len(spans):
                return ""
        return f"{watched[0].metric_name} {dismissed[watched[0].anomaly_id]}"

    def _tell_acknowledged(
        self, contact: _Contact, row: Notification, watched: list[Member], situation: Situation
    ) -> int:
        """Tell a channel that shows who takes an incident over, once; return how many messages."""
        kind = KINDS.get(contact.point.kind)
        if kind is None or not kind.takes_acknowledgement or situation.hold is not None:
            return 0
        live = [member for member in watched if self._is_live(member)]
        if not (row.is_told_open and live) or any(
            member.status != Status.ACKNOWLEDGED for member in live
        ):
            return 0
        if _last_told_among(row, (OPENED, FLAPPING, ACKNOWLEDGED)) == ACKNOWLEDGED:
            return 0
        states = states_of([member.anomaly_id for member in live]).values()
        by = {state.acknowledged_by for state in states if state.acknowledged_by}
        facts = facts_of_incident(
            ACKNOWLEDGED,
            self._at,
            self._state.org,
            contact.watcher,
            contact.point,
            self._incident,
            watched,
            self._named(watched),
        )
        facts = structs.replace(facts, acknowledged_by=" and ".join(sorted(by)))
        add_delivery(row, contact.point, facts, self._at)
        return 1

    def _situation(self, contact: _Contact, row: Notification, watched: list[Member]) -> Situation:
        live = [member for member in watched if self._is_live(member)]
        concerned = live or watched
        severity = max((member.severity for member in watched), key=SEVERITIES.index)
        names = [member.metric_name for member in concerned]
        hold = self._state.holds.of(contact.point, names, severity)
        if hold is not None and hold.kind != QUIET_HOURS:
            self._muted.update(member.anomaly_id for member in live)
        situation = Situation(
            at=self._at,
            is_open=bool(live),
            severity=severity,
            joined_at=max(member.joined_at for member in watched),
            is_acknowledged=bool(live) and all(map(self._is_handled, live)),
            hold=hold,
        )
        if row.is_told_open and row.flapping_told_at is None:
            return situation
        metric_ids = {member.metric_id for member in concerned}
        onsets = self._onsets
        known = self._history.of(contact.key)
        return replace(
            situation,
            quiet=known.quiet_hold(metric_ids, contact.watcher, self._at),
            openings=onsets.most_before_last(metric_ids),
            last_onset_at=onsets.last_of(metric_ids),
            flaps_until=known.flaps_until(metric_ids, onsets),
        )

    @cached_property
    def _metric_ids(self) -> list[int]:
        return sorted({member.metric_id for member in self._members})

    @cached_property
    def _onsets(self) -> Onsets:
        return Onsets(self._metric_ids, self._at)

    @cached_property
    def _history(self) -> OpeningHistory:
        watchers = {contact.watcher for contact in self._state.contacts}
        return opening_history(watchers, self._metric_ids, self._at)

    def _note_muted(self) -> None:
        """Note at the anomalies that messages about them were held back."""
        if not self._muted:
            return
        session().flush()
        session().execute(
            update(Anomaly)
            .where(among(Anomaly.id, sorted(self._muted)))
            .values(
                muted_at=self._at,
                muted_severity=select(Span.severity)
                .where(Span.anomaly_id == Anomaly.id)
                .scalar_subquery(),
            )
            .execution_options(synchronize_session=False)
        )
        for row in session().identity_map.values():
            if isinstance(row, Anomaly) and row.id in self._muted:
                session().expire(row, ["muted_at", "muted_severity"])

    def _act(
        self,
        contact: _Contact,
        row: Notification,
        watched: list[Member],
        decision: Decision,
        before: Told,
        situation: Situation,
    ) -> int:
        _store(row, decision)
        tell = decision.tell
        if tell is None:
            return 0
        if tell is Tell.RESENT:
            resend(row, self._at)
            return 0
        if tell is Tell.MISSED:
            self.missed.append(_Missed(contact, row, self._incident, watched))
            return 0
        if tell is Tell.RECOVERED and not _was_any_taken(row):
            return 0
        told_at = before.told_at
        facts = facts_of_incident(
            tell.value,
            self._at,
            self._state.org,
            contact.watcher,
            contact.point,
            self._incident,
            watched,
            self._named(watched),
            joined_count=sum(
                told_at is not None and member.joined_at > told_at for member in watched
            ),
        )
        escalate_after = contact.rules().escalate_after
        facts = structs.replace(
            facts,
            told_severity=before.told_severity or "",
            openings=situation.openings + 1,
            escalated_after_minutes=None
            if escalate_after is None or tell is not Tell.OPENED
            else int(escalate_after.total_seconds() // 60),
        )
        if tell is Tell.OPENED and before.held_since is not None:
            facts = structs.replace(
                facts, held_why=before.held_why or "", held_since_ms=to_ms(before.held_since)
            )
        delivery = add_delivery(row, contact.point, facts, self._at)
        if tell is Tell.OPENED:
            self.opened[contact.key] = delivery
        return 1

    def _named(self, watched: list[Member]) -> list[Span]:
        return spans_in_order([member.anomaly_id for member in watched[:NAMED_MOST]])


def _tell_missed(gone: list[_Missed], opened: Delivery | None, at: datetime) -> int:
    """List what came and went in the message about what goes on, or else in one of its own."""
    listed = tuple(
        MissedFacts(
            metric_name=each.members[0].metric_name,
            anomaly_count=len(each.members),
            began_ms=min(member.started_ms for member in each.members),
            ended_ms=max(member.last_ms for member in each.members),
        )
        for each in gone[:MISSED_NAMED_MOST]
    )
    if opened is not None:
        opened.facts = {
            **opened.facts,
            "missed": msgspec.to_builtins(listed),
            "missed_count": len(gone),
        }
        return 0
    last = gone[-1]
    org = session().get_one(Org, last.incident.org_id)
    facts = facts_of_incident(
        Tell.MISSED.value,
        at,
        org,
        last.contact.watcher,
        last.contact.point,
        last.incident,
        last.members,
        spans_in_order([member.anomaly_id for member in last.members[:NAMED_MOST]]),
    )
    facts = structs.replace(facts, missed=listed, missed_count=len(gone))
    add_delivery(last.row, last.contact.point, facts, at)
    return 1


def _org_state(org_id: int, at: datetime) -> _OrgState:
    org = session().get_one(Org, org_id)
    watchers = list_alerting_watchers(org_id)
    linked: Mapping[int, list[tuple[int, ContactPoint]]] = contacts_of(
        [watcher.id for watcher in watchers]
    )
    contacts = [
        _Contact(watcher, step, point)
        for watcher in watchers
        for step, point in linked[watcher.id]
        if why_not_reached(point) is None
    ]
    return _OrgState(org, contacts, Holds(org, at))


def _told(row: Notification) -> Told:
    return Told(**{name: getattr(row, name) for name in Told.__dataclass_fields__})


def _store(row: Notification, decision: Decision) -> None:
    for name in Told.__dataclass_fields__:
        setattr(row, name, getattr(decision.told, name))
    if row.held_why is not None:
        row.held_why = cut(row.held_why, HELD_WHY_CHARACTERS_MAX)
    row.due_at = decision.due_at


def _is_unattempted(row: Notification) -> bool:
    """Return whether all messages of the notification wait and none was tried."""
    if not row.is_told_open:
        return False
    # Locked, so that none is claimed before this transaction ends.
    messages = session().scalars(
        select(Delivery)
        .where(Delivery.notification_id == row.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return all(each.state == PENDING and not each.attempts for each in messages)


def _take_back(row: Notification, hold: Hold, at: datetime) -> None:
    """Give up the waiting messages about an incident that came and went while they were held."""
    _give_up(row, f"Not sent because {hold.why}; it has ended since.", at)


def _give_up(row: Notification, problem: str, at: datetime) -> None:
    """Give up the waiting messages of a notification."""
    waiting = session().scalars(
        select(Delivery).where(Delivery.notification_id == row.id, Delivery.state == PENDING)
    )
    for delivery in waiting:
        DELIVERIES.give_up(delivery, problem, at)


def _last_told_among(row: Notification, transitions: Collection[str]) -> str | None:
    """Return the transition of the last message of a notification that had one of these."""
    return session().scalar(
        select(Delivery.transition)
        .where(Delivery.notification_id == row.id, Delivery.transition.in_(transitions))
        .order_by(Delivery.sequence.desc())
        .limit(1)
    )


def _was_any_taken(row: Notification) -> bool:
    """Return whether a message of the notification was sent, or waits to be."""
    found = session().scalar(
        select(Delivery.id)
        .where(Delivery.notification_id == row.id, Delivery.state != DEAD)
        .limit(1)
    )
    return found is not None

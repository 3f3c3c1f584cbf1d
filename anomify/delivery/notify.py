"""Decide for incidents what each contact point is told now, and enqueue the messages."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import structs
from sqlalchemy import delete, func, select

from anomify.anomaly.model import Span
from anomify.anomaly.recording import SEVERITIES
from anomify.channel.kinds import KINDS
from anomify.clock import datetime_from_ms, now, to_ms
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import why_not_reached
from anomify.db import session
from anomify.delivery.decision import (
    FLAPPING_WINDOW,
    Decision,
    Hold,
    Rules,
    Situation,
    Tell,
    Told,
    decide,
)
from anomify.delivery.enqueue import add_delivery, resend
from anomify.delivery.facts import MissedFacts, facts_of_incident
from anomify.delivery.holds import QUIET_HOURS, Holds, OpeningHistory, opening_history
from anomify.delivery.model import Delivery, Notification
from anomify.delivery.outbox import DELIVERIES
from anomify.incident.model import Incident
from anomify.incident.queries import lock_incidents, members_of, steps_of
from anomify.incident.relation import AnomalyOnset, first_mover
from anomify.job.model import DEAD, PENDING
from anomify.org.model import Org
from anomify.triage.queries import TriageState, states_of
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
        watcher = self.watcher
        kind = KINDS.get(self.point.kind)
        resend_seconds = None if kind is None else kind.resend_seconds
        minutes = watcher.escalation_minutes
        escalate_after = None
        if self.step and minutes:
            escalate_after = timedelta(minutes=minutes[min(self.step, len(minutes)) - 1])
        return Rules(
            wait=timedelta(seconds=max(watcher.group_wait_seconds, watcher.sustain_seconds)),
            update_every=timedelta(seconds=watcher.group_interval_seconds),
            reminder_every=_interval(watcher.reminder_seconds),
            # What a threshold finds lasts until it has been over for so long.
            recover_after=timedelta(
                seconds=watcher.recover_seconds if watcher.threshold_operator is None else 0
            ),
            escalate_after=escalate_after,
            resend_every=_interval(resend_seconds),
        )


@dataclass(slots=True)
class _Missed:
    """What a contact point is to be told of as gone, and the row that the message belongs to."""

    contact: _Contact
    row: Notification
    incident: Incident
    spans: list[Span]


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


def notify_due(at: datetime) -> int:
    """Decide for the incidents whose time has come; return how many were looked at."""
    due = session().scalars(
        select(Notification.incident_id)
        .where(Notification.due_at <= at)
        .order_by(Notification.due_at, Notification.id)
        .limit(DUE_MOST)
    )
    incident_ids = set(due)
    if incident_ids:
        notify(incident_ids, at)
    return len(incident_ids)


def is_any_due(at: datetime) -> bool:
    """Return whether `notify_due` might find something; this changes and locks nothing."""
    due = select(Notification.id).where(Notification.due_at <= at).limit(1)
    return session().scalar(due) is not None


def withdraw(anomaly_ids: Sequence[int], incidents: Iterable[Incident]) -> None:
    """Delete the waiting messages of incidents that consist of these anomalies only.

    A message that is being sent now still arrives. Nothing more is told of these incidents.
    """
    gone = set(anomaly_ids)
    for incident in incidents:
        if {span.anomaly_id for span, _ in members_of(incident.id)} - gone:
            continue
        session().execute(
            delete(Delivery).where(
                Delivery.incident_id == incident.id,
                Delivery.state == PENDING,
                func.coalesce(Delivery.leased_until, datetime_from_ms(0)) <= now(),
            )
        )
        session().execute(delete(Notification).where(Notification.incident_id == incident.id))


class _IncidentDecision:
    """Decides what each contact point is told of one incident."""

    def __init__(
        self,
        incident: Incident,
        members: Sequence[tuple[Span, datetime]],
        state: _OrgState,
        at: datetime,
        as_open: frozenset[int],
    ) -> None:
        self._incident = incident
        self._members = members
        self._state = state
        self._at = at
        self._as_open = as_open
        self._triage = states_of([span.anomaly_id for span, _ in members])
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
        metric_ids = sorted({span.metric_id for span, _ in self._members})
        history = opening_history(
            {contact.watcher for contact in self._state.contacts}, metric_ids, self._at
        )
        enqueued = 0
        current = set()
        for contact in self._state.contacts:
            watched = self._watched(contact.watcher)
            if not watched:
                continue
            row = rows.get(contact.key)
            is_open = any(self._is_live(span) for span in watched)
            if row is None and not is_open:
                continue
            current.add(contact.key)
            if row is None:
                row = self._new_row(contact)
            enqueued += self._decide(contact, row, watched, history)
        for key, row in rows.items():
            if key not in current:
                # The watcher does not notify this contact point of it any more.
                row.due_at = None
        return enqueued

    def _update_incident(self) -> None:
        incident = self._incident
        spans = [span for span, _ in self._members]
        incident.severity = max((span.severity for span in spans), key=SEVERITIES.index)
        steps = steps_of([span.metric_id for span in spans])
        first = first_mover(
            [
                AnomalyOnset(
                    span.anomaly_id,
                    span.metric_id,
                    span.metric.name,
                    span.started_ms,
                    steps.get(span.metric_id, 0),
                )
                for span in spans
            ],
            {span.anomaly_id: span.alert for span in spans},
        )
        incident.first_anomaly_id = first.anomaly_id
        # Open ones are read first: where none is among them, none is left.
        is_open = any(self._is_live(span) for span in spans)
        if incident.is_open and not is_open:
            incident.closed_at = self._at
            incident.ended_ms = max(
                span.last_over_ms if span.ended_ms is None else span.ended_ms for span in spans
            )
        elif is_open:
            incident.closed_at = incident.ended_ms = None
        incident.is_open = is_open

    def _is_live(self, span: Span) -> bool:
        """Return whether an anomaly goes on and no person has ended it."""
        is_open = span.is_open or span.anomaly_id in self._as_open
        return is_open and not self._triage_of(span).status.is_archived

    def _triage_of(self, span: Span) -> TriageState:
        return self._triage.get(span.anomaly_id, TriageState())

    def _watched(self, watcher: Watcher) -> list[Span]:
        """Return the anomalies that a watcher notifies of, the one that came first at the front."""
        watched = [
            span
            for span, _ in self._members
            if is_told(watcher, span.metric.name, span.severity, span.watcher_id)
        ]
        first = self._incident.first_anomaly_id
        return sorted(watched, key=lambda span: span.anomaly_id != first)

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

    def _decide(
        self,
        contact: _Contact,
        row: Notification,
        watched: list[Span],
        history: OpeningHistory,
    ) -> int:
        situation = self._situation(contact, watched, history)
        told = _told(row)
        if situation.hold is not None and not situation.is_open and _is_unattempted(row):
            _take_back(row, situation.hold, self._at)
            for span in watched:
                span.anomaly.muted_at, span.anomaly.muted_severity = self._at, span.severity
            told = replace(
                told,
                is_told_open=False,
                opening_told_at=None,
                held_since=told.told_at,
                held_why=situation.hold.why,
                held_kind=situation.hold.kind,
            )
        decision = decide(situation, told, contact.rules())
        return self._act(contact, row, watched, decision, told, situation)

    def _situation(
        self, contact: _Contact, watched: list[Span], history: OpeningHistory
    ) -> Situation:
        incident, at = self._incident, self._at
        live = [span for span in watched if self._is_live(span)]
        concerned = live or watched
        joined = {span.anomaly_id: joined_at for span, joined_at in self._members}
        severity = max((span.severity for span in watched), key=SEVERITIES.index)
        names = [span.metric.name for span in concerned]
        hold = self._state.holds.of(contact.point, names, severity)
        if hold is not None and hold.kind != QUIET_HOURS:
            for span in live:
                span.anomaly.muted_at, span.anomaly.muted_severity = at, span.severity
        known = history.of(contact.key)
        metric_ids = {span.metric_id for span in concerned}
        return Situation(
            at=at,
            is_open=bool(live),
            opened_at=incident.opened_at,
            closed_at=incident.closed_at or (None if live else at),
            severity=severity,
            joined_at=max(joined[span.anomaly_id] for span in watched),
            is_acknowledged=bool(live) and all(self._triage_of(span).is_handled for span in live),
            hold=hold,
            quiet=known.quiet_hold(metric_ids, contact.watcher, at),
            openings=known.openings_since(metric_ids, at - FLAPPING_WINDOW),
            flaps_until=known.flaps_until(metric_ids, at),
        )

    def _act(
        self,
        contact: _Contact,
        row: Notification,
        watched: list[Span],
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
        joined = {span.anomaly_id: joined_at for span, joined_at in self._members}
        told_at = before.told_at
        facts = facts_of_incident(
            tell.value,
            self._at,
            self._state.org,
            contact.watcher,
            contact.point,
            self._incident,
            watched,
            joined_count=sum(
                told_at is not None and joined[span.anomaly_id] > told_at for span in watched
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


def _tell_missed(gone: list[_Missed], opened: Delivery | None, at: datetime) -> int:
    """List what came and went in the message about what goes on, or else in one of its own."""
    listed = tuple(
        MissedFacts(
            metric_name=each.spans[0].metric.name,
            anomaly_count=len(each.spans),
            began_ms=min(span.started_ms for span in each.spans),
            ended_ms=max(
                span.last_over_ms if span.ended_ms is None else span.ended_ms for span in each.spans
            ),
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
        last.spans,
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
    row.due_at = decision.due_at


def _is_unattempted(row: Notification) -> bool:
    """Return whether all messages of the notification wait and none was tried."""
    if not row.is_told_open:
        return False
    tried = session().scalar(
        select(func.count())
        .select_from(Delivery)
        .where(
            Delivery.notification_id == row.id,
            (Delivery.state != PENDING) | (Delivery.attempts > 0),
        )
    )
    return not tried


def _take_back(row: Notification, hold: Hold, at: datetime) -> None:
    """Give up the waiting messages about an incident that came and went while they were held."""
    waiting = session().scalars(
        select(Delivery).where(Delivery.notification_id == row.id, Delivery.state == PENDING)
    )
    for delivery in waiting:
        DELIVERIES.give_up(delivery, f"Not sent because {hold.why}; it has ended since.", at)


def _was_any_taken(row: Notification) -> bool:
    """Return whether a message of the notification was sent, or waits to be."""
    found = session().scalar(
        select(Delivery.id)
        .where(Delivery.notification_id == row.id, Delivery.state != DEAD)
        .limit(1)
    )
    return found is not None


def _interval(seconds: int | None) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None

"""Queries for the triage of anomalies."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import is_more_severe
from anomify.clock import now
from anomify.db import among, session
from anomify.triage.model import Assignment, Triage
from anomify.triage.status import Status


@dataclass(frozen=True, slots=True)
class TriageState:
    """What people decided about an anomaly, for those who send messages about it.

    An acknowledged one needs no reminder and no escalation; neither does an archived one, and one
    that is snoozed until `snoozed_until`. That is None if it is over, or if the severity has risen
    since.
    """

    status: Status = Status.ACTIVE
    snoozed_until: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    # Ids of users, in order.
    assignees: tuple[int, ...] = ()

    @property
    def is_handled(self) -> bool:
        """Return whether nobody has to be reminded of it now."""
        return self.status is not Status.ACTIVE or self.snoozed_until is not None


def states_of(anomaly_ids: Iterable[int]) -> dict[int, TriageState]:
    """Return the state of each of these anomalies of any org, by id, as far as they exist."""
    ids = list(anomaly_ids)
    rows = session().execute(
        select(Anomaly.id, Anomaly.status, Span.severity, Triage)
        .join(Span, Span.anomaly_id == Anomaly.id)
        .join(Triage, Triage.anomaly_id == Anomaly.id, isouter=True)
        .where(among(Anomaly.id, ids))
    )
    assigned = assignees_of(ids)
    return {
        anomaly_id: _state(Status(status), severity, triage, tuple(assigned.get(anomaly_id, ())))
        for anomaly_id, status, severity, triage in rows
    }


def _state(
    status: Status, severity: str, triage: Triage | None, assignees: tuple[int, ...]
) -> TriageState:
    if triage is None:
        return TriageState(status, assignees=assignees)
    return TriageState(
        status=status,
        snoozed_until=snoozed_until(triage, severity),
        acknowledged_by=triage.acknowledged_by,
        acknowledged_at=triage.acknowledged_at,
        assignees=assignees,
    )


def assignees_of(anomaly_ids: Iterable[int]) -> dict[int, list[int]]:
    """Return the ids of the users assigned to each of these anomalies that has any."""
    rows = session().execute(
        select(Assignment.anomaly_id, Assignment.user_id)
        .where(among(Assignment.anomaly_id, anomaly_ids))
        .order_by(Assignment.anomaly_id, Assignment.user_id)
    )
    found: dict[int, list[int]] = {}
    for anomaly_id, user_id in rows:
        found.setdefault(anomaly_id, []).append(user_id)
    return found


def snoozed_until(triage: Triage, severity: str) -> datetime | None:
    """Return until when an anomaly of that severity is snoozed; None if it is not."""
    until = triage.snoozed_until
    if until is None or until <= now():
        return None
    if triage.snoozed_severity is not None and is_more_severe(severity, triage.snoozed_severity):
        return None
    return until

"""Queries for the triage of anomalies."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from anomify.anomaly.model import Anomaly, Span
from anomify.db import among, session
from anomify.triage.comment_list import count_comments
from anomify.triage.model import Assignment, Triage
from anomify.triage.snooze import snoozed_until
from anomify.triage.status import Status
from anomify.user.model import User


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
    duplicate_of: int | None = None

    @property
    def is_handled(self) -> bool:
        """Return whether nobody has to be reminded of it now."""
        return self.status is not Status.ACTIVE or self.snoozed_until is not None


@dataclass(frozen=True, slots=True)
class TriageDescription:
    """The state of an anomaly, with the names of its assignees and the number of comments."""

    state: TriageState
    # Ids and names of users.
    assignees: tuple[tuple[int, str], ...]
    comments: int


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
        duplicate_of=triage.duplicate_of_id,
    )


def described(anomaly_ids: Sequence[int]) -> dict[int, TriageDescription]:
    """Return the triage of each of these anomalies as lists show it, as far as they exist."""
    states = states_of(anomaly_ids)
    users = {user_id for state in states.values() for user_id in state.assignees}
    names = {
        user.id: user.name
        for user in (session().scalars(select(User).where(among(User.id, users))) if users else ())
    }
    comments = count_comments(anomaly_ids)
    return {
        anomaly_id: TriageDescription(
            state,
            tuple((user_id, names.get(user_id, "")) for user_id in state.assignees),
            comments.get(anomaly_id, 0),
        )
        for anomaly_id, state in states.items()
    }


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

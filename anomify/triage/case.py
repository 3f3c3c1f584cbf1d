"""An anomaly with its triage, locked for a change."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import contains_eager

from anomify.anomaly.model import Anomaly, Span
from anomify.clock import now, to_timestamp
from anomify.db import among, session
from anomify.errors import NotFound
from anomify.triage.actor import Actor
from anomify.triage.assignment import set_assignees
from anomify.triage.comment_list import CommentStub, comment_stubs
from anomify.triage.model import Triage
from anomify.triage.queries import assignees_of
from anomify.triage.snooze import snoozed_until
from anomify.triage.status import Status


@dataclass(slots=True)
class Case:
    """An anomaly with its triage; its row is locked until the unit of work ends."""

    anomaly: Anomaly
    triage: Triage
    # Ids of users, in order.
    assignees: tuple[int, ...]
    # The comments that are not deleted, the oldest first.
    comments: list[CommentStub] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """Return the anomaly's status."""
        return Status(self.anomaly.status)

    def values(self) -> dict[str, Any]:
        """Return the values that the history is about, as JSON can hold them."""
        until = snoozed_until(self.triage, self.anomaly.span.severity)
        return {
            "status": self.status.value,
            "duplicate_of": self.triage.duplicate_of_id,
            "snoozed_until": None if until is None else to_timestamp(until),
            "assignees": list(self.assignees),
            "comments": list(self.comments),
        }

    def hidden_values(self) -> dict[str, Any]:
        """Return what an undo has to restore besides, as JSON can hold it."""
        at = self.triage.acknowledged_at
        return {
            "acknowledged_by": self.triage.acknowledged_by,
            "acknowledged_by_id": self.triage.acknowledged_by_id,
            "acknowledged_at": None if at is None else at.isoformat(),
            "snoozed_severity": self.triage.snoozed_severity,
        }

    def restore_acknowledgement(self, hidden: dict[str, Any]) -> None:
        """Set who had acknowledged it, as `hidden_values` returned it before a change."""
        at = hidden["acknowledged_at"]
        self.triage.acknowledged_by = hidden["acknowledged_by"]
        self.triage.acknowledged_by_id = hidden["acknowledged_by_id"]
        self.triage.acknowledged_at = None if at is None else datetime.fromisoformat(at)

    def set_status(self, status: Status, by: Actor) -> None:
        """Set the status; archiving ends a snooze."""
        if status is self.status:
            return
        self.anomaly.status = status.value
        is_acknowledged = status is Status.ACKNOWLEDGED
        self.triage.acknowledged_by = by.name if is_acknowledged else None
        self.triage.acknowledged_by_id = by.user_id if is_acknowledged else None
        self.triage.acknowledged_at = now() if is_acknowledged else None
        if status is not Status.DUPLICATE:
            self.triage.duplicate_of_id = None
        if status.is_archived:
            self.set_snooze(None)

    def set_snooze(self, until: datetime | None) -> None:
        """Snooze the anomaly at its present severity, or end its snooze."""
        self.triage.snoozed_until = until
        self.triage.snoozed_severity = None if until is None else self.anomaly.span.severity

    def set_assignees(self, user_ids: Collection[int]) -> None:
        """Assign exactly these users."""
        wanted = tuple(sorted(set(user_ids)))
        set_assignees(self.anomaly.id, self.assignees, wanted)
        self.assignees = wanted


def lock_cases(
    org_id: int, anomaly_ids: Iterable[int], also: Iterable[int] = ()
) -> dict[int, Case]:
    """Lock these anomalies of the org and return them by id, with span and metric loaded.

    The rows `also` are locked with them, so that two requests cannot make two anomalies duplicates
    of each other. Raises `NotFound`, naming the first that is not there.
    """
    ids = list(anomaly_ids)
    wanted = {*ids, *also}
    session().flush()
    # In the order of their ids, so that two requests for the same ones wait for each other.
    locked = session().scalars(
        select(Anomaly)
        .join(Anomaly.span)
        .join(Span.metric)
        .where(Anomaly.org_id == org_id, among(Anomaly.id, wanted))
        .order_by(Anomaly.id)
        .options(contains_eager(Anomaly.span).contains_eager(Span.metric))
        .with_for_update(of=Anomaly, key_share=True)
        .execution_options(populate_existing=True)
    )
    anomalies = {anomaly.id: anomaly for anomaly in locked}
    if missing := wanted - set(anomalies):
        raise NotFound(f"There is no anomaly {min(missing)} in your org.")
    triages = {
        row.anomaly_id: row
        for row in session().scalars(
            select(Triage)
            .where(among(Triage.anomaly_id, ids))
            .execution_options(populate_existing=True)
        )
    }
    assigned = assignees_of(ids)
    comments = comment_stubs(ids)
    cases = {}
    for anomaly_id in ids:
        triage = triages.get(anomaly_id)
        if triage is None:
            # Stored with the first change.
            triage = Triage(anomaly_id=anomaly_id, org_id=org_id)
        cases[anomaly_id] = Case(
            anomalies[anomaly_id],
            triage,
            tuple(assigned.get(anomaly_id, ())),
            comments.get(anomaly_id, []),
        )
    return cases

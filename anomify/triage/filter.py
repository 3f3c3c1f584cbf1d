"""Which anomalies a list contains, by their triage."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select

from anomify.anomaly.model import Anomaly
from anomify.triage.model import Assignment, Triage
from anomify.triage.snooze import is_snoozed
from anomify.triage.status import Status


@dataclass(frozen=True, slots=True)
class TriageFilter:
    """The anomalies that a list contains; without any value all of them."""

    statuses: Collection[Status] = ()
    # Only those to which this user is assigned; 0 for those to which nobody is.
    assignee_id: int | None = None
    snoozed: bool | None = None
    duplicate_of: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions for a query of anomalies with their spans."""
        wanted: list[ColumnElement[bool]] = []
        if self.statuses:
            wanted.append(Anomaly.status.in_([status.value for status in self.statuses]))
        if self.assignee_id is not None:
            assigned = exists().where(Assignment.anomaly_id == Anomaly.id).correlate(Anomaly)
            wanted.append(
                assigned.where(Assignment.user_id == self.assignee_id)
                if self.assignee_id
                else ~assigned
            )
        if self.snoozed is not None:
            wanted.append(is_snoozed() if self.snoozed else ~is_snoozed())
        if self.duplicate_of is not None:
            duplicates = select(Triage.anomaly_id).where(
                Triage.duplicate_of_id == self.duplicate_of
            )
            wanted.append(Anomaly.id.in_(duplicates))
        return wanted

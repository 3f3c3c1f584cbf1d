"""The history of an anomaly: a row for each transaction that changed it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from anomify.anomaly.model import Anomaly
from anomify.audit.recording import record_audit
from anomify.clock import datetime_from_ms, now
from anomify.db import among, session
from anomify.org.model import Org
from anomify.triage.actor import Actor
from anomify.triage.case import Case
from anomify.triage.model import AnomalyChange, TriageTransaction
from anomify.triage.status import Status
from anomify.user.model import User

MACHINE: Final = "Anomify"
# For how long a page shows what its user has just done.
SHOWN_FOR: Final = timedelta(minutes=2)
# The fields of a change, and the action in the audit trail of one that changes it first of all.
ACTIONS: Final = {
    "status": "anomaly.status",
    "duplicate_of": "anomaly.status",
    "assignees": "anomaly.assign",
    "snoozed_until": "anomaly.snooze",
    "comments": "anomaly.comment",
}

Changeset = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """What one transaction changed; without a user where the product itself or a token did it."""

    # Empty for what the product recorded itself.
    transaction_id: int | None
    user_id: int | None
    actor: str
    at: datetime
    # By field: the value before and the value after.
    changeset: Changeset
    undoes_id: int | None = None
    # It was undone.
    is_undone: bool = False


@dataclass(slots=True)
class Recorder:
    """Record the changes of one transaction; there is none if nothing has changed."""

    org: Org
    actor: Actor
    transaction: TriageTransaction | None = None
    # The ids of the anomalies that have changed, in the order of the changes.
    changed: list[int] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)

    def record(
        self,
        case: Case,
        before: Mapping[str, Any],
        hidden: Mapping[str, Any],
        undoes_id: int | None = None,
    ) -> Changeset:
        """Write a row of the history and one of the audit trail if a value is not as before.

        `before` and `hidden` are the case's values before the change. Return what has changed.
        """
        after = case.values()
        changeset = {
            name: [before[name], after[name]] for name in after if before[name] != after[name]
        }
        if not changeset:
            return {}
        moment = now()
        if self.transaction is None:
            self.transaction = TriageTransaction(
                org_id=self.org.id, actor_id=self.actor.user_id, actor=self.actor.name, at=moment
            )
            session().add(self.transaction)
            session().flush()
        if "assignees" in changeset:
            changeset["assignees"] = [self._stubs(ids) for ids in changeset["assignees"]]
        session().add(case.triage)
        session().add(
            AnomalyChange(
                transaction_id=self.transaction.id,
                anomaly_id=case.anomaly.id,
                changeset=changeset,
                restores=dict(hidden),
                undoes_id=undoes_id,
            )
        )
        case.anomaly.triaged_at = moment
        self.changed.append(case.anomaly.id)
        self._audit(case, changeset, is_undo=undoes_id is not None)
        return changeset

    def _stubs(self, user_ids: Sequence[int]) -> list[dict[str, Any]]:
        """Return users as the history keeps them: their names stay when they are deleted."""
        unknown = [user_id for user_id in user_ids if user_id not in self._names]
        if unknown:
            users = session().scalars(select(User).where(among(User.id, unknown)))
            self._names.update({user.id: user.name for user in users})
        return [{"id": user_id, "name": self._names.get(user_id, "")} for user_id in user_ids]

    def _audit(self, case: Case, changeset: Changeset, *, is_undo: bool) -> None:
        first = next(name for name in ACTIONS if name in changeset)
        values = [
            {"anomaly": case.anomaly.id, **{name: pair[side] for name, pair in changeset.items()}}
            for side in (0, 1)
        ]
        record_audit(
            self.org.id,
            actor=self.actor.name,
            action="anomaly.undo" if is_undo else ACTIONS[first],
            target=case.anomaly.span.metric.name,
            before=values[0],
            after=values[1],
        )


def list_history(anomaly: Anomaly) -> list[HistoryRow]:
    """Return the history of an anomaly with its span loaded, the newest first.

    It contains what the product recorded: when the anomaly was found and when it ended, and what a
    person called it.
    """
    rows = [*_changes([anomaly.id]), *_recorded(anomaly)]
    return sorted(rows, key=lambda row: (row.at, row.transaction_id or 0), reverse=True)


def find_transaction(
    org_id: int, transaction_id: int, actor: Actor
) -> tuple[HistoryRow, int] | None:
    """Return the row of a recent transaction of the actor, and how many anomalies it changed.

    The row is that of the first anomaly. None if the transaction is older than `SHOWN_FOR`, is
    somebody else's, or does not exist.
    """
    found = (
        session()
        .execute(
            select(AnomalyChange, TriageTransaction)
            .join(TriageTransaction, TriageTransaction.id == AnomalyChange.transaction_id)
            .where(
                TriageTransaction.org_id == org_id,
                TriageTransaction.id == transaction_id,
                TriageTransaction.at > now() - SHOWN_FOR,
            )
            .order_by(AnomalyChange.anomaly_id)
        )
        .all()
    )
    if not found or not actor.is_author(found[0][1].actor_id, found[0][1].actor):
        return None
    change, transaction = found[0]
    return _row(change, transaction, is_undone=False), len(found)


def who_set_status(anomaly_ids: Iterable[int]) -> dict[int, str]:
    """Return the name of who gave each of these anomalies its present status, as far as known."""
    rows = [row for row in _changed(anomaly_ids) if "status" in row[0].changeset]
    rows.sort(key=lambda row: row[1].id)
    return {change.anomaly_id: transaction.actor for change, transaction in rows}


def _changed(anomaly_ids: Iterable[int]) -> list[tuple[AnomalyChange, TriageTransaction]]:
    rows = session().execute(
        select(AnomalyChange, TriageTransaction)
        .join(TriageTransaction, TriageTransaction.id == AnomalyChange.transaction_id)
        .where(among(AnomalyChange.anomaly_id, anomaly_ids))
    )
    return [(change, transaction) for change, transaction in rows]


def _changes(anomaly_ids: Iterable[int]) -> list[HistoryRow]:
    found = _changed(anomaly_ids)
    undone = {change.undoes_id for change, _ in found if change.undoes_id is not None}
    return [
        _row(change, transaction, is_undone=transaction.id in undone)
        for change, transaction in found
    ]


def _row(change: AnomalyChange, transaction: TriageTransaction, *, is_undone: bool) -> HistoryRow:
    return HistoryRow(
        transaction_id=transaction.id,
        user_id=transaction.actor_id,
        actor=transaction.actor,
        at=transaction.at,
        changeset=change.changeset,
        undoes_id=change.undoes_id,
        is_undone=is_undone,
    )


def _recorded(anomaly: Anomaly) -> list[HistoryRow]:
    """Return what the anomaly itself states, as rows of its history."""
    span = anomaly.span
    created: Changeset = {"status": [None, Status.ACTIVE.value], "running": [None, True]}
    rows = [HistoryRow(None, None, MACHINE, anomaly.recorded_at, created)]
    if span.ended_ms is not None:
        ended: Changeset = {"running": [True, False]}
        if span.ended_by_pattern_id is not None:
            ended["ended_by_pattern"] = [None, span.ended_by_pattern_id]
        if span.ended_by_silence:
            ended["ended_by_silence"] = [False, True]
        rows.append(HistoryRow(None, None, MACHINE, datetime_from_ms(span.ended_ms), ended))
    if anomaly.expected is not None and anomaly.labelled_at is not None:
        labelled: Changeset = {"expected": [None, anomaly.expected]}
        rows.append(
            HistoryRow(
                None,
                anomaly.labelled_by_id,
                anomaly.labelled_by or "",
                anomaly.labelled_at,
                labelled,
            )
        )
    return rows

"""Undo a change: the values before it are restored, as one more row of the history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import aliased

from anomify.anomaly.model import Anomaly
from anomify.clock import datetime_from_timestamp, now
from anomify.db import among, session
from anomify.errors import Conflict, Invalid, NotFound
from anomify.org.model import Org
from anomify.triage.actor import Actor
from anomify.triage.assignment import list_assignable
from anomify.triage.case import Case, lock_cases
from anomify.triage.change import ANOMALIES_MAX, Changed
from anomify.triage.comment import remove_text
from anomify.triage.comment_list import get_comment
from anomify.triage.history import Changeset, Recorder
from anomify.triage.model import AnomalyChange, Comment, TriageTransaction
from anomify.triage.status import Status

# Somebody may have acted upon an older change; a new one has to be made instead.
WINDOW: Final = timedelta(minutes=10)


def undo_latest(org: Org, anomaly_ids: Sequence[int], actor: Actor) -> Changed:
    """Undo the actor's latest change of each of these anomalies that is not undone yet.

    All are undone or none. Raises `Conflict` where there is nothing to undo, where it was over
    `WINDOW` ago, where somebody else has changed the same since, and for a comment that was edited
    or deleted.
    """
    if not anomaly_ids or len(anomaly_ids) > ANOMALIES_MAX:
        raise Invalid(f"Name 1 to {ANOMALIES_MAX:,} anomalies.")
    cases = lock_cases(org.id, anomaly_ids)
    return _undo(org, cases, _latest(org, anomaly_ids, actor), actor)


def undo_transaction(org: Org, transaction_id: int, actor: Actor) -> Changed:
    """Undo everything that one transaction of the actor has changed.

    Raises `NotFound` if the org has no such transaction, `Conflict` as `undo_latest` does, and for
    a transaction of somebody else.
    """
    transaction = session().scalar(
        select(TriageTransaction).where(
            TriageTransaction.org_id == org.id, TriageTransaction.id == transaction_id
        )
    )
    if transaction is None:
        raise NotFound("There is no such change in your org.")
    if not actor.is_author(transaction.actor_id, transaction.actor):
        raise Conflict(
            f"{transaction.actor} did this; only they can undo it.", code="not_your_change"
        )
    changed = select(AnomalyChange.anomaly_id).where(AnomalyChange.transaction_id == transaction_id)
    anomaly_ids = list(session().scalars(changed))
    if not anomaly_ids:
        raise _nothing()
    cases = lock_cases(org.id, anomaly_ids)
    rows = session().scalars(
        select(AnomalyChange).where(
            AnomalyChange.transaction_id == transaction_id,
            among(AnomalyChange.anomaly_id, anomaly_ids),
        )
    )
    found = {row.anomaly_id: (row, transaction) for row in rows}
    undone = session().scalar(
        select(AnomalyChange.anomaly_id).where(
            AnomalyChange.undoes_id == transaction_id,
            among(AnomalyChange.anomaly_id, anomaly_ids),
        )
    )
    if undone is not None:
        raise Conflict("This was undone already.", code="already_undone")
    return _undo(org, cases, found, actor)


_Found = Mapping[int, tuple[AnomalyChange, TriageTransaction]]


def _undo(org: Org, cases: Mapping[int, Case], found: _Found, actor: Actor) -> Changed:
    for anomaly_id, case in cases.items():
        if anomaly_id not in found:
            raise _nothing()
        _check(case, *found[anomaly_id])
    recorder = Recorder(org, actor)
    users = {user.id for user in list_assignable(org)}
    for anomaly_id, case in cases.items():
        change, _ = found[anomaly_id]
        before, hidden = case.values(), case.hidden_values()
        _restore(org, case, change, users)
        recorder.record(case, before, hidden, undoes_id=change.transaction_id)
    session().flush()
    transaction = recorder.transaction
    return Changed(None if transaction is None else transaction.id, tuple(recorder.changed))


def _latest(
    org: Org, anomaly_ids: Iterable[int], actor: Actor
) -> dict[int, tuple[AnomalyChange, TriageTransaction]]:
    """Return the actor's latest change of each anomaly that neither is an undo nor was undone."""
    undo = aliased(AnomalyChange)
    by_actor = [TriageTransaction.actor_id == actor.user_id]
    if actor.user_id is None:
        by_actor = [TriageTransaction.actor_id.is_(None), TriageTransaction.actor == actor.name]
    rows = session().execute(
        select(AnomalyChange, TriageTransaction)
        .join(TriageTransaction, TriageTransaction.id == AnomalyChange.transaction_id)
        .where(
            TriageTransaction.org_id == org.id,
            *by_actor,
            among(AnomalyChange.anomaly_id, anomaly_ids),
            AnomalyChange.undoes_id.is_(None),
            ~select(undo.anomaly_id)
            .where(
                undo.anomaly_id == AnomalyChange.anomaly_id,
                undo.undoes_id == AnomalyChange.transaction_id,
            )
            .correlate(AnomalyChange)
            .exists(),
        )
        .order_by(AnomalyChange.transaction_id)
    )
    return {change.anomaly_id: (change, transaction) for change, transaction in rows}


def _check(case: Case, change: AnomalyChange, transaction: TriageTransaction) -> None:
    """Raise `Conflict` unless everything is still as the change left it."""
    if change.undoes_id is not None:
        raise Conflict("An undo is not undone; make the change again.", code="is_an_undo")
    if transaction.at < now() - WINDOW:
        minutes = int(WINDOW.total_seconds() // 60)
        raise Conflict(
            f"Only what was done in the last {minutes} minutes can be undone.", code="too_late"
        )
    present = case.values()
    for name, (_, after) in change.changeset.items():
        if name == "comments":
            _check_comments(case, change.changeset)
        elif name == "assignees":
            if present[name] != [user["id"] for user in after]:
                raise _changed_since(case)
        elif present[name] != after:
            raise _changed_since(case)


def _check_comments(case: Case, changeset: Changeset) -> None:
    """Raise `Conflict` unless the change added a comment that is there as it was written."""
    before, after = changeset["comments"]
    if len(after) <= len(before):
        raise Conflict(
            "A comment that was edited or deleted cannot be undone; its former text is not kept.",
            code="comment_changed",
        )
    if any(stub not in case.comments for stub in _added(changeset)):
        raise _changed_since(case)


def _restore(org: Org, case: Case, change: AnomalyChange, users: set[int]) -> None:
    changeset: Changeset = change.changeset
    before: dict[str, Any] = {name: pair[0] for name, pair in changeset.items()}
    if "status" in before:
        case.anomaly.status = Status(before["status"]).value
        case.restore_acknowledgement(change.restores)
    if "snoozed_until" in before:
        until = before["snoozed_until"]
        case.triage.snoozed_until = None if until is None else datetime_from_timestamp(until)
        case.triage.snoozed_severity = change.restores["snoozed_severity"]
    if "duplicate_of" in before:
        original = before["duplicate_of"]
        is_there = original is not None and session().get(Anomaly, original) is not None
        case.triage.duplicate_of_id = original if is_there else None
    if "assignees" in before:
        case.set_assignees([user["id"] for user in before["assignees"] if user["id"] in users])
    if "comments" in before:
        for stub in _added(changeset):
            comment: Comment = get_comment(org.id, stub["id"])
            remove_text(comment)
            case.comments = [one for one in case.comments if one["id"] != comment.id]


def _added(changeset: Changeset) -> list[Any]:
    before, after = changeset["comments"]
    return [stub for stub in after if stub not in before]


def _nothing() -> Conflict:
    return Conflict("There is nothing of yours to undo.", code="nothing_to_undo")


def _changed_since(case: Case) -> Conflict:
    return Conflict(
        f"Anomaly {case.anomaly.id} was changed since; nothing was undone.", code="changed_since"
    )

"""Change the triage of anomalies: all of a request or nothing, with one row of history for each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Invalid
from anomify.org.model import Org
from anomify.triage.actor import Actor
from anomify.triage.assignment import get_assignable
from anomify.triage.case import Case, lock_cases
from anomify.triage.comment_list import stub_of
from anomify.triage.history import Recorder
from anomify.triage.letter import Notices
from anomify.triage.model import Comment, Triage
from anomify.triage.snooze import check_snooze
from anomify.triage.status import Status

ANOMALIES_MAX: Final = 1_000
COMMENT_CHARACTERS_MAX: Final = 5_000
COMMENTS_MAX: Final = 500
ASSIGNEES_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Snooze:
    """Hide an anomaly until a moment; without one, stop hiding it."""

    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageChange:
    """What to change of an anomaly; what is left out stays as it is."""

    status: Status | None = None
    # With the status duplicate: the anomaly of which it is one.
    duplicate_of: int | None = None
    snooze: Snooze | None = None
    # Exactly these users.
    assignees: Sequence[int] | None = None
    # These beside the others, and these no more.
    assign: Sequence[int] = ()
    unassign: Sequence[int] = ()
    comment: str | None = None
    mentioned: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """What a request has changed; no transaction if everything was as requested already."""

    transaction_id: int | None
    anomaly_ids: tuple[int, ...]
    # Ids of the comments that were written.
    comment_ids: tuple[int, ...] = ()


def change_anomalies(
    org: Org, changes: Mapping[int, TriageChange], actor: Actor, base_url: str
) -> Changed:
    """Apply the changes to the org's anomalies, by their ids, all of them or none.

    All are checked before the first one is applied. Users who are newly assigned or mentioned get
    a letter; `base_url` is for its link. Raises `Invalid` for a change that makes no sense,
    `NotFound` for an anomaly or user that the org does not have, and `Conflict` where the state of
    an anomaly does not allow it.
    """
    if not changes:
        raise Invalid("Name at least one anomaly.")
    if len(changes) > ANOMALIES_MAX:
        raise Invalid(f"Change at most {ANOMALIES_MAX:,} anomalies at once.")
    for anomaly_id, change in changes.items():
        _check(anomaly_id, change)
    _check_users(org, changes.values())
    originals = {each.duplicate_of for each in changes.values() if each.duplicate_of is not None}
    cases = lock_cases(org.id, changes, originals)
    for anomaly_id, change in changes.items():
        _check_case(cases[anomaly_id], change)
    before = {anomaly_id: case.values() for anomaly_id, case in cases.items()}
    hidden = {anomaly_id: case.hidden_values() for anomaly_id, case in cases.items()}
    for anomaly_id, change in changes.items():
        _apply(cases[anomaly_id], change, actor)
    for anomaly_id, change in changes.items():
        if change.duplicate_of is not None:
            _check_no_circle(anomaly_id, cases)
    comments = _add_comments(org, changes, cases, actor)
    recorder = Recorder(org, actor)
    notices = Notices(org, actor, base_url)
    for anomaly_id, change in changes.items():
        case = cases[anomaly_id]
        if not recorder.record(case, before[anomaly_id], hidden[anomaly_id]):
            continue
        added = set(case.assignees) - set(before[anomaly_id]["assignees"])
        notices.add(case.anomaly, assigned=added, mentioned=change.mentioned, text=change.comment)
    session().flush()
    notices.post()
    transaction = recorder.transaction
    return Changed(
        None if transaction is None else transaction.id,
        tuple(recorder.changed),
        tuple(comment.id for comment in comments),
    )


def check_comment(text: str) -> str:
    """Return the text of a comment without space around it. Raises `Invalid` if it has none."""
    tidied = text.strip()
    if not tidied or len(tidied) > COMMENT_CHARACTERS_MAX:
        raise Invalid(
            f"A comment has 1 to {COMMENT_CHARACTERS_MAX:,} characters.",
            fields={"comment": f"1 to {COMMENT_CHARACTERS_MAX:,} characters."},
        )
    return tidied


def _check(anomaly_id: int, change: TriageChange) -> None:
    if change.duplicate_of is not None:
        if change.status is not Status.DUPLICATE:
            raise Invalid(
                "Only a duplicate is a duplicate of another anomaly.",
                fields={"duplicate_of": "Only with the status duplicate."},
            )
        if change.duplicate_of == anomaly_id:
            raise Invalid(
                "An anomaly is no duplicate of itself.",
                fields={"duplicate_of": "Another anomaly."},
            )
    if change.snooze is not None:
        check_snooze(change.snooze.until)
        if change.status is not None and change.status.is_archived and change.snooze.until:
            raise Invalid(
                f"One that is {change.status.value} is not snoozed.",
                fields={"snooze_until": "Only for an open anomaly."},
            )
    if change.comment is not None:
        check_comment(change.comment)
    elif change.mentioned:
        raise Invalid(
            "Users are mentioned in a comment.", fields={"mentioned_user_ids": "Add a comment."}
        )


def _check_users(org: Org, changes: Collection[TriageChange]) -> None:
    assigned = {
        user_id for change in changes for user_id in (*(change.assignees or ()), *change.assign)
    }
    get_assignable(org, assigned, "user_ids")
    mentioned = {user_id for change in changes for user_id in change.mentioned}
    get_assignable(org, mentioned, "mentioned_user_ids")


def _check_case(case: Case, change: TriageChange) -> None:
    is_archived = (change.status or case.status).is_archived
    if change.snooze is not None and change.snooze.until is not None and is_archived:
        raise Conflict(
            f"Anomaly {case.anomaly.id} is {case.status.value}; make it active to snooze it.",
            code="archived",
        )
    if change.comment is not None and len(case.comments) >= COMMENTS_MAX:
        raise Conflict(
            f"Anomaly {case.anomaly.id} has {COMMENTS_MAX} comments; delete some first.",
            code="too_many_comments",
        )
    if len(_assignees(case, change)) > ASSIGNEES_MAX:
        raise Invalid(
            f"At most {ASSIGNEES_MAX} users are assigned to an anomaly.",
            fields={"user_ids": f"At most {ASSIGNEES_MAX}."},
        )


def _assignees(case: Case, change: TriageChange) -> set[int]:
    wanted = set(case.assignees if change.assignees is None else change.assignees)
    return (wanted | set(change.assign)) - set(change.unassign)


def _apply(case: Case, change: TriageChange, actor: Actor) -> None:
    if change.status is not None:
        case.set_status(change.status, actor)
    if change.duplicate_of is not None:
        case.triage.duplicate_of_id = change.duplicate_of
    if change.snooze is not None:
        case.set_snooze(change.snooze.until)
    case.set_assignees(_assignees(case, change))


def _check_no_circle(anomaly_id: int, cases: Mapping[int, Case]) -> None:
    """Raise `Conflict` if following the duplicates from an anomaly leads back to it."""
    seen = {anomaly_id}
    following = cases[anomaly_id].triage.duplicate_of_id
    while following is not None:
        if following in seen:
            raise Conflict(
                f"Anomaly {anomaly_id} would be a duplicate of its own duplicate.",
                code="duplicate_circle",
            )
        seen.add(following)
        known = cases.get(following)
        triage = session().get(Triage, following) if known is None else known.triage
        following = None if triage is None else triage.duplicate_of_id


def _add_comments(
    org: Org, changes: Mapping[int, TriageChange], cases: Mapping[int, Case], actor: Actor
) -> list[Comment]:
    moment = now()
    added = [
        Comment(
            org_id=org.id,
            anomaly_id=anomaly_id,
            author_id=actor.user_id,
            author=actor.name,
            message=check_comment(change.comment),
            mentioned_user_ids=list(dict.fromkeys(change.mentioned)),
            created_at=moment,
        )
        for anomaly_id, change in changes.items()
        if change.comment is not None
    ]
    session().add_all(added)
    session().flush()
    for comment in added:
        cases[comment.anomaly_id].comments.append(stub_of(comment))
    return added

"""The triage of anomalies in words: what a change did, who is assigned, what is snoozed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from anomify.clock import datetime_from_timestamp, to_ms
from anomify.dashboard.layout import local_moment
from anomify.dashboard.wording import Moment, within_sentence
from anomify.triage.history import Changeset, HistoryRow
from anomify.triage.queries import TriageDescription
from anomify.triage.status import Status

# What has become of an anomaly, by its new status.
_BECAME: Final = {
    Status.ACTIVE: "reopened it",
    Status.ACKNOWLEDGED: "acknowledged it",
    Status.RESOLVED: "resolved it",
    Status.DUPLICATE: "called it a duplicate",
    Status.INVALID: "called it invalid",
    Status.DISCARDED: "discarded it",
}


@dataclass(frozen=True, slots=True)
class TriageRow:
    """The triage of an anomaly, formatted for a page."""

    status: str
    is_open: bool
    assignees: str
    snoozed_until: Moment | None
    acknowledged_by: str
    duplicate_of: int | None
    comments: int
    is_mine: bool


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One row of the history as a sentence."""

    by: str
    words: str
    at: Moment
    is_undone: bool


def triage_row_of(described: TriageDescription, user_id: int) -> TriageRow:
    """Return the triage of an anomaly for the page of this user."""
    state = described.state
    until = state.snoozed_until
    return TriageRow(
        status=state.status.value,
        is_open=not state.status.is_archived,
        assignees=", ".join(name for _, name in described.assignees),
        snoozed_until=None if until is None else within_sentence(local_moment(to_ms(until))),
        acknowledged_by=state.acknowledged_by or "",
        duplicate_of=state.duplicate_of,
        comments=described.comments,
        is_mine=user_id in state.assignees,
    )


def history_lines(rows: Sequence[HistoryRow]) -> list[HistoryLine]:
    """Return the history of an anomaly in sentences."""
    return [
        HistoryLine(
            row.actor,
            f"undid a change: {what_was_done(row.changeset)}"
            if row.undoes_id is not None
            else what_was_done(row.changeset),
            within_sentence(local_moment(to_ms(row.at))),
            row.is_undone,
        )
        for row in rows
    ]


def what_was_done(changeset: Changeset) -> str:
    """Return what a change did to an anomaly, in words that follow the name of who did it."""
    parts = []
    for name, (before, after) in changeset.items():
        if name == "status" and before is not None:
            parts.append(_BECAME[Status(after)])
        elif name == "status":
            parts.append("found it")
        elif name == "running":
            parts += [] if before is None else ["found that it had ended"]
        elif name == "duplicate_of" and after is not None:
            parts.append(f"named #{after} as its original")
        elif name == "snoozed_until":
            parts.append(_snoozed(after))
        elif name == "assignees":
            parts.append(_assigned(before, after))
        elif name == "comments":
            parts.append(_commented(before, after))
        elif name == "expected":
            parts.append(f"called it {'expected' if after else 'unexpected'}")
        elif name == "ended_by_pattern":
            parts.append("explained it by a pattern")
    return ", ".join(parts) or "changed it"


def _snoozed(after: int | None) -> str:
    if after is None:
        return "ended its snooze"
    until = within_sentence(local_moment(to_ms(datetime_from_timestamp(after))))
    return f"snoozed it until {until.words}"


def _assigned(before: list[Any], after: list[Any]) -> str:
    added = [user["name"] for user in after if user not in before]
    gone = [user["name"] for user in before if user not in after]
    parts = []
    if added:
        parts.append(f"assigned {', '.join(added)}")
    if gone:
        parts.append(f"unassigned {', '.join(gone)}")
    return ", ".join(parts)


def _commented(before: list[Any], after: list[Any]) -> str:
    if len(after) > len(before):
        return "commented"
    return "deleted a comment" if len(after) < len(before) else "edited a comment"

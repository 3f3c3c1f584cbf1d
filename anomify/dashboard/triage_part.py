"""The triage of one anomaly on the page of its metric, and what was just done on any page."""

from dataclasses import dataclass

from anomify.anomaly.model import Anomaly
from anomify.auth.subject import user_subject
from anomify.clock import to_ms
from anomify.dashboard.layout import local_moment
from anomify.dashboard.triage import SNOOZES, page_actor
from anomify.dashboard.triage_words import (
    HistoryLine,
    TriageRow,
    history_lines,
    triage_row_of,
    what_was_done,
)
from anomify.dashboard.wording import Moment, within_sentence
from anomify.edge.access import EDITOR
from anomify.triage.assignment import list_assignable
from anomify.triage.comment_list import list_comments
from anomify.triage.history import find_transaction, list_history
from anomify.triage.mention import readable
from anomify.triage.queries import described
from anomify.user.model import User


@dataclass(frozen=True, slots=True)
class CommentLine:
    """A comment, formatted for a page."""

    id: int
    author: str
    text: str
    at: Moment
    is_edited: bool
    may_delete: bool


@dataclass(frozen=True, slots=True)
class TriagePart:
    """The triage of the selected anomaly."""

    anomaly_id: int
    row: TriageRow
    comments: tuple[CommentLine, ...]
    history: tuple[HistoryLine, ...]
    users: tuple[User, ...]
    snoozes: tuple[tuple[str, str], ...]
    may_edit: bool
    # The page to return to.
    url: str


@dataclass(frozen=True, slots=True)
class Done:
    """What the user has just done, and the change to undo; 0 if it cannot be undone."""

    words: str
    transaction_id: int


def triage_part_of(anomaly: Anomaly, url: str) -> TriagePart:
    """Return the triage of an anomaly whose span is loaded; `url` is the page that shows it."""
    caller = user_subject()
    actor = page_actor()
    comments = tuple(
        CommentLine(
            id=comment.id,
            author=comment.author,
            text=readable(comment.message),
            at=within_sentence(local_moment(to_ms(comment.created_at))),
            is_edited=comment.edited_at is not None,
            may_delete=actor.is_admin or actor.is_author(comment.author_id, comment.author),
        )
        for comment in reversed(list_comments(caller.org.id, anomaly.id))
    )
    return TriagePart(
        anomaly_id=anomaly.id,
        row=triage_row_of(described([anomaly.id])[anomaly.id], caller.user.id),
        comments=comments,
        history=tuple(history_lines(list_history(anomaly))),
        users=tuple(list_assignable(caller.org)),
        snoozes=tuple((length.value, words) for length, words in SNOOZES),
        may_edit=EDITOR.allows(caller),
        url=url,
    )


def done_of(transaction_id: int | None) -> Done | None:
    """Return what the user did in a transaction of a few minutes ago; None if it is another's."""
    if transaction_id is None:
        return None
    found = find_transaction(user_subject().org.id, transaction_id, page_actor())
    if found is None:
        return None
    row, count = found
    words = what_was_done(row.changeset)
    concerned = f" ({count:,} anomalies)" if count > 1 else ""
    if row.undoes_id is not None:
        return Done(f"Undone{concerned}.", 0)
    return Done(f"You {words}{concerned}.", transaction_id)

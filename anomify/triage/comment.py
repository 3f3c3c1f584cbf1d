"""Edit and delete comments on anomalies; they are written by a change."""

from collections.abc import Sequence

from anomify.clock import now
from anomify.db import session
from anomify.errors import Denied
from anomify.org.model import Org
from anomify.triage.actor import Actor
from anomify.triage.assignment import get_assignable
from anomify.triage.case import Case, lock_cases
from anomify.triage.change import check_comment
from anomify.triage.comment_list import get_comment, stub_of
from anomify.triage.history import Recorder
from anomify.triage.letter import Notices
from anomify.triage.model import Comment


def edit_comment(
    org: Org, comment_id: int, text: str, mentioned: Sequence[int], actor: Actor, base_url: str
) -> Comment:
    """Replace the text of a comment; users who are mentioned for the first time get a letter.

    Raises `Denied` unless the actor wrote it or is an admin.
    """
    tidied = check_comment(text)
    get_assignable(org, mentioned, "mentioned_user_ids")
    comment, case = _lock(org, comment_id, actor)
    wanted = list(dict.fromkeys(mentioned))
    if comment.message == tidied and comment.mentioned_user_ids == wanted:
        return comment
    before, hidden = case.values(), case.hidden_values()
    added = [user_id for user_id in wanted if user_id not in comment.mentioned_user_ids]
    comment.message = tidied
    comment.mentioned_user_ids = wanted
    comment.edited_at = now()
    case.comments = [stub_of(comment) if one["id"] == comment.id else one for one in case.comments]
    Recorder(org, actor).record(case, before, hidden)
    session().flush()
    notices = Notices(org, actor, base_url)
    notices.add(case.anomaly, assigned=(), mentioned=added, text=tidied)
    notices.post()
    return comment


def delete_comment(org: Org, comment_id: int, actor: Actor) -> Comment:
    """Delete a comment: its row stays without the text.

    Raises `Denied` unless the actor wrote it or is an admin.
    """
    comment, case = _lock(org, comment_id, actor)
    before, hidden = case.values(), case.hidden_values()
    remove_text(comment)
    case.comments = [one for one in case.comments if one["id"] != comment.id]
    Recorder(org, actor).record(case, before, hidden)
    session().flush()
    return comment


def remove_text(comment: Comment) -> None:
    """Mark a comment as deleted and remove its text."""
    comment.message = ""
    comment.mentioned_user_ids = []
    comment.deleted_at = now()


def _lock(org: Org, comment_id: int, actor: Actor) -> tuple[Comment, Case]:
    comment = get_comment(org.id, comment_id)
    cases = lock_cases(org.id, [comment.anomaly_id])
    # Somebody may have deleted it while this request waited for the anomaly.
    session().expire(comment)
    comment = get_comment(org.id, comment_id)
    if not actor.is_admin and not actor.is_author(comment.author_id, comment.author):
        raise Denied("Only its author and admins may change a comment.", code="not_author")
    return comment, cases[comment.anomaly_id]

"""Read the comments of anomalies."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from sqlalchemy import func, select

from anomify.db import among, read_pairs, session
from anomify.errors import NotFound
from anomify.triage.model import Comment


class CommentStub(TypedDict):
    """A comment as the history names it; its text is only in the comment."""

    id: int
    author: str
    edited_at: str | None


def stub_of(comment: Comment) -> CommentStub:
    """Return the stub of a comment that has its id."""
    edited_at = None if comment.edited_at is None else comment.edited_at.isoformat()
    return CommentStub(id=comment.id, author=comment.author, edited_at=edited_at)


def comment_stubs(anomaly_ids: Iterable[int]) -> dict[int, list[CommentStub]]:
    """Return the stubs of the comments that are not deleted, by anomaly, the oldest first."""
    rows = session().scalars(
        select(Comment)
        .where(among(Comment.anomaly_id, anomaly_ids), Comment.deleted_at.is_(None))
        .order_by(Comment.id)
    )
    found: dict[int, list[CommentStub]] = {}
    for comment in rows:
        found.setdefault(comment.anomaly_id, []).append(stub_of(comment))
    return found


def count_comments(anomaly_ids: Iterable[int]) -> dict[int, int]:
    """Return how many comments that are not deleted each of these anomalies has, if any."""
    return read_pairs(
        select(Comment.anomaly_id, func.count())
        .where(among(Comment.anomaly_id, anomaly_ids), Comment.deleted_at.is_(None))
        .group_by(Comment.anomaly_id)
    )


def list_comments(
    org_id: int,
    anomaly_id: int,
    *,
    includes_deleted: bool = False,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
) -> list[Comment]:
    """Return the comments on an anomaly of the org, the newest first; deleted ones have no text."""
    wanted = select(Comment).where(Comment.org_id == org_id, Comment.anomaly_id == anomaly_id)
    if not includes_deleted:
        wanted = wanted.where(Comment.deleted_at.is_(None))
    if from_at is not None:
        wanted = wanted.where(Comment.created_at >= from_at)
    if until_at is not None:
        wanted = wanted.where(Comment.created_at < until_at)
    return list(session().scalars(wanted.order_by(Comment.id.desc())))


def get_comment(org_id: int, comment_id: int) -> Comment:
    """Return a comment of the org that is not deleted. Raises `NotFound`."""
    found = session().scalar(
        select(Comment).where(
            Comment.org_id == org_id, Comment.id == comment_id, Comment.deleted_at.is_(None)
        )
    )
    if found is None:
        raise NotFound("There is no such comment in your org.")
    return found

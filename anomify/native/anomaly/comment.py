"""/anomaly/ID/comment: what people write about an anomaly."""

from collections.abc import Sequence

from pydantic import Field

from anomify.anomaly.queries import get_anomaly
from anomify.auth.subject import subject
from anomify.clock import to_timestamp
from anomify.edge.access import COMMENTER, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.native.anomaly.blueprint import blueprint
from anomify.native.anomaly.shapes import UserStubOut
from anomify.native.anomaly.triage_inputs import AnomalyPathIn, CommentText, MentionsIn
from anomify.native.params import RowId
from anomify.native.shape.actor import actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.triage.comment import delete_comment, edit_comment
from anomify.triage.comment_list import get_comment, list_comments
from anomify.triage.model import Comment
from anomify.user.queries import list_users


class CommentsIn(AnomalyPathIn):
    """Which comments."""

    include_deleted: bool = Field(
        default=False, description="Also deleted ones, without their text."
    )


class CommentIn(AnomalyPathIn, MentionsIn):
    """A comment."""

    message: CommentText = Field(description="Its text, of up to 5,000 characters.")


class CommentIdIn(Inputs):
    """Which comment."""

    comment_id: RowId = Field(description="The comment's id.", json_schema_extra=names("comment"))


class EditIn(CommentIdIn, MentionsIn):
    """A comment, and what it says from now on."""

    message: CommentText = Field(description="Its new text.")


class CommentOut(Outputs):
    """A comment."""

    id: int = Field(description="Its id.")
    anomaly_id: int = Field(description="The anomaly that it is about.")
    author: str = Field(description="Who wrote it: a user, or a token.")
    user: UserStubOut | None = Field(
        description="The user who wrote it; null for a token, or if the user was deleted."
    )
    message: str = Field(description="Its text; empty if it was deleted.")
    mentioned_users: list[UserStubOut] = Field(description="The users whom it mentions.")
    created_timestamp: int = Field(description="When it was written, unix seconds.")
    edited_timestamp: int | None = Field(description="When it was last edited.")
    deleted_timestamp: int | None = Field(description="When it was deleted.")


class CommentsOut(Outputs):
    """The comments on an anomaly."""

    comments: list[CommentOut] = Field(description="The newest first.")
    total: int = Field(description="How many there are.")


class OneCommentOut(Outputs):
    """A comment as it is now."""

    comment: CommentOut = Field(description="The comment.")


@blueprint.route(
    "/anomaly/<int:anomaly_id>/comment",
    inputs=CommentsIn,
    outputs=CommentsOut,
    access=VIEWER,
    methods=["GET"],
)
def comments(inputs: CommentsIn) -> CommentsOut:
    """List the comments on an anomaly, the newest first."""
    org_id = subject().org.id
    anomaly = get_anomaly(org_id, inputs.anomaly_id)
    found = list_comments(org_id, anomaly.id, includes_deleted=inputs.include_deleted)
    return CommentsOut(comments=_json(found), total=len(found))


@blueprint.route(
    "/anomaly/<int:anomaly_id>/comment",
    inputs=CommentIn,
    outputs=OneCommentOut,
    access=COMMENTER,
    changes=True,
    methods=["POST"],
    endpoint="write_comment",
    errors=(409,),
)
def write_comment(inputs: CommentIn) -> OneCommentOut:
    """Write a comment on an anomaly; users whom it mentions get a letter, except you.

    409 with the code too_many_comments for one that has 500.
    """
    org = subject().org
    change = TriageChange(comment=inputs.message, mentioned=inputs.mentioned_user_ids)
    base_url = app_state().settings.base_url
    changed = change_anomalies(org, {inputs.anomaly_id: change}, actor(), base_url)
    return _one(get_comment(org.id, changed.comment_ids[0]))


@blueprint.route(
    "/anomaly/comment/<int:comment_id>/update",
    inputs=EditIn,
    outputs=OneCommentOut,
    access=COMMENTER,
    changes=True,
)
def update_comment(inputs: EditIn) -> OneCommentOut:
    """Replace the text of a comment; only its author and admins may."""
    return _one(
        edit_comment(
            subject().org,
            inputs.comment_id,
            inputs.message,
            inputs.mentioned_user_ids,
            actor(),
            app_state().settings.base_url,
        )
    )


@blueprint.route(
    "/anomaly/comment/<int:comment_id>/delete",
    inputs=CommentIdIn,
    outputs=OneCommentOut,
    access=COMMENTER,
    changes=True,
)
def remove_comment(inputs: CommentIdIn) -> OneCommentOut:
    """Delete a comment, whose text is removed for good; only its author and admins may."""
    return _one(delete_comment(subject().org, inputs.comment_id, actor()))


def _one(comment: Comment) -> OneCommentOut:
    return OneCommentOut(comment=_json([comment])[0])


def _json(comments: Sequence[Comment]) -> list[CommentOut]:
    users = {user.id: user.name for user in list_users(subject().org)}

    def stub(user_id: int | None) -> UserStubOut | None:
        name = None if user_id is None else users.get(user_id)
        return None if name is None else UserStubOut(id=user_id or 0, name=name)

    return [
        CommentOut(
            id=comment.id,
            anomaly_id=comment.anomaly_id,
            author=comment.author,
            user=stub(comment.author_id),
            message=comment.message,
            mentioned_users=[
                shown for user_id in comment.mentioned_user_ids if (shown := stub(user_id))
            ],
            created_timestamp=to_timestamp(comment.created_at),
            edited_timestamp=(
                None if comment.edited_at is None else to_timestamp(comment.edited_at)
            ),
            deleted_timestamp=(
                None if comment.deleted_at is None else to_timestamp(comment.deleted_at)
            ),
        )
        for comment in comments
    ]

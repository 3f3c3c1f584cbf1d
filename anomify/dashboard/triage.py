"""The forms of the inbox and of an anomaly: what people do about one anomaly or several."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from flask import Response, make_response, redirect
from pydantic import BeforeValidator, Field

from anomify.auth.subject import user_subject
from anomify.clock import now
from anomify.dashboard.layout import zone
from anomify.dashboard.page_blueprint import PageBlueprint, local_path
from anomify.edge.access import COMMENTER, EDITOR, is_at_least
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.errors import Invalid
from anomify.triage.actor import Actor
from anomify.triage.assignment import list_assignable
from anomify.triage.change import ANOMALIES_MAX, Changed, Snooze, TriageChange, change_anomalies
from anomify.triage.comment import delete_comment
from anomify.triage.mention import with_mentions
from anomify.triage.status import Status
from anomify.triage.undo import undo_transaction

blueprint = PageBlueprint("triage", __name__)

NEXT_MORNING_HOUR: Final = 9


class TriageAction(StrEnum):
    """What a button does."""

    ACKNOWLEDGE = "acknowledge"
    REOPEN = "reopen"
    RESOLVE = "resolve"
    INVALID = "invalid"
    DISCARD = "discard"
    DUPLICATE = "duplicate"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    MINE = "mine"
    SNOOZE = "snooze"
    WAKE = "wake"
    COMMENT = "comment"


class SnoozeFor(StrEnum):
    """How long an anomaly is hidden."""

    HOUR = "1h"
    HOURS = "4h"
    MORNING = "tomorrow"
    WEEK = "7d"


STATUSES: Final = {
    TriageAction.ACKNOWLEDGE: Status.ACKNOWLEDGED,
    TriageAction.REOPEN: Status.ACTIVE,
    TriageAction.RESOLVE: Status.RESOLVED,
    TriageAction.INVALID: Status.INVALID,
    TriageAction.DISCARD: Status.DISCARDED,
    TriageAction.DUPLICATE: Status.DUPLICATE,
}
SNOOZES: Final = (
    (SnoozeFor.HOUR, "1 hour"),
    (SnoozeFor.HOURS, "4 hours"),
    (SnoozeFor.MORNING, "Until tomorrow, 9:00"),
    (SnoozeFor.WEEK, "7 days"),
)
# A number field that is left empty.
OptionalId = Annotated[
    Annotated[int, Field(ge=1)] | None,
    BeforeValidator(lambda value: None if value == "" else value),
]


class TriageForm(Inputs):
    """A button, the anomalies that are selected, and the fields beside the buttons."""

    # The action, or the action and the id of one anomaly: `resolve 17`.
    do: str = Field(max_length=40, examples=["acknowledge"])
    anomaly_ids: list[int] = Field(
        default=[], max_length=ANOMALIES_MAX, json_schema_extra=names("anomaly")
    )
    assignee: OptionalId = Field(None, json_schema_extra=names("user"))
    snooze: SnoozeFor = SnoozeFor.MORNING
    duplicate_of: OptionalId = Field(None, json_schema_extra=names("anomaly"))
    comment: str = Field("", max_length=20_000)
    next: str = Field("", max_length=2_000)


class CommentForm(Inputs):
    """A comment on one anomaly."""

    anomaly_id: int = Field(ge=1, json_schema_extra=names("anomaly"))
    message: str = Field(max_length=20_000)
    next: str = Field("", max_length=2_000)


class DeleteCommentForm(Inputs):
    """Which comment."""

    comment_id: int = Field(ge=1, json_schema_extra=names("comment"))
    next: str = Field("", max_length=2_000)


class UndoForm(Inputs):
    """Which change."""

    transaction_id: int = Field(ge=1, json_schema_extra=names("triage_transaction"))
    next: str = Field("", max_length=2_000)


@blueprint.route(
    "/ui/anomalies/triage", inputs=TriageForm, access=EDITOR, changes=True, methods=["POST"]
)
def change(inputs: TriageForm) -> Response:
    """Do what the button says to the anomaly in its value, or to the selected ones."""
    word, _, one = inputs.do.partition(" ")
    if word not in list(TriageAction) or (one and not one.isdecimal()):
        raise Invalid("There is no such button.")
    ids = [int(one)] if one else list(dict.fromkeys(inputs.anomaly_ids))
    if not ids:
        return _back(inputs.next, None)
    wanted = _wanted(TriageAction(word), inputs)
    changed = change_anomalies(
        user_subject().org, dict.fromkeys(ids, wanted), page_actor(), app_state().settings.base_url
    )
    return _back(inputs.next, changed)


@blueprint.route(
    "/ui/anomaly/comment", inputs=CommentForm, access=COMMENTER, changes=True, methods=["POST"]
)
def comment(inputs: CommentForm) -> Response:
    """Write a comment; `@Name` mentions the user whose name that is."""
    changed = change_anomalies(
        user_subject().org,
        {inputs.anomaly_id: _comment(inputs.message)},
        page_actor(),
        app_state().settings.base_url,
    )
    return _back(inputs.next, changed)


@blueprint.route(
    "/ui/anomaly/comment/delete",
    inputs=DeleteCommentForm,
    access=COMMENTER,
    changes=True,
    methods=["POST"],
)
def remove_comment(inputs: DeleteCommentForm) -> Response:
    """Delete a comment."""
    delete_comment(user_subject().org, inputs.comment_id, page_actor())
    return _back(inputs.next, None)


@blueprint.route(
    "/ui/anomalies/undo", inputs=UndoForm, access=EDITOR, changes=True, methods=["POST"]
)
def undo(inputs: UndoForm) -> Response:
    """Undo a change."""
    changed = undo_transaction(user_subject().org, inputs.transaction_id, page_actor())
    return _back(inputs.next, changed)


def page_actor() -> Actor:
    """Return the signed-in user as the one who changes something."""
    caller = user_subject()
    return Actor(caller.label, caller.user.id, is_admin=is_at_least(caller.user_role, "admin"))


def _wanted(action: TriageAction, inputs: TriageForm) -> TriageChange:
    own_id = user_subject().user.id
    match action:
        case TriageAction.ASSIGN:
            if inputs.assignee is None:
                raise Invalid("Choose whom to assign.")
            return TriageChange(assign=[inputs.assignee])
        case TriageAction.UNASSIGN:
            return TriageChange(assignees=[])
        case TriageAction.MINE:
            return TriageChange(assign=[own_id])
        case TriageAction.SNOOZE:
            return TriageChange(snooze=Snooze(_until(inputs.snooze)))
        case TriageAction.WAKE:
            return TriageChange(snooze=Snooze(None))
        case TriageAction.COMMENT:
            return _comment(inputs.comment)
        case TriageAction.DUPLICATE:
            return TriageChange(status=Status.DUPLICATE, duplicate_of=inputs.duplicate_of)
        case _:
            return TriageChange(status=STATUSES[action])


def _comment(text: str) -> TriageChange:
    written, mentioned = with_mentions(text, list_assignable(user_subject().org))
    return TriageChange(comment=written, mentioned=mentioned)


def _until(length: SnoozeFor) -> datetime:
    match length:
        case SnoozeFor.HOUR:
            return now() + timedelta(hours=1)
        case SnoozeFor.HOURS:
            return now() + timedelta(hours=4)
        case SnoozeFor.WEEK:
            return now() + timedelta(days=7)
        case SnoozeFor.MORNING:
            local = now().astimezone(zone())
            tomorrow = local.date() + timedelta(days=1)
            return datetime(
                tomorrow.year, tomorrow.month, tomorrow.day, NEXT_MORNING_HOUR, tzinfo=zone()
            )


def _back(path: str, changed: Changed | None) -> Response:
    """Return to the page, which shows what was done and offers to undo it."""
    url = local_path(path)
    base, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("done="))
    if changed is not None and changed.transaction_id is not None:
        kept = f"{kept}&done={changed.transaction_id}" if kept else f"done={changed.transaction_id}"
    return make_response(redirect(f"{base}?{kept}" if kept else base, code=303))

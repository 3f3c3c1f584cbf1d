"""The page of a match: its pictures, why it is no anomaly, and whether that was right."""

from flask import Response, make_response, redirect
from pydantic import Field

from anomify.auth.subject import subject, user_subject
from anomify.dashboard.layout import render_page
from anomify.dashboard.match_row import match_rows, match_url
from anomify.dashboard.page_blueprint import PageBlueprint, local_path
from anomify.dashboard.pattern_row import pattern_rows
from anomify.dashboard.training import page_trainer
from anomify.edge.access import EDITOR, USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.match.queries import get_match
from anomify.match.validation import invalidate_match, validate_match

blueprint = PageBlueprint("match_page", __name__)


class MatchPageIn(Inputs):
    """Which match."""

    match_id: int = Field(ge=1, le=2**31 - 1, json_schema_extra=names("match"))


class ValidateForm(MatchPageIn):
    """Whether it was right to hold a match back, and the page to return to."""

    valid: bool
    back: str = Field("", max_length=8_192)


@blueprint.route("/ui/match/<int:match_id>", inputs=MatchPageIn, access=USER, methods=["GET"])
def page(inputs: MatchPageIn) -> str:
    """Show a match beside its pattern."""
    match = get_match(subject().org.id, inputs.match_id)
    (row,) = match_rows([match])
    (pattern,) = pattern_rows([match.pattern])
    return render_page(
        "dashboard/match.html",
        row=row,
        pattern=pattern,
    )


@blueprint.route(
    "/ui/match/<int:match_id>/validate",
    inputs=ValidateForm,
    access=EDITOR,
    changes=True,
    methods=["POST"],
)
def validate(inputs: ValidateForm) -> Response:
    """Store whether it was right to hold a match back."""
    org = user_subject().org
    match = get_match(org.id, inputs.match_id)
    if inputs.valid:
        validate_match(match, page_trainer())
    else:
        invalidate_match(org, match, app_state().points, page_trainer())
    back = local_path(inputs.back) if inputs.back else match_url(match.id)
    return make_response(redirect(back, code=303))

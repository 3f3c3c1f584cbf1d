"""/match: one match, and what people say of it."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import EDITOR, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.match.queries import get_match
from anomify.match.validation import invalidate_match, validate_match
from anomify.native.match.blueprint import blueprint
from anomify.native.params import RowId
from anomify.native.shape.match import OneMatchOut, matches_json
from anomify.native.shape.trainer import trainer


class MatchIn(Inputs):
    """Which match."""

    match_id: RowId = Field(description="The match's id.", json_schema_extra=names("match"))


class ValidateIn(MatchIn):
    """What to say of a match."""

    valid: bool = Field(
        description="True if it was right to hold it back, false if it should have been an anomaly."
    )


@blueprint.route("/match/<int:match_id>", inputs=MatchIn, outputs=OneMatchOut, access=VIEWER)
def match(inputs: MatchIn) -> OneMatchOut:
    """Show one match: what happened, and in what it is like its pattern."""
    (shown,) = matches_json([get_match(subject().org.id, inputs.match_id)])
    return OneMatchOut(match=shown)


@blueprint.route(
    "/match/<int:match_id>/validate",
    inputs=ValidateIn,
    outputs=OneMatchOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def validate(inputs: ValidateIn) -> OneMatchOut:
    """Say whether it was right to hold a match back; the last answer counts.

    What is like a match that was called invalid is not explained by a pattern any more. 409 with
    the code already_validated where this was said before.
    """
    org = subject().org
    found = get_match(org.id, inputs.match_id)
    if inputs.valid:
        validate_match(found, trainer())
    else:
        invalidate_match(org, found, app_state().points, trainer())
    (shown,) = matches_json([found])
    return OneMatchOut(match=shown)

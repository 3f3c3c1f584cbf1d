"""/match/.../graph and /match/.../motif/graph: a match beside its pattern, as pictures."""

from flask import Response
from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import SIGNED
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.edge.transaction import transaction
from anomify.match.charts import chart_of_match, chart_of_motif
from anomify.match.queries import get_match
from anomify.native.match.blueprint import blueprint
from anomify.native.match.one import MatchIn
from anomify.native.picture import LookIn, PictureFormat, check_link_only, png_reply
from anomify.native.shape.points import Pairs, current_json, pattern_json


class MatchGraphIn(MatchIn, LookIn):
    """Which match, and how the picture is to look."""

    format: PictureFormat = Field("png", description="png, or json for the numbers.")


class MatchGraphOut(Outputs):
    """A match and the pattern that is drawn over it."""

    current: Pairs = Field(
        description="What came, each point as a timestamp and a value. Of a counter it is the"
        " increase per second."
    )
    pattern: Pairs = Field(
        description="The points of the pattern, moved so that it begins when the match did, and"
        " at the same level."
    )


class MatchSeriesOut(Outputs):
    """The numbers of the picture of a match."""

    series: MatchGraphOut = Field(description="What came, and the pattern.")
    unit: str = Field(description="The unit of the values; empty where nobody has set one.")
    notes: list[str] = Field(description="The sentences that are written in the picture.")


class MotifGraphOut(Outputs):
    """The compared part of a match, and the same part of its pattern."""

    motif: Pairs = Field(description="What came, each point as a timestamp and a value.")
    pattern_motif: Pairs = Field(
        description="The same part of the pattern, moved as in /match/ID/graph."
    )
    distance: float = Field(description="The z-normalised distance of both; 0 is equal.")
    area_percent_diff: float | None = Field(
        description="By how many percent the area between value and expected range is larger than"
        " that of the pattern; below 0 where it is smaller."
    )


class MotifSeriesOut(Outputs):
    """The numbers of the close-up of a match."""

    series: MotifGraphOut = Field(description="Both parts, and how far they are apart.")
    unit: str = Field(description="The unit of the values; empty where nobody has set one.")
    notes: list[str] = Field(description="The sentences that are written in the picture.")


@blueprint.route(
    "/match/<int:match_id>/graph",
    inputs=MatchGraphIn,
    outputs=MatchSeriesOut,
    access=SIGNED,
    media="image/png",
    has_own_transactions=True,
)
def graph(inputs: MatchGraphIn) -> Response | MatchSeriesOut:
    """Draw a match with the points around it and its pattern over it, green, as a PNG."""
    check_link_only()
    org, look = subject().org, inputs.look()
    with transaction(write=False):
        found = get_match(org.id, inputs.match_id)
        chart = chart_of_match(org, found, app_state().points, look=look)
    if inputs.format == "png":
        return png_reply(chart)
    series = MatchGraphOut(current=current_json(chart), pattern=pattern_json(chart))
    return MatchSeriesOut(series=series, unit=chart.unit, notes=list(chart.notes))


@blueprint.route(
    "/match/<int:match_id>/motif/graph",
    inputs=MatchGraphIn,
    outputs=MotifSeriesOut,
    access=SIGNED,
    media="image/png",
    has_own_transactions=True,
)
def motif_graph(inputs: MatchGraphIn) -> Response | MotifSeriesOut:
    """Draw the part of a match that was compared over the same part of its pattern, as a PNG.

    The distance of both and the difference of their areas are stated in words. A match that was
    found without comparing shapes has none: 404.
    """
    check_link_only()
    org, look = subject().org, inputs.look()
    with transaction(write=False):
        found = get_match(org.id, inputs.match_id)
        chart = chart_of_motif(org, found, app_state().points, look=look)
    if inputs.format == "png":
        return png_reply(chart)
    series = MotifGraphOut(
        motif=current_json(chart),
        pattern_motif=pattern_json(chart),
        distance=found.distance,
        area_percent_diff=found.area_percent_diff,
    )
    return MotifSeriesOut(series=series, unit=chart.unit, notes=list(chart.notes))

"""/pattern: one pattern, its points, its matches and its picture."""

from flask import Response
from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import SIGNED, VIEWER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.transaction import transaction
from anomify.match.queries import list_matches
from anomify.native.anomaly.shapes import AnomaliesOut, anomalies_json
from anomify.native.params import RowId
from anomify.native.pattern.blueprint import blueprint
from anomify.native.picture import LookIn, PictureFormat, check_link_only, png_reply
from anomify.native.shape.match import MatchesOut, matches_json
from anomify.native.shape.pattern import OnePatternOut, patterns_json
from anomify.native.shape.points import Pairs, finite, pairs_json
from anomify.native.window import DAY, PageIn, WindowIn, timestamp_of
from anomify.pattern.charts import chart_of_pattern
from anomify.pattern.figures import window_in_words
from anomify.pattern.queries import get_pattern, get_series, list_would_hide, read_window


class PatternIn(Inputs):
    """Which pattern."""

    pattern_id: RowId = Field(description="The pattern's id.", json_schema_extra=names("pattern"))


class MatchesIn(PatternIn, WindowIn, PageIn):
    """Which of a pattern's matches."""


class WouldHideIn(PatternIn, PageIn):
    """Which pattern, and how many of the anomalies."""


class PatternGraphIn(PatternIn, LookIn, WindowIn):
    """Which pattern, which part of its window, and how the picture is to look."""

    format: PictureFormat = Field("png", description="png, or json for the numbers.")


class SeriesOut(Outputs):
    """The points that a pattern keeps."""

    timeseries: Pairs = Field(
        description="Each point as a timestamp and a value, oldest first. Of a counter it is the"
        " increase per second, which is what is judged."
    )
    resolution: float = Field(
        description="Seconds of each stretch of which the least and the greatest value are kept."
    )
    duration: int = Field(description="Seconds of the window.")
    duration_string: str = Field(description="The same in words.", examples=["24 hours"])
    anomaly_from_timestamp: int | float = Field(description="When the deviation begins.")
    anomaly_until_timestamp: int | float = Field(description="Its last point.")
    expected_range_lower: float | None = Field(
        description="Lower end of the expected range when it began; null if there was none."
    )
    expected_range_upper: float | None = Field(
        description="Upper end of the expected range when it began; null if there was none."
    )


@blueprint.route(
    "/pattern/<int:pattern_id>", inputs=PatternIn, outputs=OnePatternOut, access=VIEWER
)
def pattern(inputs: PatternIn) -> OnePatternOut:
    """Show one pattern: what it is made of, how often it matched, what people said of that."""
    (shown,) = patterns_json([get_pattern(subject().org.id, inputs.pattern_id)])
    return OnePatternOut(pattern=shown)


@blueprint.route(
    "/pattern/<int:pattern_id>/timeseries", inputs=PatternIn, outputs=SeriesOut, access=VIEWER
)
def timeseries(inputs: PatternIn) -> SeriesOut:
    """Show the points that a pattern keeps; they stay when the metric's own are deleted."""
    found = get_pattern(subject().org.id, inputs.pattern_id)
    return SeriesOut(
        timeseries=pairs_json(read_window(found)),
        resolution=get_series(found).window_step_ms / 1000,
        duration=found.duration_seconds,
        duration_string=window_in_words(found.duration_seconds),
        anomaly_from_timestamp=timestamp_of(found.started_ms),
        anomaly_until_timestamp=timestamp_of(found.last_ms),
        expected_range_lower=finite(found.expected_lower),
        expected_range_upper=finite(found.expected_upper),
    )


@blueprint.route(
    "/pattern/<int:pattern_id>/matches", inputs=MatchesIn, outputs=MatchesOut, access=VIEWER
)
def matches(inputs: MatchesIn) -> MatchesOut:
    """List what a pattern has explained, of the last thirty days by default, newest first."""
    org_id = subject().org.id
    found = get_pattern(org_id, inputs.pattern_id)
    from_ms, until_ms = inputs.window_ms(30 * DAY)
    page = list_matches(
        org_id,
        pattern_id=found.id,
        from_ms=from_ms,
        until_ms=until_ms,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return MatchesOut(matches=matches_json(page.items), total=page.total)


@blueprint.route(
    "/pattern/<int:pattern_id>/anomalies",
    inputs=WouldHideIn,
    outputs=AnomaliesOut,
    access=VIEWER,
)
def anomalies(inputs: WouldHideIn) -> AnomaliesOut:
    """List the past anomalies that a proposed pattern would have explained, newest first.

    A pattern that nobody has proposed has none.
    """
    org_id = subject().org.id
    found = get_pattern(org_id, inputs.pattern_id)
    page = list_would_hide(org_id, found.id, limit=inputs.limit, offset=inputs.offset)
    return AnomaliesOut(anomalies=anomalies_json(page.items), total=page.total)


@blueprint.route(
    "/pattern/<int:pattern_id>/graph",
    inputs=PatternGraphIn,
    access=SIGNED,
    media="image/png",
    outputs=SeriesOut,
    has_own_transactions=True,
)
def graph(inputs: PatternGraphIn) -> Response | SeriesOut:
    """Draw the window that a pattern keeps, its deviation in green, as a PNG.

    With `from` and `until` only a part of it. A pattern that was called unexpected is orange.
    """
    check_link_only()
    if inputs.format == "json":
        with transaction(write=False):
            return timeseries(PatternIn(pattern_id=inputs.pattern_id))
    org, look = subject().org, inputs.look()
    from_ms, until_ms = (
        None if moment is None else round(moment * 1000)
        for moment in (inputs.from_timestamp, inputs.until_timestamp)
    )
    with transaction(write=False):
        found = get_pattern(org.id, inputs.pattern_id)
        chart = chart_of_pattern(org, found, from_ms=from_ms, until_ms=until_ms, look=look)
    return png_reply(chart)

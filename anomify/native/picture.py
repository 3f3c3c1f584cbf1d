"""Parameters and replies of pictures, the same for every native route."""

from typing import Final, Literal

from flask import Response, request
from pydantic import Field

from anomify.anomaly.charts import is_settled
from anomify.anomaly.render_pool import busy_image, render_pool
from anomify.auth.subject import LinkSubject, subject
from anomify.edge.contract import Inputs
from anomify.edge.parameters import body_parameters
from anomify.errors import Denied, Unavailable
from anomify.rendering.chart import (
    DEFAULT_HEIGHT,
    DEFAULT_WIDTH,
    MAX_HEIGHT,
    MAX_WIDTH,
    MIN_HEIGHT,
    MIN_WIDTH,
    Chart,
    ChartLook,
)
from anomify.rendering.encode import etag_of
from anomify.rendering.theme import ThemeName

PictureFormat = Literal["png", "json"]

# How long pictures may be cached: those of the past do not change, those of the present do.
SETTLED_SECONDS: Final = 86_400
FRESH_SECONDS: Final = 30


class LookIn(Inputs):
    """Size, theme and visible parts of a picture."""

    width: int = Field(DEFAULT_WIDTH, ge=MIN_WIDTH, le=MAX_WIDTH, description="CSS pixels.")
    height: int = Field(DEFAULT_HEIGHT, ge=MIN_HEIGHT, le=MAX_HEIGHT, description="CSS pixels.")
    scale: int = Field(
        1, ge=1, le=2, description="2 for dense screens: twice the width and height in pixels."
    )
    theme: ThemeName = Field("light", description="light or dark.")
    display_x_axis: bool | Literal["below"] = Field(
        default=True, description="Show times below the chart: true or `below`, or false."
    )
    display_y_axis: bool | Literal["right"] = Field(
        default=True, description="Show values at the right: true or `right`, or false."
    )
    display_legend: bool = Field(default=True, description="Show the legend.")
    display_anomalies: bool = Field(default=True, description="Show anomalies.")
    display_matches: bool = Field(default=True, description="Show matches of trained patterns.")
    display_events: bool = Field(default=True, description="Show deploys and other events.")

    def look(self) -> ChartLook:
        """Return the look. Raises `Invalid` where size times scale is too large."""
        given = {name: getattr(self, name) for name in LookIn.model_fields}
        axes = {name: bool(given[name]) for name in ("display_x_axis", "display_y_axis")}
        return ChartLook(**{**given, **axes})


def check_link_only() -> None:
    """Raise `Denied` for a signed link with a body, because the body is not signed."""
    if isinstance(subject(), LinkSubject) and body_parameters():
        raise Denied("A signed link takes no further parameters.", code="bad_link")


def png_reply(chart: Chart) -> Response:
    """Return the chart as a PNG; 304 if the client has it, a notice if too many are drawn.

    Call it outside of a unit of work: it may have to wait for a render slot.
    """
    etag = etag_of(chart)
    reply = Response(mimetype="image/png")
    if request.if_none_match.contains(etag):
        reply.status_code = 304
    else:
        try:
            reply.set_data(render_pool.render(chart))
        except Unavailable as busy:
            reply.set_data(busy_image(chart.look.theme))
            reply.status_code = busy.status
            reply.headers["Retry-After"] = str(busy.retry_after_seconds)
            reply.cache_control.no_store = True
            return reply
    reply.set_etag(etag)
    reply.cache_control.private = True
    reply.cache_control.max_age = SETTLED_SECONDS if is_settled(chart) else FRESH_SECONDS
    reply.vary.update(("Cookie", "X-Session-Id", "X-Auth-Token"))
    if isinstance(subject(), LinkSubject):
        # Signed links are shown in mails and on pages of other origins.
        reply.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return reply

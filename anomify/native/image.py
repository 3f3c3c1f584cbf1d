"""/image: pictures of metrics and anomalies, also for who holds nothing but a signed link."""

from typing import Final, Self

from flask import Response, request
from pydantic import Field, model_validator

from anomify.anomaly.painting import busy_picture, studio
from anomify.anomaly.picture import chart_of_anomaly, chart_of_metric, is_settled
from anomify.anomaly.queries import get_anomaly, get_anomaly_at
from anomify.auth.subject import LinkSubject, subject
from anomify.clock import now
from anomify.edge.contract import Access, Inputs
from anomify.edge.house import house
from anomify.edge.parameters import body_parameters
from anomify.edge.transaction import transaction
from anomify.errors import Denied, Unavailable
from anomify.metric.queries import get_metric, get_standing
from anomify.native.envelope import NativeDoor
from anomify.native.params import RowId
from anomify.native.window import DAY, MOST_TIMESTAMP, WindowIn
from anomify.rendering.chart import (
    DEFAULT_HEIGHT,
    DEFAULT_WIDTH,
    MAX_HEIGHT,
    MAX_WIDTH,
    MIN_HEIGHT,
    MIN_WIDTH,
    Chart,
    Look,
)
from anomify.rendering.encode import etag_of
from anomify.rendering.theme import ThemeName

door = NativeDoor("image", __name__, url_prefix="/image")

# A picture of what is over stays as it is; one of the present is soon another.
SETTLED_SECONDS: Final = 86_400
FRESH_SECONDS: Final = 30


class LookIn(Inputs):
    """How a picture is to look."""

    width: int = Field(DEFAULT_WIDTH, ge=MIN_WIDTH, le=MAX_WIDTH, description="CSS pixels.")
    height: int = Field(DEFAULT_HEIGHT, ge=MIN_HEIGHT, le=MAX_HEIGHT, description="CSS pixels.")
    scale: int = Field(1, ge=1, le=2, description="2 for dense screens: four pixels for each.")
    theme: ThemeName = Field("light", description="light or dark.")
    display_x_axis: bool = Field(default=True, description="The times below.")
    display_y_axis: bool = Field(default=True, description="The values at the right.")
    display_legend: bool = Field(default=True, description="What the marks mean.")
    display_anomalies: bool = Field(default=True, description="What was found.")
    display_matches: bool = Field(default=True, description="What a trained pattern explained.")

    def look(self) -> Look:
        """Return the look. Raises `Invalid` where size and scale together are too much."""
        return Look(**{name: getattr(self, name) for name in LookIn.model_fields})


class MetricImageIn(LookIn, WindowIn):
    """Which metric, which window and how it is to look."""

    metric: str = Field(description="The metric's name.")


class AnomalyImageIn(LookIn):
    """Which anomaly, by its id or by a metric and a moment at which it ran."""

    anomaly_id: RowId | None = Field(None, description="The anomaly.")
    metric: str | None = Field(None, description="With `timestamp`: the metric's name.")
    timestamp: float | None = Field(
        None, ge=0, le=MOST_TIMESTAMP, description="With `metric`: a moment, unix seconds."
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.anomaly_id is None and (self.metric is None or self.timestamp is None):
            raise ValueError("anomaly_id is needed, or metric and timestamp.")
        return self


@door.route("/metric", inputs=MetricImageIn, access=Access.SIGNED, has_own_transactions=True)
def metric(wish: MetricImageIn) -> Response:
    """Draw a window of a metric, the last 24 hours by default, as a PNG."""
    _check_link_only()
    from_ms, until_ms = wish.window_ms(DAY)
    org, look = subject().org, wish.look()
    with transaction(write=False):
        standing = get_standing(org.id, wish.metric, now())
        chart = chart_of_metric(
            org, standing, house().points, from_ms=from_ms, until_ms=until_ms, look=look
        )
    return png_reply(chart)


@door.route("/anomaly", inputs=AnomalyImageIn, access=Access.SIGNED, has_own_transactions=True)
def anomaly(wish: AnomalyImageIn) -> Response:
    """Draw an anomaly with what lay around it, as a PNG."""
    _check_link_only()
    org, look = subject().org, wish.look()
    with transaction(write=False):
        if wish.anomaly_id is not None:
            found = get_anomaly(org.id, wish.anomaly_id)
        else:
            metric_id = get_metric(org.id, wish.metric or "").id
            found = get_anomaly_at(org.id, metric_id, round((wish.timestamp or 0) * 1000))
        chart = chart_of_anomaly(org, found, house().points, look=look)
    return png_reply(chart)


def png_reply(chart: Chart) -> Response:
    """Return the chart as a PNG: not again to who has it, and a small notice when too many ask.

    Call it outside of a unit of work: it may have to wait for others' pictures.
    """
    etag = etag_of(chart)
    reply = Response(mimetype="image/png")
    if request.if_none_match.contains(etag):
        reply.status_code = 304
    else:
        try:
            reply.set_data(studio.paint(chart))
        except Unavailable as busy:
            reply.set_data(busy_picture(chart.look.theme))
            reply.status_code = busy.status
            reply.headers["Retry-After"] = str(busy.retry_after_seconds)
            reply.cache_control.no_store = True
            return reply
    reply.set_etag(etag)
    reply.cache_control.private = True
    reply.cache_control.max_age = SETTLED_SECONDS if is_settled(chart) else FRESH_SECONDS
    reply.vary.update(("Cookie", "X-Session-Id", "X-Auth-Token"))
    if isinstance(subject(), LinkSubject):
        # Links are made to be shown in mails and on other people's pages.
        reply.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return reply


def _check_link_only() -> None:
    """Refuse a link's holder who brings a body: what is in it was never signed."""
    if isinstance(subject(), LinkSubject) and body_parameters():
        raise Denied("A link shows what it says; nothing can be added.", code="bad_link")

"""/image: pictures of metrics and anomalies, also with a signed link instead of a session."""

from typing import Self

from flask import Response
from pydantic import Field, model_validator

from anomify.anomaly.queries import get_anomaly, get_anomaly_at
from anomify.auth.subject import subject
from anomify.edge.access import SIGNED
from anomify.edge.app_state import app_state
from anomify.edge.contract import names
from anomify.edge.transaction import transaction
from anomify.match.charts import chart_of_anomaly_with_matches, chart_with_matches
from anomify.native.envelope import NativeBlueprint
from anomify.native.metric.series import points_window_ms
from anomify.native.metric.shapes import metric_status_named
from anomify.native.params import Name, RowId
from anomify.native.picture import LookIn, check_link_only, png_reply
from anomify.native.window import Timestamp, WindowIn

blueprint = NativeBlueprint("image", __name__, url_prefix="/image")


class MetricImageIn(LookIn, WindowIn):
    """The metric, the window and the appearance."""

    metric: Name = Field(description="The metric's name or id.", json_schema_extra=names("metric"))


class AnomalyImageIn(LookIn):
    """Which anomaly, by its id or by a metric and a moment at which it ran."""

    anomaly_id: RowId | None = Field(
        None, description="The anomaly.", json_schema_extra=names("anomaly")
    )
    metric: Name | None = Field(
        None,
        description="With `timestamp`: the metric's name or id.",
        json_schema_extra=names("metric"),
    )
    timestamp: Timestamp | None = Field(None, description="With `metric`: a moment, unix seconds.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.anomaly_id is None and (self.metric is None or self.timestamp is None):
            raise ValueError("anomaly_id is needed, or metric and timestamp.")
        return self


@blueprint.route(
    "/metric",
    inputs=MetricImageIn,
    access=SIGNED,
    media="image/png",
    has_own_transactions=True,
)
def metric(inputs: MetricImageIn) -> Response:
    """Draw a window of a metric, the last 24 hours by default, as a PNG."""
    check_link_only()
    org, look = subject().org, inputs.look()
    with transaction(write=False):
        status = metric_status_named(inputs.metric)
        from_ms, until_ms = points_window_ms(status, inputs)
        chart = chart_with_matches(
            org, status, app_state().points, from_ms=from_ms, until_ms=until_ms, look=look
        )
    return png_reply(chart)


@blueprint.route(
    "/anomaly",
    inputs=AnomalyImageIn,
    access=SIGNED,
    media="image/png",
    has_own_transactions=True,
)
def anomaly(inputs: AnomalyImageIn) -> Response:
    """Draw an anomaly with the points around it, as a PNG."""
    check_link_only()
    org, look = subject().org, inputs.look()
    with transaction(write=False):
        if inputs.anomaly_id is not None:
            found = get_anomaly(org.id, inputs.anomaly_id)
        else:
            metric_id = metric_status_named(inputs.metric or "").metric.id
            found = get_anomaly_at(org.id, metric_id, round((inputs.timestamp or 0) * 1000))
        chart = chart_of_anomaly_with_matches(org, found, app_state().points, look=look)
    return png_reply(chart)

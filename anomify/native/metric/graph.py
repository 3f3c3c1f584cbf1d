"""/metric/.../graph: a picture of a metric."""

from flask import Response

from anomify.auth.subject import subject
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.transaction import transaction
from anomify.match.charts import chart_with_matches
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.series import points_window_ms
from anomify.native.metric.shapes import MetricIn, metric_status_named
from anomify.native.picture import LookIn, png_reply
from anomify.native.window import WindowIn


class GraphIn(MetricIn, LookIn, WindowIn):
    """Which window of which metric, and how the picture is to look."""


@blueprint.route(
    "/metric/<path:metric>/graph",
    "/metric/graph",
    inputs=GraphIn,
    media="image/png",
    access=VIEWER,
    has_own_transactions=True,
    otherwise=metric_of_whole_path,
)
def graph(inputs: GraphIn) -> Response:
    """Draw a window of the metric with its expected range, anomalies and matches, as a PNG."""
    org, look = subject().org, inputs.look()
    with transaction(write=False):
        status = metric_status_named(inputs.metric)
        from_ms, until_ms = points_window_ms(status, inputs)
        chart = chart_with_matches(
            org, status, app_state().points, from_ms=from_ms, until_ms=until_ms, look=look
        )
    return png_reply(chart)

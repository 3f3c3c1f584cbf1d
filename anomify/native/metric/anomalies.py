"""/metric/.../anomalies: the anomalies of one metric."""

from pydantic import Field

from anomify.edge.access import VIEWER
from anomify.edge.contract import names
from anomify.native.anomaly.list import AnomaliesIn, anomalies_out
from anomify.native.anomaly.shapes import AnomaliesOut
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.shapes import MetricIn, metric_status_named
from anomify.native.params import Name
from anomify.native.window import DAY


class MetricAnomaliesIn(MetricIn, AnomaliesIn):
    """Which of a metric's anomalies."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )


@blueprint.route(
    "/metric/<path:metric>/anomalies",
    "/metric/anomalies",
    inputs=MetricAnomaliesIn,
    outputs=AnomaliesOut,
    access=VIEWER,
    otherwise=metric_of_whole_path,
)
def metric_anomalies(inputs: MetricAnomaliesIn) -> AnomaliesOut:
    """List a metric's anomalies, those of the last thirty days by default."""
    return anomalies_out(inputs, metric_status_named(inputs.metric).metric.id, 30 * DAY)

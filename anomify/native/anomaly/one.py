"""/anomaly: one anomaly, by its id or by a metric and a moment."""

from pydantic import Field

from anomify.anomaly.queries import get_anomaly, get_anomaly_at
from anomify.auth.require import read_only
from anomify.auth.subject import subject
from anomify.edge.access import VIEWER
from anomify.edge.contract import Inputs, names
from anomify.metric.queries import get_metric
from anomify.native.anomaly.blueprint import blueprint
from anomify.native.anomaly.shapes import OneAnomalyOut, one_anomaly_json
from anomify.native.params import Name, RowId, canonical
from anomify.native.window import Timestamp


class AnomalyIn(Inputs):
    """Which anomaly."""

    anomaly_id: RowId = Field(description="The anomaly's id.", json_schema_extra=names("anomaly"))


class LookupIn(Inputs):
    """Which anomaly, by metric and moment."""

    metric: Name = Field(description="The metric's name or id.", json_schema_extra=names("metric"))
    timestamp: Timestamp = Field(description="A moment at which it was running, unix seconds.")


@blueprint.route("/anomaly/lookup", inputs=LookupIn, outputs=OneAnomalyOut, access=VIEWER)
def lookup(inputs: LookupIn) -> OneAnomalyOut:
    """Find the anomaly of a metric that was running at a moment, or within a minute of it.

    People of a demo org find anomalies by their ids.
    """
    org = subject().org
    if org.is_demo:
        raise read_only()
    metric = get_metric(org.id, canonical(inputs.metric))
    return one_anomaly_json(get_anomaly_at(org.id, metric.id, round(inputs.timestamp * 1000)))


@blueprint.route(
    "/anomaly/<int:anomaly_id>", inputs=AnomalyIn, outputs=OneAnomalyOut, access=VIEWER
)
def anomaly(inputs: AnomalyIn) -> OneAnomalyOut:
    """Show one anomaly."""
    return one_anomaly_json(get_anomaly(subject().org.id, inputs.anomaly_id))

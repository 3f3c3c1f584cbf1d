"""/metric: one metric with its watchers, counts of anomalies and data quality."""

from flask import request
from pydantic import Field

from anomify.anomaly.ranking import tally
from anomify.auth.subject import subject
from anomify.clock import now_ms
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.edge.parameters import find_parameter
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError, Invalid, NotFound
from anomify.metric.name import NameRefused, plain_or_labelled_name
from anomify.metric.quality import sparsity
from anomify.metric.queries import find_metric
from anomify.metric.status import State
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.shapes import (
    MetricIn,
    OneMetricOut,
    metric_status_named,
    one_metric_json,
)
from anomify.native.window import DAY
from anomify.watcher.routing import watchers_of


class WatchedByOut(Outputs):
    """A watcher that the metric belongs to."""

    id: int = Field(description="Its id.")
    name: str = Field(description="Its name.")
    alert: bool = Field(description="Whether it notifies anybody.")
    severity: str = Field(description="The least severity that it notifies about.")


class CountsOut(Outputs):
    """Numbers of a metric's anomalies."""

    anomalies: int = Field(description="All stored anomalies.")
    anomalies_7d: int = Field(description="Those that began in the last seven days.")
    open: int = Field(description="Those that are open now.")


class QualityOut(Outputs):
    """The quality of a metric's data."""

    resolution: float | None = Field(description="Seconds from point to point, once known.")
    sparsity: float | None = Field(
        description="Of the points that its last day should have had, how many came, in percent;"
        " null until its resolution is known."
    )
    derivative: bool = Field(description="It is a counter, and its rate a second is judged.")
    stale: bool = Field(description="No data has come for longer than ever before.")


class DetailsOut(Outputs):
    """One metric with its watchers, counts and data quality."""

    metric: OneMetricOut = Field(description="The metric and its state.")
    watchers: list[WatchedByOut] = Field(description="Watchers whose chips its name contains.")
    counts: CountsOut = Field(description="Numbers of its anomalies.")
    quality: QualityOut = Field(description="The quality of its data.")


@blueprint.route(
    "/metric/<path:metric>", "/metric", inputs=MetricIn, outputs=DetailsOut, access=VIEWER
)
def metric(inputs: MetricIn) -> DetailsOut:
    """Show one metric: its state, its watchers, and the quality of its data."""
    org_id, status = subject().org.id, metric_status_named(inputs.metric)
    shown = one_metric_json(status)
    had = tally(org_id, status.metric.id, since_ms=now_ms() - 7 * DAY * 1000)
    return DetailsOut(
        metric=shown,
        watchers=[
            WatchedByOut(
                id=watcher.id,
                name=watcher.name,
                alert=watcher.is_alerting,
                severity=watcher.severity,
            )
            for watcher in watchers_of(org_id, status.metric.name)
        ],
        counts=CountsOut(anomalies=had.total, anomalies_7d=had.lately, open=had.running),
        quality=QualityOut(
            resolution=shown.resolution,
            sparsity=sparsity(app_state().points, status, now_ms()),
            derivative=shown.is_counter,
            stale=status.state is State.STALE,
        ),
    )


def metric_of_whole_path(error: AnomifyError) -> DetailsOut:
    """Show the metric that the whole path names: x/graph, where no x has a graph to show.

    An address below /metric ends in a word such as graph, and so may a name. If there is a metric
    of the name before the word, the word selects a route of it; else it is the end of a name, and
    the address is of that metric. A word alone, without the parameter `metric`, is a name, too.
    Raises the error again if no metric has that name.
    """
    has_name = bool(request.view_args)
    if not isinstance(error, NotFound if has_name else Invalid) or find_parameter("metric"):
        raise error
    with transaction(write=False):
        name = plain_or_labelled_name(request.path.removeprefix("/metric/"))
        known = None if isinstance(name, NameRefused) else find_metric(subject().org.id, name)
        if known is None:
            raise error
        return metric(MetricIn(metric=known.name))

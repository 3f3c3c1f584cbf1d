"""/metric/.../patterns: the patterns of one metric."""

from pydantic import Field

from anomify.edge.access import VIEWER
from anomify.edge.contract import names
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.shapes import metric_status_named
from anomify.native.params import Name
from anomify.native.shape.pattern import PatternsOut
from anomify.native.shape.pattern_list import PatternFilterIn, patterns_out


class MetricPatternsIn(PatternFilterIn):
    """Which of a metric's patterns."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )


@blueprint.route(
    "/metric/<path:metric>/patterns",
    "/metric/patterns",
    inputs=MetricPatternsIn,
    outputs=PatternsOut,
    access=VIEWER,
    otherwise=metric_of_whole_path,
)
def metric_patterns(inputs: MetricPatternsIn) -> PatternsOut:
    """List the patterns of a metric that are used, the newest first, or other ones."""
    return patterns_out(inputs, metric_status_named(inputs.metric).metric.id)

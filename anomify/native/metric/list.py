"""/metrics: search and list the metrics of an org."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now
from anomify.edge.access import VIEWER
from anomify.edge.contract import Outputs
from anomify.metric.queries import Broad, MetricOrder, list_metrics
from anomify.metric.status import State
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.shapes import MetricOut, metrics_json
from anomify.native.params import SOUGHT_CHARACTERS_MAX, Chips
from anomify.native.watcher import chips_json
from anomify.native.watcher_shapes import ChipOut
from anomify.native.window import PageIn
from anomify.watcher.queries import names_containing


class MetricsOut(Outputs):
    """A page of metrics."""

    metrics: list[MetricOut] = Field(description="The metrics and their states.")
    total: int = Field(description="How many there are in all.")
    chips: list[ChipOut] | None = Field(
        None, description="With include_chips: words that would narrow the search."
    )


class MetricsIn(PageIn):
    """Filters and order of a list of metrics."""

    chips: Chips = Field(default=[], description="Words that the name must hold.")
    q: str = Field(
        "", max_length=SOUGHT_CHARACTERS_MAX, description="Text that the name must hold."
    )
    state: State | Broad | None = Field(
        None,
        description="Only metrics in this state. live are all that report and are not excluded;"
        " inactive those that ended or have been silent for a day.",
    )
    order: MetricOrder = Field(
        MetricOrder.NAME,
        description="By name, the newest first, or the one with the latest point first.",
    )
    include_chips: bool = Field(
        default=False, description="Also suggest words to add to the search."
    )


@blueprint.route("/metrics", inputs=MetricsIn, outputs=MetricsOut, access=VIEWER)
def metrics(inputs: MetricsIn) -> MetricsOut:
    """Search and browse the metrics of the org, by name."""
    org_id = subject().org.id
    page = list_metrics(
        org_id,
        now(),
        words=[*inputs.chips, inputs.q],
        state=inputs.state,
        order=inputs.order,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    words = [word for word in (*inputs.chips, inputs.q) if word]
    return MetricsOut(
        metrics=metrics_json(page.items),
        total=page.total,
        chips=chips_json(names_containing(org_id, words), words) if inputs.include_chips else None,
    )

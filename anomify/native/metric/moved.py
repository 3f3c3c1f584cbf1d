"""/metrics/moved: which metrics were unusual in a window, the probable first mover first."""

from typing import Annotated, Literal

from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs, names
from anomify.errors import Invalid
from anomify.metric.moved import INTERVAL_MS, MOST_MOVED, USUAL_MS, Moved, list_moved
from anomify.metric.queries import get_metric
from anomify.native.metric.blueprint import blueprint
from anomify.native.params import Name, canonical
from anomify.native.window import DAY, HOUR, WindowIn, timestamp_of

LONGEST_DAYS = 7


class MovedMetricOut(Outputs):
    """A metric that was unusual in the window."""

    id: int = Field(description="The metric's id.")
    metric: str = Field(description="Its name.", examples=["shop.orders"])
    started_timestamp: int | float = Field(
        description="When it began to move, at the earliest the begin of the window, unix seconds."
    )
    peak_timestamp: int | float = Field(description="Its most unusual point, unix seconds.")
    strength: float = Field(
        description="How unusual that point was; anomalies open from about 6 on.", examples=[11.2]
    )
    direction: Literal["above", "below", "within", "silent"] = Field(
        description="Where its value was, seen from the expected range; `silent` if it stopped"
        " reporting."
    )
    value: float | None = Field(
        description="The value at that point, of a counter its rate; null if it stopped reporting."
    )
    expected_range_lower: float | None = Field(
        description="The lower end of what was expected; null where it is not known."
    )
    expected_range_upper: float | None = Field(description="The upper end, likewise.")
    usual_share: float = Field(
        description="In which share of the week before the window it was unusual, too.",
        examples=[0.001],
    )
    usual: str = Field(
        description="The same in words: how often it was unusual in the week before the window.",
        examples=["not once in the week before"],
    )


class MovedOut(Outputs):
    """The metrics that moved."""

    metrics: list[MovedMetricOut] = Field(
        description="Those that were unusual, the most probable first mover first."
    )


class MovedIn(WindowIn):
    """Which window, how many metrics, and which one to leave out."""

    metric: Name | None = Field(
        None,
        description="The name or id of a metric to leave out: the one whose anomaly is explained.",
        json_schema_extra=names("metric"),
    )
    limit: Annotated[int, Field(ge=1, le=MOST_MOVED)] = Field(
        20, description="How many at the most."
    )


@blueprint.route("/metrics/moved", inputs=MovedIn, outputs=MovedOut, access=VIEWER)
def moved(inputs: MovedIn) -> MovedOut:
    """Rank the metrics by how unusual they were in a window, by default the last hour.

    What counts is how unusual a metric was, less for one that often is, and how many others began
    to move within minutes after it rather than before.
    """
    org_id = subject().org.id
    from_ms, until_ms = inputs.window_ms(HOUR)
    if until_ms - from_ms > LONGEST_DAYS * DAY * 1000 + 1000:
        raise Invalid(
            "The window is too long.",
            fields={"from": f"The window may have {LONGEST_DAYS} days at the most."},
        )
    left_out = None
    if inputs.metric is not None:
        left_out = get_metric(org_id, canonical(inputs.metric)).id
    found = list_moved(
        org_id,
        from_ms,
        until_ms,
        read=app_state().points.read,
        but_metric_id=left_out,
        limit=inputs.limit,
    )
    return MovedOut(metrics=[_moved_json(one) for one in found])


def _moved_json(one: Moved) -> MovedMetricOut:
    return MovedMetricOut(
        id=one.metric_id,
        metric=one.name,
        started_timestamp=timestamp_of(one.started_ms),
        peak_timestamp=timestamp_of(one.peak_ms),
        strength=one.strength,
        direction=one.direction,
        value=one.value,
        expected_range_lower=one.lower,
        expected_range_upper=one.upper,
        usual_share=min(one.usual_intervals * INTERVAL_MS / USUAL_MS, 1.0),
        usual=one.usual_words,
    )

"""/metric/settings, /metric/delete: settings of a metric, and its deletion."""

from dataclasses import replace
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from anomify.auth.subject import subject
from anomify.edge.access import ADMIN, EDITOR, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.edge.transaction import transaction
from anomify.errors import Invalid
from anomify.metric.model import Metric
from anomify.metric.queries import find_metric, find_numbered_metric, get_metric
from anomify.metric.settings import Direction, MetricKind, Wanted, change_settings, wanted_of
from anomify.metric_deletion.delete_metric import count_deletions, delete_metric_and_anomalies
from anomify.native.envelope import NativeBlueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.shapes import MetricIn
from anomify.native.params import canonical

blueprint = NativeBlueprint("metric_settings", __name__)

WEEK_SECONDS: Final = 604_800
# The most false alarms a week that can be accepted.
FALSE_ALARMS_MOST: Final = 50.0
CHANGE_MOST: Final = 1e100
UNIT_MOST: Final = 32

Unit = Annotated[str, StringConstraints(strip_whitespace=True, max_length=UNIT_MOST)]


class SettingsOut(Outputs):
    """The settings of a metric."""

    metric: str = Field(description="The metric's name.", examples=["cpu.load"])
    direction: Direction = Field(
        description="Which deviations are worth an anomaly: both ways, only up, or only down."
    )
    smallest_change: float = Field(
        description="A deviation smaller than this is no anomaly; in the metric's own unit, a"
        " counter's in its rate a second.",
        examples=[0, 25.5],
    )
    kind: MetricKind = Field(description="auto detects the kind from the points.")
    step: float | None = Field(
        description="Seconds from point to point, if they were set; null is what it turns"
        " out to be.",
        examples=[None, 60],
    )
    unit: str = Field(description="Shown after values in sentences.", examples=["ms"])
    may_be_silent: bool = Field(description="That no data comes is neither stale nor an anomaly.")
    sensitivity: float | None = Field(
        description="How many false alarms a week people accept of this metric; null is as"
        " shipped, about one.",
        examples=[None, 0.25],
    )


class MetricSettingsOut(Outputs):
    """The settings of a metric."""

    settings: SettingsOut = Field(
        description="The settings, in force from the metric's next point on."
    )


class ChangedSettingsOut(MetricSettingsOut):
    """The settings of a metric after the change."""

    is_judged_anew: bool = Field(
        description="Its past is being judged anew, because kind or step have changed."
    )


class SettingsIn(MetricIn):
    """The new settings of a metric; a setting that is left out does not change."""

    direction: Direction | None = Field(
        None, description="Which deviations are worth an anomaly: both, up or down."
    )
    smallest_change: float | None = Field(
        None,
        ge=0,
        le=CHANGE_MOST,
        description="Smaller deviations are no anomaly; 0 lets every one count.",
        examples=[25.5],
    )
    kind: MetricKind | None = Field(None, description="auto, gauge or counter.")
    step: float | None = Field(
        None,
        ge=0,
        le=WEEK_SECONDS,
        description="Seconds from point to point; 0 detects it from the points.",
        examples=[60, 0],
    )
    unit: Unit | None = Field(None, description="Shown after values.", examples=["ms"])
    may_be_silent: bool | None = Field(
        None, description="Whether it is all right that no data comes."
    )
    sensitivity: float | None = Field(
        None,
        ge=0,
        le=FALSE_ALARMS_MOST,
        description="How many false alarms a week are accepted of this metric; 0 for as shipped.",
        examples=[0.25, 0],
    )


class DeleteIn(MetricIn):
    """Which metric is to go."""

    dry_run: bool = Field(
        default=True, description="Only return what would be deleted; false deletes it permanently."
    )


class DeletedOut(Outputs):
    """What goes with a metric, or would."""

    metric: str = Field(description="The metric's name.", examples=["cpu.load"])
    deleted: bool = Field(description="Whether it is gone; false for a dry run.")
    points: int = Field(description="Its datapoints.", examples=[10080])
    anomalies: int = Field(description="Its anomalies.", examples=[3])
    messages: int = Field(description="Messages about it, sent or waiting.", examples=[5])


@blueprint.route(
    "/metric/<path:metric>/settings",
    "/metric/settings",
    inputs=MetricIn,
    outputs=MetricSettingsOut,
    access=VIEWER,
    methods=["GET"],
    tag="metric",
    otherwise=metric_of_whole_path,
)
def settings(inputs: MetricIn) -> MetricSettingsOut:
    """Show the settings of a metric."""
    metric = get_metric(subject().org.id, canonical(inputs.metric))
    return MetricSettingsOut(settings=settings_json(metric.name, wanted_of(metric.id)))


@blueprint.route(
    "/metric/<path:metric>/settings",
    "/metric/settings",
    inputs=SettingsIn,
    outputs=ChangedSettingsOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    tag="metric",
)
def change(inputs: SettingsIn) -> ChangedSettingsOut:
    """Set how a metric is judged and notified about.

    It applies from the metric's next point on. If kind or step change, its past is judged again.
    """
    metric = get_metric(subject().org.id, canonical(inputs.metric))
    wanted = _wanted(inputs, wanted_of(metric.id))
    is_judged_anew = change_settings(metric, wanted, subject().label)
    return ChangedSettingsOut(
        settings=settings_json(metric.name, wanted), is_judged_anew=is_judged_anew
    )


@blueprint.route(
    "/metric/<path:metric>/delete",
    "/metric/delete",
    inputs=DeleteIn,
    outputs=DeletedOut,
    access=ADMIN,
    changes=True,
    methods=["POST"],
    has_own_transactions=True,
    limits=("heavy",),
    tag="metric",
)
def delete(inputs: DeleteIn) -> DeletedOut:
    """Delete a metric with its points, anomalies and messages, or return what would be deleted.

    The metric has to be named by its name, not by its id.
    Unless `dry_run` is false nothing is changed. A metric that is gone no longer counts; the next
    point of its name makes a new one, which learns from nothing.
    """
    org_id, actor = subject().org.id, subject().label
    with transaction(write=False):
        metric = _named(org_id, canonical(inputs.metric))
        losses = count_deletions(metric, app_state().points)
    if not inputs.dry_run:
        with transaction(write=True):
            metric = _named(org_id, metric.name)
            delete_metric_and_anomalies(metric, actor)
        app_state().registry.forget({metric.id})
    return DeletedOut(
        metric=metric.name,
        deleted=not inputs.dry_run,
        points=losses.points,
        anomalies=losses.anomalies,
        messages=losses.messages,
    )


def _named(org_id: int, name: str) -> Metric:
    """Return the metric of that name and no other.

    Were an id taken here, too, to delete a metric called 12 twice would delete another one.
    """
    metric = find_metric(org_id, name)
    if metric is None and (numbered := find_numbered_metric(org_id, name)) is not None:
        raise Invalid(
            f"{name} is the id of {numbered.name}; to delete a metric, send its name.",
            fields={"metric": "Its name is needed, not its id."},
        )
    return metric or get_metric(org_id, name)


def settings_json(name: str, wanted: Wanted) -> SettingsOut:
    """Return the settings of a metric as JSON."""
    return SettingsOut(
        metric=name,
        direction=wanted.direction,
        smallest_change=wanted.smallest_change,
        kind=wanted.kind,
        step=None if wanted.step_ms is None else wanted.step_ms / 1000,
        unit=wanted.unit,
        may_be_silent=wanted.may_be_silent,
        sensitivity=wanted.false_alarms,
    )


def _wanted(inputs: SettingsIn, before: Wanted) -> Wanted:
    given = inputs.model_dump(
        include={"direction", "smallest_change", "kind", "unit", "may_be_silent"}, exclude_none=True
    )
    if inputs.step is not None:
        given["step_ms"] = round(inputs.step * 1000) or None
    if inputs.sensitivity is not None:
        given["false_alarms"] = inputs.sensitivity or None
    return replace(before, **given)

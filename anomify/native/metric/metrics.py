"""/metrics, /metric: what reports, how it stands, its points and what was expected of them."""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from flask import Response, request
from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)

from anomify.anomaly.charts import chart_of_metric
from anomify.anomaly.queries import MOST_ANOMALIES, list_anomalies
from anomify.anomaly.ranking import tally
from anomify.auth.subject import subject
from anomify.clock import now, now_ms
from anomify.edge.app_state import app_state
from anomify.edge.contract import Access, Inputs, Outputs, names
from anomify.edge.parameters import find_parameter
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError, Invalid, NotFound
from anomify.exclusion.model import Exclusion
from anomify.exclusion.wording import explained, rules_behind
from anomify.metric.chart_events import events_on
from anomify.metric.forecast import expected_ahead
from anomify.metric.name import NAME_LABEL, NameRefused, parse_name, plain_or_labelled_name
from anomify.metric.quality import sparsity
from anomify.metric.queries import Broad, MetricOrder, find_metric, get_standing, list_metrics
from anomify.metric.reading import (
    SeriesWindow,
    as_read,
    end_with_newest,
    rate_in,
    rate_of,
    read_raw,
    read_to_thin,
    three_sigma,
)
from anomify.metric.status import MetricStatus, State, inactive_since_ms
from anomify.native.anomaly import AnomaliesIn, AnomaliesOut, AnomalyOut, anomalies_out
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import SOUGHT_CHARACTERS_MAX, Chips, Name, canonical
from anomify.native.picture import LookIn, png_reply
from anomify.native.watcher import ChipOut, chips_json
from anomify.native.window import DAY, PageIn, WindowIn, timestamp_of
from anomify.series import Series
from anomify.watcher.queries import names_holding
from anomify.watcher.routing import watchers_of

blueprint = NativeBlueprint("metric", __name__)

# A counter's first rate in a window is counted from a point so many steps before it at the most.
MARGIN_STEPS = 3

Pairs = list[tuple[int | float, float]]


class Part(StrEnum):
    """A part of the bundle."""

    METRIC = "metric"
    TIMESERIES = "timeseries"
    YHAT = "yhat"
    ANOMALIES = "anomalies"
    EVENTS = "events"


class ExcludedByOut(Outputs):
    """The rule that keeps a metric out."""

    id: int = Field(description="Its id, for /exclusion/delete.")
    type: str = Field(description="What kind of rule it is.", examples=["prefix"])
    pattern: str = Field(description="What it looks for.", examples=["staging."])
    reason: str = Field(description="Why it was made; may be empty.")
    expires: int | None = Field(description="When it ends by itself, unix seconds, if ever.")


class MetricOut(Outputs):
    """A metric and where it stands."""

    id: int = Field(description="Its id.")
    metric: str = Field(description="Its name, with its labels.")
    display_name: str = Field(description="Its name without its labels.")
    labels: dict[str, str] = Field(description="Its labels.")
    created_timestamp: int = Field(description="When it came, unix seconds.")
    state: State = Field(description="Where it stands.")
    state_sentence: str = Field(description="Why it is judged or not, in plain words.")
    learned_points: int = Field(
        description="How many points have been learnt, at most as many as it takes."
    )
    learning_points: int = Field(description="So many points teach before the first is judged.")
    points: int = Field(description="How many points have been seen in order.")
    late_points: int = Field(
        description="How many points came too late to be judged in their turn."
    )
    resolution: float | None = Field(description="Seconds from point to point.")
    is_counter: bool = Field(description="It only grows; its rate a second is judged.")
    inactive: bool = Field(description="Out of use: it has ended, or been silent for a day.")
    inactive_at: int | float | None = Field(description="Since when, unix seconds.")
    excluded_by: ExcludedByOut | None = Field(
        description="The rule that keeps it out of judging and out of the quota, if one does."
    )
    last_timestamp: int | float | None = Field(description="The time of its newest point.")
    last_value: float | None = Field(description="The value of its newest point.")


class OneMetricOut(Outputs):
    """One metric."""

    metric: MetricOut = Field(description="The metric and where it stands.")


class WatchedByOut(Outputs):
    """A watcher that a metric is about."""

    id: int = Field(description="Its id.")
    name: str = Field(description="Its name.")
    alert: bool = Field(description="Whether it tells anybody.")
    severity: str = Field(description="The least severity that it tells.")


class CountsOut(Outputs):
    """What a metric has had."""

    anomalies: int = Field(description="Every anomaly that is kept.")
    anomalies_7d: int = Field(description="Those that began in the last seven days.")
    open: int = Field(description="Those that run now.")


class QualityOut(Outputs):
    """How well a metric reports."""

    resolution: float | None = Field(description="Seconds from point to point, once known.")
    sparsity: float | None = Field(
        description="Of the points that its last day should have had, how many came, in percent;"
        " null until its resolution is known."
    )
    derivative: bool = Field(description="It is a counter, and its rate a second is judged.")
    stale: bool = Field(description="It is silent for longer than it ever was.")


class DetailsOut(OneMetricOut):
    """One metric with all that is known about it."""

    watchers: list[WatchedByOut] = Field(description="Watchers whose chips it holds.")
    counts: CountsOut = Field(description="What it has had.")
    quality: QualityOut = Field(description="How well it reports.")


class MetricsOut(Outputs):
    """A page of metrics."""

    metrics: list[MetricOut] = Field(description="The metrics, with where each stands.")
    total: int = Field(description="How many there are in all.")
    chips: list[ChipOut] | None = Field(
        None, description="With include_chips: words that would narrow the search."
    )


class SpanOut(Outputs):
    """A span of time."""

    begin: int | float = Field(description="Its begin, unix seconds.")
    end: int | float = Field(description="Its end, unix seconds; not part of it.")


class TimeseriesOut(Outputs):
    """Datapoints, oldest first."""

    timeseries: Pairs = Field(description="Each point as a timestamp and a value.")
    derivative: Pairs | None = Field(None, description="A counter's rate a second.")
    resolution: float | None = Field(
        description="Seconds from point to point, once known; where downsampled, seconds of each"
        " stretch."
    )
    downsampled: bool = Field(description="Only the least and greatest of each stretch are here.")
    missing: list[SpanOut] = Field(
        [], description="Where stored points cannot be read: the operator can see why."
    )


def _number(description: str, kind: str = "number") -> dict[str, JsonValue]:
    return {"type": kind, "description": description}


# What was expected of one point, in the unit it is judged in. A reply has thousands of them, so
# they are plain dicts and described here.
Expected = dict[str, float]
_EXPECTED: dict[str, JsonValue] = {
    "yhat_lower": _number("The least value expected."),
    "yhat_upper": _number("The greatest value expected."),
    "yhat_real_lower": _number(
        "Only with include_yhat_real_lower: the least value expected, but not less than the least"
        " value of the window."
    ),
    "mean": _number("Only with include_mean: the middle of the expected range."),
    "value": _number("Only with include_value: what came, or a counter's rate a second."),
    "3sigma_lower": _number(
        "Three standard deviations below the mean of the window's points up to this one, the"
        " classical bound to compare with; unlike the range it depends on the window."
    ),
    "3sigma_upper": _number("The same above the mean."),
    "score": _number("How unusual it was, 0 to 1; 0.5 is unusual."),
    "forecast": _number(
        "True where no point has come yet: the range may still change.", kind="boolean"
    ),
}
Expectations = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": _EXPECTED,
                "required": ["yhat_lower", "yhat_upper"],
                "additionalProperties": False,
            },
        }
    ),
]


class YhatOut(Outputs):
    """The expected range by timestamp; a point that was not judged has none."""

    yhat: Expectations = Field(description="Expected ranges, by unix seconds as text.")


class RangesOut(YhatOut):
    """The expected range, and where it was left."""

    anomalous_periods: list[tuple[int | float, int | float | None]] | None = Field(
        None,
        description="Only with include_anomalous_periods: begin and end of each anomaly that ran"
        " in the window, oldest first, at most 500; one that runs has no end.",
    )


class ChartEventOut(Outputs):
    """Something that happened around a metric, such as a deploy."""

    id: int = Field(description="Its id.")
    type: str = Field(description="deploy or custom.", examples=["deploy"])
    timestamp: int = Field(description="When, unix seconds.")
    text: str = Field(description="What happened.", examples=["shop 2.14 is live"])


class BundleOut(Outputs):
    """All that a page about a metric shows, in one reply, or those parts that were asked for."""

    metric: MetricOut | None = Field(None, description="The metric and where it stands.")
    timeseries: Pairs | None = Field(None, description="Each point as a timestamp and a value.")
    derivative: Pairs | None = Field(None, description="A counter's rate a second.")
    resolution: float | None = Field(
        None, description="Seconds from point to point, once known; with timeseries."
    )
    downsampled: bool | None = Field(
        None, description="Only the least and greatest of each stretch are in timeseries."
    )
    missing: list[SpanOut] | None = Field(
        None, description="Where stored points cannot be read; with timeseries."
    )
    yhat: Expectations | None = Field(None, description="Expected ranges, by unix seconds as text.")
    anomalies: list[AnomalyOut] | None = Field(None, description="The anomalies of the window.")
    total: int | None = Field(None, description="How many anomalies there are in all.")
    events: list[ChartEventOut] | None = Field(
        None, description="Deploys and other events of the window that concern it, oldest first."
    )


class PartsOut(BundleOut):
    """The parts that were asked for; the others are not there at all."""

    @model_serializer(mode="wrap")
    def _without_other_parts(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: said for name, said in dump(self).items() if name in self.model_fields_set}


class MetricsIn(PageIn):
    """Which metrics a list is to hold."""

    chips: Chips = Field(default=[], description="Words that the name must hold.")
    q: str = Field(
        "", max_length=SOUGHT_CHARACTERS_MAX, description="Text that the name must hold."
    )
    state: State | Broad | None = Field(
        None,
        description="Only those that stand so. live are all that report and are not excluded;"
        " inactive those that ended or have been silent for a day.",
    )
    order: MetricOrder = Field(
        MetricOrder.NAME,
        description="By name, the newest first, or the most recently heard of first.",
    )
    include_chips: bool = Field(
        default=False, description="Also suggest words to add to the search."
    )


class MetricIn(Inputs):
    """Which metric."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )


class TimeseriesIn(MetricIn, WindowIn):
    """Which datapoints, and how fine."""

    resolution: Literal["raw"] | Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        None, description="raw, or seconds: the least and greatest of each such stretch."
    )
    derivative: bool = Field(default=False, description="Add the rate a second.")


class YhatIn(MetricIn, WindowIn):
    """Which expected range, and what beside it."""

    include_value: bool = Field(default=False, description="Add the value that came.")
    include_mean: bool = Field(default=False, description="Add the middle of the range.")
    include_yhat_real_lower: bool = Field(
        default=False, description="Add the lower end, not below the least value of the window."
    )
    include_3sigma: bool = Field(
        default=False, description="Add the mean of the window less and plus three deviations."
    )


class RangesIn(YhatIn):
    """Which expected range, and whether also when it was left."""

    include_3sigma: bool = Field(
        default=True, description="Add the mean of the window less and plus three deviations."
    )
    include_anomalous_periods: bool = Field(
        default=False, description="Add when the metric was anomalous."
    )


class GraphIn(MetricIn, LookIn, WindowIn):
    """Which window of which metric, and how the picture is to look."""


class BundleIn(YhatIn, AnomaliesIn):
    """Which metric, and which stretch of it."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )
    limit: int = Field(200, ge=1, le=500, description="How many anomalies at the most.")
    parts: list[Part] = Field(
        default=[],
        description="Which parts: metric, timeseries, yhat, anomalies, events; all when left out.",
    )


class MetricAnomaliesIn(MetricIn, AnomaliesIn):
    """Which of a metric's anomalies."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )


def metric_of_whole_path(error: AnomifyError) -> DetailsOut:
    """Show the metric that the whole path names: x/graph, where no x has a graph to show.

    An address below /metric ends in a word such as graph, and so may a name. The word is what is
    asked of the metric before it, if there is one; else it is the end of a name, and the address
    is that metric's own. A word alone, without the parameter `metric`, is a whole name, too. Raises
    the error again where no metric has that name.
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


@blueprint.route("/metrics", inputs=MetricsIn, outputs=MetricsOut, access=Access.VIEWER)
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
        chips=chips_json(names_holding(org_id, words), words) if inputs.include_chips else None,
    )


@blueprint.route(
    "/metric/<path:metric>/timeseries",
    "/metric/timeseries",
    inputs=TimeseriesIn,
    outputs=TimeseriesOut,
    access=Access.VIEWER,
    limits=("heavy",),
    otherwise=metric_of_whole_path,
)
def timeseries(inputs: TimeseriesIn) -> TimeseriesOut:
    """Show datapoints: raw, by a resolution, or as many as a chart has room for."""
    standing = standing_named(inputs.metric)
    if inputs.resolution == "raw":
        series = _read(standing, inputs)
        raw = SeriesWindow(series, _rate(series, inputs), step_seconds=None)
        return _timeseries(standing, raw, inputs)
    series = _read_to_thin(standing, inputs)
    reading = as_read(series, step_seconds=inputs.resolution, has_rates=inputs.derivative)
    return _timeseries(standing, reading, inputs)


@blueprint.route(
    "/metric/<path:metric>/yhat",
    "/metric/yhat",
    inputs=RangesIn,
    outputs=RangesOut,
    access=Access.VIEWER,
    limits=("heavy",),
    otherwise=metric_of_whole_path,
)
def yhat(inputs: RangesIn) -> RangesOut:
    """Show the expected range of a window; it is the same however far one zooms.

    After the metric's newest point it is a forecast, for a day ahead of now if `until` asks for it.
    """
    standing = standing_named(inputs.metric)
    if _is_counter(standing):
        judged = rate_in(_read_with_margin(standing, inputs), inputs.window_ms(DAY)[0])
    else:
        judged = _read(standing, inputs)
    periods = _anomalous_periods(standing, inputs) if inputs.include_anomalous_periods else None
    yhat = expected_json(judged, inputs) | forecast_json(standing, judged, inputs)
    return RangesOut(yhat=yhat, anomalous_periods=periods)


@blueprint.route(
    "/metric/<path:metric>/anomalies",
    "/metric/anomalies",
    inputs=MetricAnomaliesIn,
    outputs=AnomaliesOut,
    access=Access.VIEWER,
    otherwise=metric_of_whole_path,
)
def metric_anomalies(inputs: MetricAnomaliesIn) -> AnomaliesOut:
    """List a metric's anomalies, those of the last thirty days by default."""
    return anomalies_out(inputs, standing_named(inputs.metric).metric.id, 30 * DAY)


@blueprint.route(
    "/metric/<path:metric>/graph",
    "/metric/graph",
    inputs=GraphIn,
    media="image/png",
    access=Access.VIEWER,
    has_own_transactions=True,
    otherwise=metric_of_whole_path,
)
def graph(inputs: GraphIn) -> Response:
    """Draw a window of the metric with its expected range and anomalies, as a PNG."""
    org, look = subject().org, inputs.look()
    with transaction(write=False):
        standing = standing_named(inputs.metric)
        from_ms, until_ms = points_window_ms(standing, inputs)
        chart = chart_of_metric(
            org, standing, app_state().points, from_ms=from_ms, until_ms=until_ms, look=look
        )
    return png_reply(chart)


@blueprint.route(
    "/metric/<path:metric>/bundle",
    "/metric/bundle",
    inputs=BundleIn,
    outputs=BundleOut,
    access=Access.VIEWER,
    limits=("heavy",),
    otherwise=metric_of_whole_path,
)
def bundle(inputs: BundleIn) -> BundleOut:
    """Show all that a page about the metric needs, in one reply, or only some parts of it.

    Where `until` lies ahead of now, its expected range goes on as a forecast, up to a day.
    """
    standing = standing_named(inputs.metric)
    parts = set(inputs.parts or Part)
    found: dict[str, Any] = {}
    if Part.METRIC in parts:
        found["metric"] = metrics_json([standing])[0]
    if parts & {Part.TIMESERIES, Part.YHAT}:
        found |= _points_of_bundle(standing, inputs, parts)
    if Part.ANOMALIES in parts:
        had = anomalies_out(inputs, standing.metric.id, DAY)
        found |= {"anomalies": had.anomalies, "total": had.total}
    if Part.EVENTS in parts:
        found["events"] = [
            ChartEventOut(
                id=event.id,
                type=event.type,
                timestamp=int(event.occurred_at.timestamp()),
                text=event.text,
            )
            for event in events_on(standing.metric, *inputs.window_ms(DAY))
        ]
    return (BundleOut if parts == set(Part) else PartsOut).model_construct(**found)


@blueprint.route(
    "/metric/<path:metric>", "/metric", inputs=MetricIn, outputs=DetailsOut, access=Access.VIEWER
)
def metric(inputs: MetricIn) -> DetailsOut:
    """Show one metric, where it stands, who watches it, and how well it reports."""
    org_id, standing = subject().org.id, standing_named(inputs.metric)
    (shown,) = metrics_json([standing])
    had = tally(org_id, standing.metric.id, since_ms=now_ms() - 7 * DAY * 1000)
    return DetailsOut(
        metric=shown,
        watchers=[
            WatchedByOut(
                id=watcher.id,
                name=watcher.name,
                alert=watcher.is_alerting,
                severity=watcher.severity,
            )
            for watcher in watchers_of(org_id, standing.metric.name)
        ],
        counts=CountsOut(anomalies=had.total, anomalies_7d=had.lately, open=had.running),
        quality=QualityOut(
            resolution=shown.resolution,
            sparsity=sparsity(app_state().points, standing, now_ms()),
            derivative=shown.is_counter,
            stale=standing.state is State.STALE,
        ),
    )


def metrics_json(standings: Sequence[MetricStatus]) -> list[MetricOut]:
    """Return metrics as the wire has them, those that are excluded with their rules."""
    org_id = subject().org.id
    rules = rules_behind(org_id, standings)
    return [
        metric_json(standing, rules.get(standing.metric.id))
        for standing in explained(standings, rules)
    ]


def metric_json(standing: MetricStatus, rule: Exclusion | None) -> MetricOut:
    """Return a metric as the wire has it, with the rule that keeps it out, if one does."""
    metric, progress = standing.metric, standing.progress
    inactive_ms = inactive_since_ms(standing, now())
    labels = parse_name(metric.name)
    named = {} if isinstance(labels, NameRefused) else dict(labels)
    return MetricOut(
        id=metric.id,
        metric=metric.name,
        display_name=named.pop(NAME_LABEL, metric.name),
        labels=named,
        created_timestamp=int(metric.created_at.timestamp()),
        state=standing.state,
        state_sentence=standing.sentence,
        learned_points=standing.learned,
        learning_points=standing.learning_points,
        points=progress.points_seen if progress else 0,
        late_points=progress.late_points if progress else 0,
        resolution=progress.resolution_ms / 1000 if progress and progress.resolution_ms else None,
        is_counter=_is_counter(standing),
        inactive=inactive_ms is not None,
        inactive_at=None if inactive_ms is None else timestamp_of(inactive_ms),
        excluded_by=None if rule is None else _excluded_by(rule),
        last_timestamp=timestamp_of(progress.judged_until_ms) if progress else None,
        last_value=progress.last_value if progress else None,
    )


def _excluded_by(rule: Exclusion) -> ExcludedByOut:
    return ExcludedByOut(
        id=rule.id,
        type=rule.kind,
        pattern=rule.pattern,
        reason=rule.reason,
        expires=None if rule.expires_at is None else int(rule.expires_at.timestamp()),
    )


def expected_json(judged: Series, inputs: YhatIn) -> dict[str, Expected]:
    """Return the expected range of the judged points among these, by timestamp."""
    said = judged.judgements
    least = float(judged.values.min()) if len(judged) else 0.0
    sigma_lowers, sigma_uppers = _three_sigma_said(judged, inputs)
    found = {}
    for time_ms, value, lower, upper, score, sigma_lower, sigma_upper in zip(
        judged.times.tolist(),
        judged.values.tolist(),
        said.lowers.tolist(),
        said.uppers.tolist(),
        said.scores.tolist(),
        sigma_lowers,
        sigma_uppers,
        strict=True,
    ):
        if math.isnan(lower) or math.isnan(upper):
            continue
        expected = {"yhat_lower": lower, "yhat_upper": upper}
        if inputs.include_yhat_real_lower:
            expected["yhat_real_lower"] = max(lower, least)
        if inputs.include_mean:
            expected["mean"] = (lower + upper) / 2
        if inputs.include_value:
            expected["value"] = value
        if sigma_lower is not None and sigma_upper is not None:
            expected["3sigma_lower"], expected["3sigma_upper"] = sigma_lower, sigma_upper
        if not math.isnan(score):
            expected["score"] = round(score, 4)
        found[str(timestamp_of(time_ms))] = expected
    return found


def forecast_json(standing: MetricStatus, judged: Series, inputs: YhatIn) -> dict[str, Expected]:
    """Return the expected range after the metric's newest point, by timestamp.

    What is known of the judged points of the window goes on as it is.
    """
    ahead = expected_ahead(standing, *inputs.window_ms(DAY), now_ms())
    least = float(judged.values.min()) if len(judged) else -math.inf
    sigma_lowers, sigma_uppers = _three_sigma_said(judged, inputs)
    sigma_lower, sigma_upper = (said[-1] if said else None for said in (sigma_lowers, sigma_uppers))
    found = {}
    for time_ms, lower, upper in zip(
        ahead.times.tolist(), ahead.lowers.tolist(), ahead.uppers.tolist(), strict=True
    ):
        expected = {"yhat_lower": lower, "yhat_upper": upper}
        if inputs.include_yhat_real_lower:
            expected["yhat_real_lower"] = max(lower, least)
        if inputs.include_mean:
            expected["mean"] = (lower + upper) / 2
        if sigma_lower is not None and sigma_upper is not None:
            expected["3sigma_lower"], expected["3sigma_upper"] = sigma_lower, sigma_upper
        expected["forecast"] = True
        found[str(timestamp_of(time_ms))] = expected
    return found


def _points_of_bundle(standing: MetricStatus, inputs: BundleIn, parts: set[Part]) -> dict[str, Any]:
    """Return the fields of the bundle for which the window's points have to be read."""
    reading = as_read(_read_to_thin(standing, inputs), has_rates=_is_counter(standing))
    found: dict[str, Any] = {}
    if Part.TIMESERIES in parts:
        told = _timeseries(standing, reading, inputs)
        found |= {name: getattr(told, name) for name in TimeseriesOut.model_fields}
    if Part.YHAT in parts:
        judged = reading.values if reading.rates is None else reading.rates
        found["yhat"] = expected_json(judged, inputs) | forecast_json(standing, judged, inputs)
    return found


def _three_sigma_said(
    judged: Series, inputs: YhatIn
) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """Return the bounds of each point as the wire has them; None where there is none to tell."""
    if not inputs.include_3sigma:
        nothing: list[float | None] = [None] * len(judged)
        return nothing, nothing
    lowers, uppers = three_sigma(judged.values)
    return (
        [value if math.isfinite(value) else None for value in lowers.tolist()],
        [value if math.isfinite(value) else None for value in uppers.tolist()],
    )


def points_window_ms(standing: MetricStatus, inputs: WindowIn) -> tuple[int, int]:
    """Return the window whose points are shown; one that ends now ends with the newest point."""
    from_ms, until_ms = inputs.window_ms(DAY)
    if inputs.until_timestamp is None:
        until_ms = end_with_newest(app_state().points, standing.metric.id, until_ms)
    return from_ms, until_ms


def standing_named(name: str) -> MetricStatus:
    """Return the org's metric of that name, however its labels are sorted. Raises `NotFound`."""
    return get_standing(subject().org.id, canonical(name), now())


def _anomalous_periods(
    standing: MetricStatus, inputs: WindowIn
) -> list[tuple[int | float, int | float | None]]:
    from_ms, until_ms = inputs.window_ms(DAY)
    found = list_anomalies(
        subject().org.id,
        metric_id=standing.metric.id,
        from_ms=from_ms,
        until_ms=until_ms,
        oldest_first=True,
        limit=MOST_ANOMALIES,
    )
    return [
        (
            timestamp_of(one.span.started_ms),
            None if one.span.ended_ms is None else timestamp_of(one.span.ended_ms),
        )
        for one in found.items
    ]


def _read(standing: MetricStatus, inputs: WindowIn) -> Series:
    return read_raw(app_state().points, standing.metric.id, *points_window_ms(standing, inputs))


def _read_with_margin(standing: MetricStatus, inputs: WindowIn) -> Series:
    """Read a few steps more before the window: a rate takes two points."""
    from_ms, until_ms = points_window_ms(standing, inputs)
    step_ms = standing.progress.resolution_ms if standing.progress else 0
    margin_ms = MARGIN_STEPS * step_ms
    return read_raw(app_state().points, standing.metric.id, max(from_ms - margin_ms, 0), until_ms)


def _read_to_thin(standing: MetricStatus, inputs: WindowIn) -> Series:
    return read_to_thin(app_state().points, standing.metric.id, *points_window_ms(standing, inputs))


def _timeseries(standing: MetricStatus, reading: SeriesWindow, inputs: WindowIn) -> TimeseriesOut:
    progress = standing.progress
    own_step = progress.resolution_ms / 1000 if progress and progress.resolution_ms else None
    missing = app_state().points.missing(standing.metric.id, *inputs.window_ms(DAY))
    return TimeseriesOut.model_construct(
        timeseries=_pairs(reading.values),
        derivative=None if reading.rates is None else _pairs(reading.rates),
        resolution=reading.step_seconds or own_step,
        downsampled=reading.is_downsampled,
        missing=[
            SpanOut(begin=timestamp_of(from_ms), end=timestamp_of(until_ms))
            for from_ms, until_ms in missing
        ],
    )


def _pairs(series: Series) -> Pairs:
    return [
        (timestamp_of(time_ms), value)
        for time_ms, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]


def _rate(series: Series, inputs: TimeseriesIn) -> Series | None:
    return rate_of(series) if inputs.derivative else None


def _is_counter(standing: MetricStatus) -> bool:
    return bool(standing.progress and standing.progress.is_counter)

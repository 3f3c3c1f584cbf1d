"""/metric/.../bundle: everything that a page about a metric shows, in one reply."""

from enum import StrEnum
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from anomify.auth.subject import subject
from anomify.clock import to_timestamp
from anomify.edge.access import VIEWER
from anomify.edge.contract import Outputs, names
from anomify.match.queries import list_matches
from anomify.metric.chart_events import events_on
from anomify.metric.reading import as_read
from anomify.metric.status import MetricStatus
from anomify.native.anomaly.list import AnomaliesIn, anomalies_out
from anomify.native.anomaly.shapes import AnomalyOut
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.expected import Expectations, YhatIn, expected_json, forecast_json
from anomify.native.metric.series import (
    Pairs,
    SpanOut,
    TimeseriesOut,
    read_to_thin_with_rates,
    timeseries_out,
)
from anomify.native.metric.shapes import (
    MetricOut,
    is_counter,
    metric_status_named,
    one_metric_json,
)
from anomify.native.params import Name
from anomify.native.shape.match import MatchOut, matches_json
from anomify.native.shape.pattern import PatternOut, patterns_json
from anomify.native.window import DAY
from anomify.pattern.queries import MOST_PATTERNS, list_patterns


class Part(StrEnum):
    """A part of the bundle."""

    METRIC = "metric"
    TIMESERIES = "timeseries"
    YHAT = "yhat"
    ANOMALIES = "anomalies"
    EVENTS = "events"
    MATCHES = "matches"
    PATTERNS = "patterns"


class ChartEventOut(Outputs):
    """Something that happened around a metric, such as a deploy."""

    id: int = Field(description="Its id.")
    type: str = Field(description="deploy or custom.", examples=["deploy"])
    timestamp: int = Field(description="When, unix seconds.")
    text: str = Field(description="What happened.", examples=["shop 2.14 is live"])


class BundleOut(Outputs):
    """Everything that a page about a metric shows, in one reply, or the requested parts."""

    metric: MetricOut | None = Field(None, description="The metric and its state.")
    timeseries: Pairs | None = Field(None, description="Each point as a timestamp and a value.")
    derivative: Pairs | None = Field(
        None,
        description="A counter's rate a second; the first reading after a restart has none.",
    )
    resolution: float | None = Field(
        None, description="Seconds from point to point, once known; with timeseries."
    )
    downsampled: bool | None = Field(
        None, description="Only the smallest and largest point of each interval is in timeseries."
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
    matches: list[MatchOut] | None = Field(
        None,
        description="What patterns explained in the window, newest first, so many as `limit`.",
    )
    patterns: list[PatternOut] | None = Field(
        None, description="The patterns of the metric that are used, newest first."
    )


class PartsOut(BundleOut):
    """The requested parts; the others are left out."""

    @model_serializer(mode="wrap")
    def _without_other_parts(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class BundleIn(YhatIn, AnomaliesIn):
    """Which metric, and which stretch of it."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )
    limit: int = Field(200, ge=1, le=500, description="How many anomalies and matches at the most.")
    parts: list[Part] = Field(
        default=[],
        description="Which parts: metric, timeseries, yhat, anomalies, events, matches, patterns;"
        " all when left out.",
    )


@blueprint.route(
    "/metric/<path:metric>/bundle",
    "/metric/bundle",
    inputs=BundleIn,
    outputs=BundleOut,
    access=VIEWER,
    limits=("heavy",),
    otherwise=metric_of_whole_path,
)
def bundle(inputs: BundleIn) -> BundleOut:
    """Show all that a page about the metric needs, in one reply, or only some parts of it.

    Where `until` lies ahead of now, its expected range goes on as a forecast, up to a day.
    """
    status = metric_status_named(inputs.metric)
    parts = set(inputs.parts or Part)
    found: dict[str, Any] = {}
    if Part.METRIC in parts:
        found["metric"] = one_metric_json(status)
    if parts & {Part.TIMESERIES, Part.YHAT}:
        found |= _points_of_bundle(status, inputs, parts)
    if Part.ANOMALIES in parts:
        had = anomalies_out(inputs, status.metric.id, DAY)
        found |= {"anomalies": had.anomalies, "total": had.total}
    if Part.EVENTS in parts:
        found["events"] = [
            ChartEventOut(
                id=event.id,
                type=event.type,
                timestamp=to_timestamp(event.occurred_at),
                text=event.text,
            )
            for event in events_on(status.metric, *inputs.window_ms(DAY))
        ]
    if Part.MATCHES in parts:
        found["matches"] = _matches_of_bundle(status, inputs)
    if Part.PATTERNS in parts:
        listed = list_patterns(subject().org.id, metric_id=status.metric.id, limit=MOST_PATTERNS)
        found["patterns"] = patterns_json(listed.items)
    return (BundleOut if parts == set(Part) else PartsOut).model_construct(**found)


def _matches_of_bundle(status: MetricStatus, inputs: BundleIn) -> list[MatchOut]:
    from_ms, until_ms = inputs.window_ms(DAY)
    listed = list_matches(
        subject().org.id,
        metric_id=status.metric.id,
        from_ms=from_ms,
        until_ms=until_ms,
        limit=inputs.limit,
    )
    return matches_json(listed.items)


def _points_of_bundle(status: MetricStatus, inputs: BundleIn, parts: set[Part]) -> dict[str, Any]:
    """Return the fields of the bundle for which the window's points have to be read."""
    values, rates = read_to_thin_with_rates(status, inputs, has_rates=is_counter(status))
    reading = as_read(values, rates=rates)
    found: dict[str, Any] = {}
    if Part.TIMESERIES in parts:
        timeseries = timeseries_out(status, reading, inputs)
        found |= {name: getattr(timeseries, name) for name in TimeseriesOut.model_fields}
    if Part.YHAT in parts:
        judged = reading.values if reading.rates is None else reading.rates
        found["yhat"] = expected_json(judged, inputs) | forecast_json(status, judged, inputs)
    return found

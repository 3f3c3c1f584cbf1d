"""/metrics, /metric: what reports, how it stands, its points and what was expected of them."""

import math
from typing import Annotated, Literal

from flask import Response
from pydantic import Field, model_serializer

from anomify.anomaly.picture import chart_of_metric
from anomify.auth.subject import subject
from anomify.clock import now
from anomify.edge.contract import Access, Inputs, Outputs, names
from anomify.edge.house import house
from anomify.edge.transaction import transaction
from anomify.metric.name import NAME_LABEL, NameRefused, parse_name
from anomify.metric.queries import get_standing, list_metrics
from anomify.metric.reading import Reading, as_read, rate_of, read_raw, read_to_thin
from anomify.metric.standing import Standing, State
from anomify.native.anomaly import AnomaliesIn, AnomaliesOut, anomalies_out
from anomify.native.envelope import NativeDoor
from anomify.native.params import SOUGHT_CHARACTERS_MAX, Chips, Name, canonical
from anomify.native.picture import LookIn, png_reply
from anomify.native.window import DAY, PageIn, WindowIn, timestamp_of
from anomify.series import Series

door = NativeDoor("metric", __name__)

Pairs = list[tuple[int | float, float]]


class MetricOut(Outputs):
    """A metric and where it stands."""

    id: int
    metric: str
    display_name: str
    labels: dict[str, str]
    created_timestamp: int
    state: State
    state_sentence: str = Field(description="Why it is judged or not, in plain words.")
    learned_points: int
    learning_points: int = Field(description="So many points teach before the first is judged.")
    points: int = Field(description="How many points have been seen in order.")
    late_points: int
    resolution: float | None = Field(description="Seconds from point to point.")
    is_counter: bool = Field(description="It only grows; its rate a second is judged.")
    last_timestamp: int | float | None
    last_value: float | None


class OneMetricOut(Outputs):
    """One metric."""

    metric: MetricOut


class MetricsOut(Outputs):
    """A page of metrics."""

    metrics: list[MetricOut]
    total: int


class TimeseriesOut(Outputs):
    """Datapoints, oldest first."""

    timeseries: Pairs
    derivative: Pairs | None = Field(None, description="A counter's rate a second.")
    resolution: float | None
    downsampled: bool = Field(description="Only the least and greatest of each stretch are here.")


class ExpectedOut(Outputs):
    """What was expected of one point, in the unit it is judged in."""

    yhat_lower: float
    yhat_upper: float
    mean: float | None = Field(None, description="Only with include_mean.")
    value: float | None = Field(None, description="Only with include_value.")
    score: float | None = None

    @model_serializer(mode="plain")
    def _without_what_was_not_asked_for(self) -> dict[str, float]:
        return {name: value for name, value in self.__dict__.items() if value is not None}


class YhatOut(Outputs):
    """The expected range by timestamp; a point that was not judged has none."""

    yhat: dict[str, ExpectedOut]


class BundleOut(TimeseriesOut, YhatOut, AnomaliesOut):
    """All that a page about a metric shows, in one reply."""

    metric: MetricOut


class MetricsIn(PageIn):
    """Which metrics a list is to hold."""

    chips: Chips = Field(default=[], description="Words that the name must hold.")
    q: str = Field(
        "", max_length=SOUGHT_CHARACTERS_MAX, description="Text that the name must hold."
    )
    state: State | None = Field(None, description="Only those that stand so.")


class MetricIn(Inputs):
    """Which metric."""

    metric: Name = Field(
        description="The metric's name, in the path or as a parameter.",
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

    include_value: bool = False
    include_mean: bool = False


class GraphIn(MetricIn, LookIn, WindowIn):
    """Which window of which metric, and how the picture is to look."""


class BundleIn(YhatIn, AnomaliesIn):
    """Which metric, and which stretch of it."""

    metric: Name = Field(
        description="The metric's name, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )
    limit: int = Field(200, ge=1, le=500, description="How many anomalies at the most.")


class MetricAnomaliesIn(MetricIn, AnomaliesIn):
    """Which of a metric's anomalies."""

    metric: Name = Field(
        description="The metric's name, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )


@door.route("/metrics", inputs=MetricsIn, outputs=MetricsOut, access=Access.VIEWER)
def metrics(wish: MetricsIn) -> MetricsOut:
    """Search and browse the metrics of the org, by name."""
    page = list_metrics(
        subject().org.id,
        now(),
        words=[*wish.chips, wish.q],
        state=wish.state,
        limit=wish.limit,
        offset=wish.offset,
    )
    return MetricsOut(metrics=[metric_json(found) for found in page.items], total=page.total)


@door.route(
    "/metric/<path:metric>/timeseries",
    "/metric/timeseries",
    inputs=TimeseriesIn,
    outputs=TimeseriesOut,
    access=Access.VIEWER,
    limits=("heavy",),
)
def timeseries(wish: TimeseriesIn) -> TimeseriesOut:
    """Show datapoints: raw, by a resolution, or as many as a chart has room for."""
    standing = standing_named(wish.metric)
    if wish.resolution == "raw":
        series = _read(standing, wish)
        return _timeseries(standing, Reading(series, _rate(series, wish), is_downsampled=False))
    series = _read_to_thin(standing, wish)
    reading = as_read(series, step_seconds=wish.resolution, has_rates=wish.derivative)
    return _timeseries(standing, reading)


@door.route(
    "/metric/<path:metric>/yhat",
    "/metric/yhat",
    inputs=YhatIn,
    outputs=YhatOut,
    access=Access.VIEWER,
    limits=("heavy",),
)
def yhat(wish: YhatIn) -> YhatOut:
    """Show the expected range of a window; it is the same however far one zooms."""
    standing = standing_named(wish.metric)
    series = _read(standing, wish)
    judged = rate_of(series) if _is_counter(standing) else series
    return YhatOut(yhat=expected_json(judged, wish))


@door.route(
    "/metric/<path:metric>/anomalies",
    "/metric/anomalies",
    inputs=MetricAnomaliesIn,
    outputs=AnomaliesOut,
    access=Access.VIEWER,
)
def metric_anomalies(wish: MetricAnomaliesIn) -> AnomaliesOut:
    """List a metric's anomalies, those of the last thirty days by default."""
    return anomalies_out(wish, standing_named(wish.metric).metric.id, 30 * DAY)


@door.route(
    "/metric/<path:metric>/graph",
    "/metric/graph",
    inputs=GraphIn,
    media="image/png",
    access=Access.VIEWER,
    has_own_transactions=True,
)
def graph(wish: GraphIn) -> Response:
    """Draw a window of the metric with its expected range and anomalies, as a PNG."""
    from_ms, until_ms = wish.window_ms(DAY)
    org, look = subject().org, wish.look()
    with transaction(write=False):
        standing = standing_named(wish.metric)
        chart = chart_of_metric(
            org, standing, house().points, from_ms=from_ms, until_ms=until_ms, look=look
        )
    return png_reply(chart)


@door.route(
    "/metric/<path:metric>/bundle",
    "/metric/bundle",
    inputs=BundleIn,
    outputs=BundleOut,
    access=Access.VIEWER,
    limits=("heavy",),
)
def bundle(wish: BundleIn) -> BundleOut:
    """Show all that a page about the metric needs, in one reply."""
    standing = standing_named(wish.metric)
    reading = as_read(_read_to_thin(standing, wish), has_rates=_is_counter(standing))
    judged = reading.values if reading.rates is None else reading.rates
    found = anomalies_out(wish, standing.metric.id, DAY)
    return BundleOut(
        metric=metric_json(standing),
        yhat=expected_json(judged, wish),
        anomalies=found.anomalies,
        total=found.total,
        **_timeseries(standing, reading).model_dump(),
    )


@door.route(
    "/metric/<path:metric>", "/metric", inputs=MetricIn, outputs=OneMetricOut, access=Access.VIEWER
)
def metric(wish: MetricIn) -> OneMetricOut:
    """Show one metric and where it stands."""
    return OneMetricOut(metric=metric_json(standing_named(wish.metric)))


def metric_json(standing: Standing) -> MetricOut:
    """Return a metric as the wire has it."""
    metric, progress = standing.metric, standing.progress
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
        last_timestamp=timestamp_of(progress.judged_until_ms) if progress else None,
        last_value=progress.last_value if progress else None,
    )


def expected_json(judged: Series, wish: YhatIn) -> dict[str, ExpectedOut]:
    """Return the expected range of the judged points among these, by timestamp."""
    said = judged.judgements
    found = {}
    for time_ms, value, lower, upper, score in zip(
        judged.times.tolist(),
        judged.values.tolist(),
        said.lowers.tolist(),
        said.uppers.tolist(),
        said.scores.tolist(),
        strict=True,
    ):
        if math.isnan(lower) or math.isnan(upper):
            continue
        found[str(timestamp_of(time_ms))] = ExpectedOut.model_construct(
            yhat_lower=lower,
            yhat_upper=upper,
            mean=(lower + upper) / 2 if wish.include_mean else None,
            value=value if wish.include_value else None,
            score=None if math.isnan(score) else round(score, 4),
        )
    return found


def standing_named(name: str) -> Standing:
    """Return the org's metric of that name, however its labels are sorted. Raises `NotFound`."""
    return get_standing(subject().org.id, canonical(name), now())


def _read(standing: Standing, wish: WindowIn) -> Series:
    return read_raw(house().points, standing.metric.id, *wish.window_ms(DAY))


def _read_to_thin(standing: Standing, wish: WindowIn) -> Series:
    return read_to_thin(house().points, standing.metric.id, *wish.window_ms(DAY))


def _timeseries(standing: Standing, reading: Reading) -> TimeseriesOut:
    progress = standing.progress
    return TimeseriesOut.model_construct(
        timeseries=_pairs(reading.values),
        derivative=None if reading.rates is None else _pairs(reading.rates),
        resolution=progress.resolution_ms / 1000 if progress and progress.resolution_ms else None,
        downsampled=reading.is_downsampled,
    )


def _pairs(series: Series) -> Pairs:
    return [
        (timestamp_of(time_ms), value)
        for time_ms, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]


def _rate(series: Series, wish: TimeseriesIn) -> Series | None:
    return rate_of(series) if wish.derivative else None


def _is_counter(standing: Standing) -> bool:
    return bool(standing.progress and standing.progress.is_counter)

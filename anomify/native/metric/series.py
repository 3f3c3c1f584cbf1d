"""/metric/.../timeseries: the stored datapoints of a metric, raw or downsampled."""

from typing import Annotated, Literal

from pydantic import Field

from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.metric.reading import (
    SeriesWindow,
    as_read,
    end_with_newest,
    rate_of,
    read_raw,
    read_to_thin,
)
from anomify.metric.status import MetricStatus
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.shapes import MetricIn, metric_status_named
from anomify.native.window import DAY, WindowIn, timestamp_of
from anomify.series import Series

Pairs = list[tuple[int | float, float]]


class SpanOut(Outputs):
    """A span of time."""

    begin: int | float = Field(description="Its begin, unix seconds.")
    end: int | float = Field(description="Its end, unix seconds; not part of it.")


class TimeseriesOut(Outputs):
    """Datapoints, oldest first."""

    timeseries: Pairs = Field(description="Each point as a timestamp and a value.")
    derivative: Pairs | None = Field(
        None,
        description="A counter's rate a second; the first reading after a restart has none.",
    )
    resolution: float | None = Field(
        description="Seconds from point to point, once known; where downsampled, seconds of each"
        " stretch."
    )
    downsampled: bool = Field(
        description="Only the smallest and largest point of each interval is included."
    )
    missing: list[SpanOut] = Field(
        [], description="Where stored points cannot be read: the operator can see why."
    )


class TimeseriesIn(MetricIn, WindowIn):
    """Which datapoints, and at which resolution."""

    resolution: Literal["raw"] | Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        None, description="raw, or seconds: the smallest and largest point of each such interval."
    )
    derivative: bool = Field(default=False, description="Add the rate a second.")


@blueprint.route(
    "/metric/<path:metric>/timeseries",
    "/metric/timeseries",
    inputs=TimeseriesIn,
    outputs=TimeseriesOut,
    access=VIEWER,
    limits=("heavy",),
    otherwise=metric_of_whole_path,
)
def timeseries(inputs: TimeseriesIn) -> TimeseriesOut:
    """Show datapoints: raw, by a resolution, or downsampled for a chart."""
    status = metric_status_named(inputs.metric)
    if inputs.resolution == "raw":
        series = read_points(status, inputs)
        raw = SeriesWindow(series, _rate(series, inputs), step_seconds=None)
        return timeseries_out(status, raw, inputs)
    series = read_points_to_thin(status, inputs)
    reading = as_read(series, step_seconds=inputs.resolution, has_rates=inputs.derivative)
    return timeseries_out(status, reading, inputs)


def timeseries_out(status: MetricStatus, reading: SeriesWindow, inputs: WindowIn) -> TimeseriesOut:
    """Return the points that were read, with their step and the spans that cannot be read."""
    progress = status.progress
    own_step = progress.resolution_ms / 1000 if progress and progress.resolution_ms else None
    missing = app_state().points.missing(status.metric.id, *inputs.window_ms(DAY))
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


def points_window_ms(status: MetricStatus, inputs: WindowIn) -> tuple[int, int]:
    """Return the window whose points are shown; one that ends now ends with the newest point."""
    from_ms, until_ms = inputs.window_ms(DAY)
    if inputs.until_timestamp is None:
        until_ms = end_with_newest(app_state().points, status.metric.id, until_ms)
    return from_ms, until_ms


def read_points(status: MetricStatus, inputs: WindowIn) -> Series:
    """Return every stored point of the window. Raises `Invalid` where they are too many."""
    return read_raw(app_state().points, status.metric.id, *points_window_ms(status, inputs))


def read_points_to_thin(status: MetricStatus, inputs: WindowIn) -> Series:
    """Return the stored points of the window, to be downsampled.

    Raises `Invalid` beyond 3,200,000.
    """
    return read_to_thin(app_state().points, status.metric.id, *points_window_ms(status, inputs))


def _pairs(series: Series) -> Pairs:
    return [
        (timestamp_of(time_ms), value)
        for time_ms, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]


def _rate(series: Series, inputs: TimeseriesIn) -> Series | None:
    return rate_of(series) if inputs.derivative else None

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
    rate_in,
    read_raw,
    read_to_thin,
    since,
)
from anomify.metric.status import MetricStatus
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.shapes import MetricIn, metric_status_named
from anomify.native.window import DAY, WindowIn, timestamp_of
from anomify.series import Series

# So many steps before the window are read as well where a rate is shown: it takes two points.
MARGIN_STEPS = 3

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
        reading = _read_raw(status, inputs)
    else:
        values, rates = read_to_thin_with_rates(status, inputs, has_rates=inputs.derivative)
        reading = as_read(values, step_seconds=inputs.resolution, rates=rates)
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


def read_points_and_margin(status: MetricStatus, inputs: WindowIn) -> Series:
    """Return every stored point of the window and of some steps before it, as `read_points`."""
    window_ms = _window_and_margin_ms(status, inputs)
    return read_raw(app_state().points, status.metric.id, *window_ms)


def read_to_thin_with_rates(
    status: MetricStatus, inputs: WindowIn, *, has_rates: bool
) -> tuple[Series, Series | None]:
    """Return the stored points of the window and, on request, its rates, to be downsampled.

    Raises `Invalid` beyond 3,200,000 points.
    """
    points, metric_id = app_state().points, status.metric.id
    if not has_rates:
        return read_to_thin(points, metric_id, *points_window_ms(status, inputs)), None
    series = read_to_thin(points, metric_id, *_window_and_margin_ms(status, inputs))
    return _with_rates(series, inputs)


def _read_raw(status: MetricStatus, inputs: TimeseriesIn) -> SeriesWindow:
    if not inputs.derivative:
        return SeriesWindow(read_points(status, inputs), None, step_seconds=None)
    return SeriesWindow(*_with_rates(read_points_and_margin(status, inputs), inputs), None)


def _with_rates(series: Series, inputs: WindowIn) -> tuple[Series, Series]:
    """Return the points of the window, and its rates by these and the points before it."""
    from_ms, _ = inputs.window_ms(DAY)
    return since(series, from_ms), rate_in(series, from_ms)


def _window_and_margin_ms(status: MetricStatus, inputs: WindowIn) -> tuple[int, int]:
    from_ms, until_ms = points_window_ms(status, inputs)
    step_ms = status.progress.resolution_ms if status.progress else 0
    return max(from_ms - MARGIN_STEPS * step_ms, 0), until_ms


def _pairs(series: Series) -> Pairs:
    return [
        (timestamp_of(time_ms), value)
        for time_ms, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]

"""Read a window of a metric: raw, or downsampled so that every spike is kept."""

from dataclasses import dataclass

import numpy as np

from anomify.detection.counter import rates
from anomify.errors import Invalid
from anomify.metric.downsample import downsample, downsample_by_step, stretches_of
from anomify.metric.intake import FUTURE_MS
from anomify.metric.store import PointStore
from anomify.series import Float64s, Series

# The most points in a chart.
MOST_SHOWN = 2_000
MOST_RAW = 200_000
# The most points read for downsampling: a year with a point every ten seconds, or 100 MB in memory.
MOST_READ = 3_200_000


@dataclass(frozen=True, slots=True)
class SeriesWindow:
    """The points of a window: values as received and, on request, their rate per second.

    `step_seconds` is the length of the intervals of which only the least and greatest values are
    included; None if every point is.
    """

    values: Series
    rates: Series | None
    step_seconds: float | None

    @property
    def is_downsampled(self) -> bool:
        """Return whether points are left out."""
        return self.step_seconds is not None


def end_with_newest(points: PointStore, metric_id: int, end_ms: int) -> int:
    """Return the end of a window that ends now, extended to include points in the near future.

    Senders' clocks may be up to `FUTURE_MS` ahead, and accepted points are shown at once.
    """
    ahead = points.read(metric_id, end_ms, end_ms + FUTURE_MS)
    return int(ahead.times[-1]) + 1 if len(ahead) else end_ms


def read_raw(points: PointStore, metric_id: int, from_ms: int, until_ms: int) -> Series:
    """Return every point of the window. Raises Invalid beyond 200,000 of them."""
    series = points.read(metric_id, from_ms, until_ms, most_points=MOST_RAW)
    if len(series) > MOST_RAW:
        raise Invalid(
            f"This window holds more than the {MOST_RAW:,} points of a reply: ask for a shorter"
            " one, or for a resolution in seconds.",
            fields={"resolution": "raw is too much for this window"},
        )
    return series


def read_to_thin(points: PointStore, metric_id: int, from_ms: int, until_ms: int) -> Series:
    """Return every point of the window for downsampling. Raises Invalid beyond 3,200,000."""
    series = points.read(metric_id, from_ms, until_ms, most_points=MOST_READ)
    if len(series) > MOST_READ:
        raise Invalid(
            f"This window holds more than the {MOST_READ:,} points that can be downsampled: ask"
            " for a shorter one.",
            fields={"from": "too far back for this metric"},
        )
    return series


def as_read(
    series: Series, *, step_seconds: float | None = None, rates: Series | None = None
) -> SeriesWindow:
    """Downsample a window by this step, or to 2,000 points, by least and greatest values.

    `rates` are downsampled likewise. Raises Invalid where a step is so fine that more than 200,000
    points are left.
    """

    def thinned(whole: Series) -> Series:
        if step_seconds is None:
            return downsample(whole, MOST_SHOWN)
        return downsample_by_step(whole, max(round(step_seconds * 1000), 1))

    values = thinned(series)
    if len(values) > MOST_RAW:
        raise Invalid(
            f"A reply has at most {MOST_RAW:,} points: ask for a coarser resolution.",
            fields={"resolution": "too fine for this window"},
        )
    return SeriesWindow(
        values=values,
        rates=None if rates is None else thinned(rates),
        step_seconds=(step_seconds or _stretch_seconds(series))
        if len(values) < len(series)
        else None,
    )


def _stretch_seconds(series: Series) -> float:
    """Return the length of the intervals to which a chart's points are downsampled."""
    elapsed_ms = int(series.times[-1] - series.times[0])
    return round(elapsed_ms / stretches_of(MOST_SHOWN)) / 1000


def rate_of(series: Series) -> Series:
    """Return a counter's increase per second, with the judgements of each point."""
    by_second = rates(series.times, series.values)
    known = np.isfinite(by_second)
    return Series(series.times, by_second, series.judgements).of(known)


def rate_in(series: Series, from_ms: int) -> Series:
    """Return a counter's increase per second from this time on, using the points before it."""
    return since(rate_of(series), from_ms)


def since(series: Series, from_ms: int) -> Series:
    """Return the points from this time on."""
    return series.of(series.times >= from_ms)


def three_sigma(values: Float64s) -> tuple[Float64s, Float64s]:
    """Return, for each value, mean - 3 and + 3 standard deviations of all values up to it.

    The classical bounds, for comparison: they do not depend on the hour or the weekday. Where they
    are beyond what a number can hold they are infinite.
    """
    count = np.arange(1, len(values) + 1)
    with np.errstate(all="ignore"):
        # Between -1 and 1 no square is too large, and about the middle few digits are lost.
        scale = max(float(np.max(np.abs(values), initial=0.0)), np.finfo(np.float64).tiny)
        middle = float(np.mean(values / scale)) if len(values) else 0.0
        off = values / scale - middle
        means = np.cumsum(off) / count
        deviations = np.sqrt(np.maximum(np.cumsum(off * off) / count - means * means, 0.0))
        lowers = (means - 3 * deviations + middle) * scale
        uppers = (means + 3 * deviations + middle) * scale
    return lowers, uppers


def read_sparkline(
    points: PointStore, metric_id: int, from_ms: int, until_ms: int, most_points: int
) -> Series:
    """Return a window in a few of its own points, spikes kept.

    Of a window with more than 200,000 points only its begin is shown, for a small picture is not
    worth reading more.
    """
    series = points.read(metric_id, from_ms, until_ms, most_points=MOST_RAW)
    return downsample(series, most_points)

"""Reduce a series for a chart to the least and the greatest value of each interval."""

import numpy as np

from anomify.series import Int64s, Series

# From this many points on, the first and the last point are kept as well.
WITH_ENDS = 4


def downsample(series: Series, most_points: int) -> Series:
    """Return at most `most_points` of the series' points, in order of time, including spikes.

    The time between the first and the last point is divided into equal intervals; the points with
    the least and the greatest value of each are kept with their judgements. The first and the last
    point are kept if `most_points` is at least four. A shorter series is returned unchanged.
    """
    if most_points < 1:
        raise ValueError(f"a series cannot have {most_points} points")
    if len(series) <= most_points:
        return series
    if most_points == 1:
        greatest = int(np.argmax(np.nan_to_num(series.values, nan=-np.inf)))
        return series.of(np.array([greatest]))
    ends = np.array([0, len(series) - 1]) if most_points >= WITH_ENDS else np.empty(0, np.int64)
    extremes = _extremes(series, stretches_of(most_points))
    return series.of(np.union1d(extremes, ends))


def stretches_of(most_points: int) -> int:
    """Return the number of intervals that `downsample` uses for this many points."""
    return (most_points - (2 if most_points >= WITH_ENDS else 0)) // 2


def _extremes(series: Series, stretches: int) -> Int64s:
    # In floats: the span of two times times a number of stretches may not fit into an int64.
    elapsed = (series.times - series.times[0]).astype(np.float64)
    stretch = np.minimum(elapsed / elapsed[-1] * stretches, stretches - 1).astype(np.int64)
    starts = np.flatnonzero(np.append(True, stretch[1:] != stretch[:-1]))
    return np.concatenate([_first_at(series, starts, np.fmin), _first_at(series, starts, np.fmax)])


def _first_at(series: Series, starts: Int64s, extreme: np.ufunc) -> Int64s:
    """Return the row at which each interval first reaches its extreme."""
    counts = np.diff(np.append(starts, len(series)))
    reached = extreme.reduceat(series.values, starts)
    rows = np.flatnonzero(series.values == np.repeat(reached, counts))
    stretch_of_row = np.searchsorted(starts, rows, side="right")
    # An interval without numbers has no extreme.
    is_first = np.append(True, stretch_of_row[1:] != stretch_of_row[:-1])[: len(rows)]
    firsts: Int64s = rows[is_first]
    return firsts


def downsample_by_step(series: Series, step_ms: int) -> Series:
    """Return the least and the greatest point of each step, aligned to the unix epoch."""
    if not len(series):
        return series
    step = series.times // step_ms
    starts = np.flatnonzero(np.append(True, step[1:] != step[:-1]))
    least = _first_at(series, starts, np.fmin)
    return series.of(np.union1d(least, _first_at(series, starts, np.fmax)))

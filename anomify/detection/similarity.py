"""Compares shapes: distances of z-normalised stretches of points, and the areas below them.

The distance of one stretch to every stretch of a series is computed by the fast Fourier transform,
as in MASS (A. Mueen et al., "The Fastest Similarity Search Algorithm for Time Series Subsequences
under Euclidean Distance", 2017). A distance is the root mean square of the differences after
z-normalisation, so it does not grow with the length: 0 for equal shapes, the square root of 2 for
unrelated ones, 2 for opposite ones.

Rules: a constant stretch (without variation up to rounding) has a shape of its own, at distance 0
from another constant one and 1 from all others. NaN is a gap. Two stretches are compared at the
points that both have; if these are fewer than half of the points of the one with fewer, they are
not comparable, which is the distance infinity. In a search over a series neither the query nor the
stretch may have a gap.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.series import Bools, Float64s, Int64s

UNRELATED: Final = math.sqrt(2.0)
"""The expected distance of two shapes that have nothing in common."""

LEAST_SHARE: Final = 0.5
"""Two stretches are compared if they share at least this part of the points of the shorter."""

CONSTANT_SHARE: Final = 1e-7
"""A stretch is constant if its standard deviation is at most this share of its largest value."""

MOTIF_MINUTES: Final = (1440, 720, 360, 180, 60, 30)
"""The lengths for which `find_motif` searches; Skyline's, and two shorter ones."""

MOTIF_POINTS: Final = (12, 360)
"""The fewest and the most points of a stretch that is searched for."""

_FILL_STEPS: Final = 2.5  # points that are farther apart have a gap between them


# --- two stretches of equal length ---


def z_normalised(values: Float64s) -> Float64s:
    """Return the values with mean 0 and standard deviation 1; all 0 for a constant stretch.

    NaN stays NaN.

    >>> z_normalised(np.array([1.0, 2.0, 3.0])).round(3).tolist()
    [-1.225, 0.0, 1.225]
    """
    known = np.isfinite(values)
    result = np.full(len(values), np.nan)
    if not known.any():
        return result
    largest = float(np.abs(values[known]).max())
    # Scaled first, so that squares of very large or small values are finite.
    scaled = values[known] / largest if largest > 0.0 else values[known]
    centred = scaled - scaled.mean()
    deviation = float(np.sqrt(np.mean(centred**2)))
    result[known] = 0.0 if deviation <= CONSTANT_SHARE else centred / deviation
    return result


def shape_distances(
    query: Float64s, stretches: Float64s, noise: float, noises: Float64s
) -> Float64s:
    """Return the distance of the query to each of some stretches, as if none of them had noise.

    `query` float64 (m,) and `stretches` float64 (n, m); `noise` and `noises` float64 (n,) are the
    standard deviations of their noise. Returns float64 (n,). The correlation of two noisy shapes is
    lower than that of the shapes: it is corrected for attenuation (C. Spearman, "The Proof and
    Measurement of Association between Two Things", 1904), by dividing the covariance by the
    standard deviations that are left without noise. Of a stretch that varies no more than its
    noise, no shape is known: it counts as constant.

    >>> rows = np.array([[10.0, 20.0, 30.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0]])
    >>> shape_distances(np.array([1.0, 2.0, 3.0]), rows, 0.0, np.zeros(3)).round(3).tolist()
    [0.0, 2.0, 1.0]
    """
    both = np.isfinite(stretches) & np.isfinite(query)
    counts = both.sum(axis=1)
    left, left_scale = _centred(np.broadcast_to(query, stretches.shape), both)
    right, right_scale = _centred(stretches, both)
    safe = np.maximum(counts, 1)
    left_variance = np.square(left).sum(axis=1) / safe
    right_variance = np.square(right).sum(axis=1) / safe
    left_variance = _without_noise(left_variance, noise / left_scale)
    right_variance = _without_noise(right_variance, noises / right_scale)
    covariance = (left * right).sum(axis=1) / safe
    is_left_constant, is_right_constant = left_variance == 0.0, right_variance == 0.0
    deviations = np.sqrt(left_variance) * np.sqrt(right_variance)
    squares = 2.0 - 2.0 * covariance / np.where(deviations > 0.0, deviations, 1.0)
    squares[is_left_constant != is_right_constant] = 1.0
    squares[is_left_constant & is_right_constant] = 0.0
    fewer = np.minimum(np.isfinite(stretches).sum(axis=1), np.isfinite(query).sum())
    squares[(counts == 0) | (counts < LEAST_SHARE * fewer)] = np.inf
    distances: Float64s = np.sqrt(np.maximum(squares, 0.0))
    distances[np.isfinite(distances)] = np.minimum(distances[np.isfinite(distances)], 2.0)
    return distances


def _centred(rows: Float64s, both: Bools) -> tuple[Float64s, Float64s]:
    """Return rows with mean 0 and largest size about 1, 0 where not compared, and their scales."""
    scales = np.abs(rows).max(axis=1, initial=0.0, where=both)
    scales[scales == 0.0] = 1.0
    scaled = np.where(both, rows / scales[:, None], 0.0)
    means = scaled.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    return np.where(both, scaled - means[:, None], 0.0), scales


def _without_noise(variances: Float64s, noise: Float64s | float) -> Float64s:
    """Return what is left of variances, 0 for those of constant rows."""
    left = np.maximum(variances - np.square(noise), 0.0)
    left[variances <= CONSTANT_SHARE**2] = 0.0
    return left


def area_percent_diff(first: Float64s, second: Float64s) -> float:
    """Return by how much the first area differs from the second, in percent of the larger.

    The values are distances from a common line at equal steps, with signs; NaN counts as 0.

    >>> area_percent_diff(np.array([0.0, 3.0, 3.0]), np.array([0.0, 4.0, 4.0]))
    -25.0
    """
    one, other = float(np.nansum(np.abs(first))), float(np.nansum(np.abs(second)))
    larger = max(one, other)
    return 100.0 * (one - other) / larger if larger > 0.0 else 0.0


# --- one stretch in a series ---


def motif_distances(query: Float64s, series: Float64s) -> Float64s:
    """Return the distance of the query to each stretch of the series of its length.

    `query` float64 (m,), `series` float64 (n,); returns float64 (n - m + 1,), empty where m > n or
    m is 0. Row i is the distance to `series[i : i + m]`, infinite where either has a gap.

    >>> motif_distances(np.array([0.0, 1.0, 0.0]), np.array([5.0, 5.0, 7.0, 5.0])).round(3).tolist()
    [1.732, 0.0]
    """
    size, count = len(query), len(series)
    if size == 0 or size > count:
        return np.empty(0)
    known = np.isfinite(series)
    has_gap = np.lib.stride_tricks.sliding_window_view(~known, size).any(axis=1)
    if not np.isfinite(query).all() or has_gap.all():
        return np.full(count - size + 1, np.inf)
    shape = z_normalised(query)
    filled = np.where(known, series, 0.0)
    stretches = np.lib.stride_tricks.sliding_window_view(filled, size)
    largest = np.abs(stretches).max(axis=1)
    scale = float(largest.max()) or 1.0
    deviations = stretches.std(axis=1)
    is_constant = deviations <= CONSTANT_SHARE * largest
    # The shape has mean 0, so that the means of the stretches drop out of the products. Centred
    # and scaled all the same: the transform's error is in proportion to the largest value.
    centred = np.where(known, (series - filled[known].mean()) / scale, 0.0)
    length = 1 << (count + size - 1).bit_length()
    spectrum = np.fft.rfft(centred, length) * np.fft.rfft(shape[::-1], length)
    products = np.fft.irfft(spectrum, length)[size - 1 : count]
    correlations = products / (size * np.where(is_constant, 1.0, deviations / scale))
    squares = np.clip(2.0 - 2.0 * correlations, 0.0, 4.0)
    if shape.any():
        squares[is_constant] = 1.0
    else:
        squares = np.where(is_constant, 0.0, 1.0)
    squares[has_gap] = np.inf
    distances: Float64s = np.sqrt(squares)
    return distances


@dataclass(frozen=True, slots=True)
class Motif:
    """The stretch of a pattern's window that is most like the newest points of a series.

    `started_ms` is its first time, `step_ms` the step of the compared points, `size` their number
    and `distance` that of the shapes; `index` is the row of the window at which it begins.
    `area_percent_diff` compares the areas above the lowest value of both. `is_within` is False
    where a value lies outside of the motif's values by more than a tenth of their range.
    """

    index: int
    size: int
    started_ms: int
    step_ms: int
    distance: float
    area_percent_diff: float
    is_within: bool


def find_motif(
    times: Int64s, values: Float64s, window_times: Int64s, window_values: Float64s, step_ms: int
) -> Motif | None:
    """Return the stretch of the window that is most like the newest points, at any resolution.

    `times` int64 unix milliseconds and `values` float64 are the points up to the newest, and
    `window_*` those of the pattern's window. `step_ms` is the usual time between two points, of the
    one that has fewer. Stretches of each of `MOTIF_MINUTES` are searched for that both have; longer
    ones are rescaled to at most `MOTIF_POINTS`. None where nothing is comparable.

    >>> minutes = np.arange(600) * 60_000
    >>> wave = np.sin(np.arange(600) / 20.0)
    >>> found = find_motif(minutes[:200], wave[:200], minutes, 3.0 + wave, 60_000)
    >>> found.index, found.size, round(found.distance, 3)
    (20, 180, 0.0)
    """
    best: Motif | None = None
    for minutes in MOTIF_MINUTES:
        length_ms = minutes * 60_000
        step = max(step_ms, -(-length_ms // MOTIF_POINTS[1]))
        size = length_ms // step
        if size < MOTIF_POINTS[0] or not len(times) or not len(window_times):
            continue
        query = on_grid(times, values, int(times[-1]) - (size - 1) * step, step, size)
        begin = int(window_times[0])
        count = (int(window_times[-1]) - begin) // step + 1
        window = on_grid(window_times, window_values, begin, step, count)
        distances = motif_distances(query, window)
        if not np.isfinite(distances).any():
            continue
        place = int(np.argmin(distances))
        if best is not None and distances[place] >= best.distance:
            continue
        stretch = window[place : place + size]
        started_ms = begin + place * step
        lowest = min(float(query.min()), float(stretch.min()))
        slack = 0.1 * float(np.ptp(stretch))
        within = (query >= stretch.min() - slack) & (query <= stretch.max() + slack)
        best = Motif(
            index=int(np.searchsorted(window_times, started_ms)),
            size=size,
            started_ms=started_ms,
            step_ms=step,
            distance=float(distances[place]),
            area_percent_diff=area_percent_diff(query - lowest, stretch - lowest),
            is_within=bool(within.all()),
        )
    return best


def on_grid(times: Int64s, values: Float64s, begin: int, step_ms: int, count: int) -> Float64s:
    """Return the values at `count` times from `begin` on, a step apart, float64 (count,).

    Between two points the value is interpolated, unless they are more than two and a half steps
    apart. There, and before the first and after the last point, it is NaN. Where the points are
    denser than the grid, the nearest two are used.

    >>> on_grid(np.array([0, 10, 20, 60]), np.array([1.0, 2.0, 3.0, 7.0]), -5, 5, 7).tolist()
    [nan, 1.0, 1.5, 2.0, 2.5, 3.0, nan]
    """
    known = np.isfinite(values)
    times, values = times[known], values[known]
    grid = begin + np.arange(count) * step_ms
    if not len(times):
        return np.full(count, np.nan)
    result: Float64s = np.interp(grid, times, values, left=np.nan, right=np.nan)
    if len(times) > 1:
        own_step = float(np.median(np.diff(times)))
        after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
        is_gap = times[after] - times[after - 1] > _FILL_STEPS * max(step_ms, own_step)
        result[is_gap & (times[after] != grid) & (times[after - 1] != grid)] = np.nan
    return result

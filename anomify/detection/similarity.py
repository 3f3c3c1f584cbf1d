"""Compares shapes: distances of z-normalised stretches of points, and the areas below them.

The distance of one stretch to every stretch of a series is computed by the fast Fourier transform,
as in MASS (A. Mueen et al., "The Fastest Similarity Search Algorithm for Time Series Subsequences
under Euclidean Distance", 2017). Distances are root mean squares, so they do not grow with the
length: 0 for equal shapes, 1.41 for unrelated ones, at most 2.

Rules: a stretch without variation (up to rounding) has a shape of its own: its distance is 0 to
another such stretch and 1 to any other. NaN is a gap: two stretches are compared at the points that
both have, and are not comparable (infinitely far apart) if these are fewer than half. In a search
over a series, a stretch with a gap is not comparable.
"""

from typing import Final

import numpy as np

from anomify.series import Bools, Float64s

UNRELATED: Final = 1.4142135623730951
"""The expected distance of two shapes that have nothing in common."""

LEAST_SHARE: Final = 0.5
"""Two stretches are compared if they share at least this part of their points."""

CONSTANT_SHARE: Final = 1e-8
"""A stretch is constant if its standard deviation is at most this share of its largest value."""


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


def shape_distance(first: Float64s, second: Float64s) -> float:
    """Return the distance of two stretches of equal length, 0 to 2, or infinity.

    >>> shape_distance(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]))
    0.0
    >>> round(shape_distance(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])), 3)
    2.0
    """
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < max(LEAST_SHARE * len(first), 1):
        return float("inf")
    left, right = z_normalised(first[both]), z_normalised(second[both])
    return float(np.sqrt(np.mean((left - right) ** 2)))


def motif_distances(query: Float64s, series: Float64s) -> Float64s:
    """Return the distance of the query to each stretch of the series of its length.

    `query` float64 (m,), `series` float64 (n,); returns float64 (n - m + 1,), empty where m > n.
    Row i is the distance to `series[i : i + m]`, infinite where either has a gap.

    >>> motif_distances(np.array([0.0, 1.0, 0.0]), np.array([5.0, 5.0, 7.0, 5.0])).round(3).tolist()
    [1.732, 0.0]
    """
    size, count = len(query), len(series)
    if size == 0 or size > count:
        return np.empty(0)
    if not np.isfinite(query).all():
        return np.full(count - size + 1, np.inf)
    known = np.isfinite(series)
    shape = z_normalised(query)
    deviations, constant = _moving(np.where(known, series, 0.0), size)
    has_gap = np.convolve(~known, np.ones(size, np.int64), "valid") > 0
    # The shape has mean 0, so the mean of the stretch drops out of the product.
    filled = np.where(known, series, 0.0)
    centre = float(filled.mean())
    length = 1 << (count + size - 1).bit_length()
    spectrum = np.fft.rfft(filled - centre, length) * np.fft.rfft(shape[::-1], length)
    products = np.fft.irfft(spectrum, length)[size - 1 : count]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = products / (size * deviations)
    squares = np.clip(2.0 * (1.0 - correlations), 0.0, 4.0)
    is_constant_query = not shape.any()
    squares[constant] = 0.0 if is_constant_query else 1.0
    if is_constant_query:
        squares[~constant] = 1.0
    squares[has_gap] = np.inf
    return np.sqrt(squares)


def _moving(values: Float64s, size: int) -> tuple[Float64s, Bools]:
    """Return the standard deviation and the constancy of each stretch of `size` values."""
    stretches = np.lib.stride_tricks.sliding_window_view(values, size)
    deviations = stretches.std(axis=1)
    constant = deviations <= CONSTANT_SHARE * np.abs(stretches).max(axis=1)
    return deviations, constant

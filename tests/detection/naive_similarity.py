"""Plain second implementations of the distances of shapes, one pair of points after the other."""

import math

CONSTANT_SHARE = 1e-7


def is_known(value):
    return not (math.isnan(value) or math.isinf(value))


def mean(values):
    return math.fsum(values) / len(values)


def scaled(values):
    """Return the values divided by the largest size, so that squares are finite."""
    largest = max(map(abs, values))
    return [value / largest for value in values] if largest > 0 else values, largest or 1.0


def shape_distance(query, stretch, noise=0.0, other_noise=0.0):
    """Return the distance of two stretches at the points that both have, without their noise."""
    pairs = [(a, b) for a, b in zip(query, stretch, strict=True) if is_known(a) and is_known(b)]
    fewer = min(sum(map(is_known, query)), sum(map(is_known, stretch)))
    if not pairs or len(pairs) < 0.5 * fewer:
        return math.inf
    first, first_scale = scaled([a for a, _ in pairs])
    second, second_scale = scaled([b for _, b in pairs])
    first_mean, second_mean = mean(first), mean(second)
    first_left = variance_left(first, first_mean, noise / first_scale)
    second_left = variance_left(second, second_mean, other_noise / second_scale)
    if first_left == 0 or second_left == 0:
        return 0.0 if first_left == second_left else 1.0
    products = [(a - first_mean) * (b - second_mean) for a, b in zip(first, second, strict=True)]
    correlation = mean(products) / math.sqrt(first_left) / math.sqrt(second_left)
    return min(math.sqrt(max(2.0 - 2.0 * correlation, 0.0)), 2.0)


def variance_left(values, middle, noise):
    variance = mean([(value - middle) ** 2 for value in values])
    return 0.0 if variance <= CONSTANT_SHARE**2 else max(variance - noise**2, 0.0)


def motif_distances(query, series):
    """Return the distance of the query to each stretch of its length, infinity at gaps."""
    size = len(query)
    if size == 0 or size > len(series):
        return []
    return [
        shape_distance(query, series[first : first + size])
        if all(map(is_known, [*query, *series[first : first + size]]))
        else math.inf
        for first in range(len(series) - size + 1)
    ]

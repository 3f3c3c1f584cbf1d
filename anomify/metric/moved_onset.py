"""Since when a metric has moved, from its points around the first unusual one. Pure."""

from statistics import NormalDist
from typing import Final

import numpy as np

from anomify.series import Float64s, Int64s

# A move is looked for so long before the first unusual point, and the usual values before that.
EARLIER_MS: Final = 15 * 60_000
LATER_MS: Final = 8 * 60_000
USUAL_BEFORE_MS: Final = 2 * 3_600_000
SEARCHED_BEFORE_MS: Final = EARLIER_MS + USUAL_BEFORE_MS
# With fewer usual points, or more points in which to look, nothing is searched.
LEAST_USUAL: Final = 20
MOST_SEARCHED: Final = 120
# A deviation counts up to so many standard deviations: a single high point is no proof for the ones
# beside it.
MOST_DEVIATION: Final = 8.0
# How much likelier a ramp or a change of the noise has to be than a step, which is simpler.
RAMP_PENALTY: Final = 2.0
NOISE_PENALTY: Final = 4.0
# An earlier begin is searched for only where the later points prove that the metric moved at all.
LEAST_PROOF: Final = 6.0
# The first point of a move deviates by this itself.
LEAST_BEGIN: Final = 1.5
LEAST_EQUAL: Final = 3
LEAST_RAMP: Final = 3
# What each of the equal values proves.
PROOF_OF_EQUAL: Final = 5.0
# A begin has to be that much better than a later one: usual noise may fit by chance.
EARLIER_PENALTY: Final = 3.0

_QUANTILES: Final = np.array([NormalDist().inv_cdf((k + 0.5) / 1000) for k in range(1000)])


def onset_of(times: Int64s, values: Float64s, first_ms: int) -> tuple[int, float]:
    """Return when the move began that was found at `first_ms`, and how far its points prove it.

    The proof is the logarithm of a likelihood ratio; where it is small the time is `first_ms`.

    `times` int64 (n,) and `values` float64 (n,) are a metric's points, in order. It is the begin of
    the step, the ramp, the change of the noise or the stretch of equal values that explains the
    points around `first_ms` best, if the two hours before are usual.

    >>> minutes = np.arange(120)
    >>> values = np.sin(minutes * 2.4) + np.where(minutes >= 100, 5.0, 0.0)
    >>> onset_of(minutes * 60_000, values, 104 * 60_000)[0] // 60_000
    100
    """
    a, b, c = np.searchsorted(
        times, (first_ms - EARLIER_MS - USUAL_BEFORE_MS, first_ms - EARLIER_MS, first_ms)
    )
    d = int(np.searchsorted(times, first_ms + LATER_MS, side="right"))
    if b - a < LEAST_USUAL or not 0 < d - b <= MOST_SEARCHED or c >= d:
        return first_ms, 0.0
    equal = _equal_since(values[a:d], int(b - a), int(c - a))
    if equal is not None:
        return int(times[a + equal]), PROOF_OF_EQUAL * (d - a - equal)
    deviations = _deviations(times[a:d], values[a:d], int(b - a))
    start, proof = _best_start(deviations, int(c - b))
    return first_ms if start is None else int(times[b + start]), proof


def _equal_since(values: Float64s, begin: int, first: int) -> int | None:
    """Return where a stretch of equal values around `first` began that is new; None without one."""
    for place in (first, len(values) - 1):
        value = values[place]
        differs = np.flatnonzero(values[:place] != value)
        start = int(differs[-1]) + 1 if len(differs) else 0
        if (
            place - start + 1 >= LEAST_EQUAL
            and begin <= start <= first
            and not np.any(values[:begin] == value)
        ):
            return start
    return None


def _deviations(times: Int64s, values: Float64s, count: int) -> Float64s:
    """Return how far the points after the first `count` ones deviate, in standard deviations.

    Within what those first ones reached it is the quantile of a normal distribution, so that tails
    count by how seldom they are, and beyond it grows with the distance.
    """
    x = (times - times[count]) / 60_000.0
    # The line through the medians of the outer thirds is the trend of the hours before.
    third = count // 3
    ends = [slice(0, third), slice(count - third, count)]
    (x0, y0), (x1, y1) = [(np.median(x[each]), np.median(values[each])) for each in ends]
    line = y0 + (y1 - y0) / (x1 - x0) * (x - x0)
    rest = values - line
    usual = np.sort(rest[:count])
    new = rest[count:]
    ranks = (np.searchsorted(usual, new, "left") + np.searchsorted(usual, new, "right")) / 2
    inner = _QUANTILES[np.clip(ranks / count * 1000, 0, 999).astype(np.int64)]
    largest = -_QUANTILES[int(500 / count)]
    inner = np.clip(inner, -largest, largest)
    middle = usual[count // 2]
    above = (new - usual[-1]) / max(usual[-1] - middle, 1e-12 * (1.0 + abs(middle)))
    below = (usual[0] - new) / max(middle - usual[0], 1e-12 * (1.0 + abs(middle)))
    beyond = np.maximum(above, 0.0) - np.maximum(below, 0.0)
    found: Float64s = np.clip(inner + largest * beyond, -MOST_DEVIATION, MOST_DEVIATION)
    return found


def _best_start(deviations: Float64s, first: int) -> tuple[int | None, float]:
    """Return where the change began that explains the deviations best, and the proof of it.

    It is not over before `first`, nor begins after it.
    """
    n = len(deviations)
    starts, ends = np.arange(n)[:, None], np.arange(n)[None, :]
    length = ends - starts + 1
    valid = (length >= 1) & (ends >= min(first, n - 1)) & (starts <= first)
    length = np.maximum(length, 1)

    def sums(x: Float64s) -> Float64s:
        total = np.concatenate([[0.0], np.cumsum(x)])
        between: Float64s = total[1:][None, :] - total[:-1][:, None]
        return between

    plain = sums(deviations)
    step = plain**2 / (2 * length)
    sloped = sums(deviations * np.arange(n)) - (starts - 1) * plain
    squares = length * (length + 1) * (2 * length + 1) / 6.0
    ramp = np.where(length >= LEAST_RAMP, sloped**2 / (2 * squares) - RAMP_PENALTY, -np.inf)
    mean = np.maximum(sums(deviations**2) / length, 1.0)
    noise = np.where(length > 1, length / 2 * (mean - 1.0 - np.log(mean)) - NOISE_PENALTY, -np.inf)
    best = np.where(valid, np.maximum(np.maximum(step, ramp), noise), -np.inf)
    of_starts = best.max(axis=1)
    of_starts = np.where(np.abs(deviations) >= LEAST_BEGIN, of_starts, -np.inf)
    gains = of_starts - EARLIER_PENALTY * np.sqrt(np.maximum(first - np.arange(n), 0))
    place = int(np.argmax(gains))
    if of_starts[place] < LEAST_PROOF:
        return None, max(float(of_starts.max()), 0.0)
    return place, float(of_starts[place])

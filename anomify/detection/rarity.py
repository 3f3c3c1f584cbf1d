"""Estimates the tail probability of a statistic from a streaming histogram with a fitted tail.

Source: A. Siffer, P.-A. Fouque, A. Termier and C. Largouët, "Anomaly Detection in Streams with
Extreme Value Theory" (SPOT), KDD 2017. Here the exceedances are kept in a histogram of fixed size
and the tail is a Pareto distribution with the slope of B. M. Hill, "A Simple General Approach to
Inference About the Tail of a Distribution", Annals of Statistics 3 (1975), so that a point costs
the same however many came before it.
"""

import math
from typing import Final

from anomify.detection.jit import Slot, compiled
from anomify.detection.state import TAIL_BINS, TAILS
from anomify.series import Float64s

_FIRST_EDGE: Final = 0.2
_LOG_RATIO: Final = math.log(1.2)
_TOP_SHARE: Final = 0.02  # the tail is fitted to the top two percent
_GROWTH: Final = 1.0001  # each point weighs so much more than the one before: 10,000 points' memory
_RENORMALISE: Final = 1e3
_ENOUGH: Final = 4.0  # exceedances at which empirical share and fitted tail weigh the same
_LEAST_MASS: Final = 1e-6
_MANY: Final = 200.0  # points from which two percent are at least that many


@compiled
def _bin(size: float) -> int:
    if size > _FIRST_EDGE:
        return min(TAIL_BINS - 1, int(math.log(size / _FIRST_EDGE) / _LOG_RATIO) + 1)
    return 0


@compiled
def rarity(histogram: Float64s, total: float, size: float, unit: float) -> float:
    """Return -log10 of the estimated probability of a statistic larger than `size`, 0 to 30.

    `histogram` float (TAIL_BINS,) holds the weights of the past statistics in log-spaced bins and
    `total` the weight of all of them, both signs; `size` is in robust scales. With more than about
    four larger statistics in the histogram the estimate is their share; with fewer it moves to the
    Pareto tail that is fitted to the top two percent, or to all beyond the first bin if these are
    fewer. With none the probability is one in the number of points; `unit` is the weight of one.

    >>> import numpy as np
    >>> seen = np.zeros(TAIL_BINS)
    >>> seen[:10] = 2.0 ** -np.arange(10.0)
    >>> rare, rarer = rarity(seen, seen.sum(), 1.0, 1.0), rarity(seen, seen.sum(), 2.0, 1.0)
    >>> 0.0 < rare < rarer < 30.0
    True
    """
    if total <= 0.0:
        return 0.0
    place = _bin(size)
    need = max(_TOP_SHARE * total, _ENOUGH if total > _MANY else _TOP_SHARE * total)
    mass = 0.0
    above = 0.0
    moment = 0.0
    first = 0  # the bin at which the tail begins
    for index in range(TAIL_BINS - 1, 0, -1):
        weight = histogram[index]
        if index == place:
            above = mass + 0.5 * weight
        if weight > 0.0:
            first = index
        mass += weight
        moment += weight * (index - 0.5) * _LOG_RATIO
        if mass >= need:
            break
    if mass < _LEAST_MASS:
        return math.log10(total / unit + 1.0) if place > 0 else 0.0
    edge = (first - 1) * _LOG_RATIO
    mean_excess = moment / mass - edge
    if first > place:
        above = mass
        for lower in range(first - 1, place, -1):
            above += histogram[lower]
        above += 0.5 * histogram[place]
    share = above / total
    log_size = math.log(max(size, 1e-12) / _FIRST_EDGE)
    slope = min(max(1.0 / max(mean_excess, 0.05), 1.5), 8.0)
    fitted = mass / total * math.exp(-slope * (log_size - edge)) if log_size > edge else share
    trust = above / (above + _ENOUGH)
    return -math.log10(max(trust * share + (1.0 - trust) * fitted, 1e-30))


@compiled
def learn_tail(slot: Slot, tail: int, sign: int, size: float) -> None:
    """Add a statistic of a sign (0 positive, 1 negative) to its histogram, with today's weight."""
    slot.tails[tail, sign, _bin(size)] += slot.tail_increment
    slot.tail_totals[tail] += slot.tail_increment


@compiled
def age_tails(slot: Slot) -> None:
    """Raise the weight of the next point, so that older ones weigh less; rescale now and then."""
    slot.tail_increment *= _GROWTH
    if slot.tail_increment > _RENORMALISE:
        shrink = 1.0 / slot.tail_increment
        for tail in range(TAILS):
            slot.tail_totals[tail] *= shrink
            for sign in range(2):
                for index in range(TAIL_BINS):
                    slot.tails[tail, sign, index] *= shrink
        slot.tail_increment = 1.0

"""How rare a statistic is: streaming histograms with a fitted tail, a constant-cost SPOT."""

import math
from typing import Final

from anomify.detection.jit import Slot, compiled
from anomify.detection.state import TAIL_BINS, TAILS
from anomify.series import Float64s

_FIRST_EDGE: Final = 0.2
_LOG_RATIO: Final = math.log(1.2)
_TOP_SHARE: Final = 0.02  # the tail is fitted to the top two percent
_GROWTH: Final = 1.0001  # newer points weigh more: a memory of 10,000
_RENORMALISE: Final = 1e3
_ENOUGH: Final = 4.0  # exceedances from which the plain share is trusted
_MANY: Final = 200.0  # points from which two percent are at least that many


@compiled
def _bin(size: float) -> int:
    if size > _FIRST_EDGE:
        return min(TAIL_BINS - 1, int(math.log(size / _FIRST_EDGE) / _LOG_RATIO) + 1)
    return 0


@compiled
def rarity(histogram: Float64s, total: float, size: float) -> float:
    """Return -log10 of the chance of a statistic larger than `size`.

    Where at least about four larger ones were seen it is their share, beyond that a Pareto tail
    with Hill's slope (Siffer et al. 2017, SPOT, without its refits).
    """
    if total <= 0.0:
        return 0.0
    place = _bin(size)
    need = max(_TOP_SHARE * total, _ENOUGH if total > _MANY else _TOP_SHARE * total)
    mass = 0.0
    above = 0.0
    moment = 0.0
    for index in range(TAIL_BINS - 1, -1, -1):
        if index == place:
            above = mass + 0.5 * histogram[index]
        mass += histogram[index]
        moment += histogram[index] * (index - 0.5) * _LOG_RATIO
        if mass >= need:
            break
    else:
        return 0.0
    edge = (index - 1) * _LOG_RATIO
    mean_excess = moment / mass - edge
    if index > place:
        above = mass
        for lower in range(index - 1, place, -1):
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
    """Add a statistic to its histogram."""
    slot.tails[tail, sign, _bin(size)] += slot.tail_increment
    slot.tail_totals[tail] += slot.tail_increment


@compiled
def age_tails(slot: Slot) -> None:
    """Let older points weigh less, by letting newer ones weigh more."""
    slot.tail_increment *= _GROWTH
    if slot.tail_increment > _RENORMALISE:
        shrink = 1.0 / slot.tail_increment
        for tail in range(TAILS):
            slot.tail_totals[tail] *= shrink
            for sign in range(2):
                for index in range(TAIL_BINS):
                    slot.tails[tail, sign, index] *= shrink
        slot.tail_increment = 1.0

"""Sums up the alarm history of a slot: how often strong deviations came, and what is reported now.

This repeats the arithmetic of `alarm_history` in numpy, because the process that answers requests
does not load numba.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.detection.alarm_history_constants import (
    BIN,
    CAP_AT_ONE,
    CAP_SHARE,
    CAP_STEP,
    EPISODE_SECONDS,
    EPISODE_STEPS,
    EXPONENT,
    FADE,
    FEW,
    FULL_AGE_SECONDS,
    HALF_LIFE_SECONDS,
    LASTING,
    LASTING_SHARE,
    LEAST,
    LEAST_AGE_SHARE,
    MANY_LASTING,
    NEW_AMOUNT,
    NEW_SECONDS,
    POWER,
    SHORT,
    YOUNG_AMOUNT,
)
from anomify.detection.state import STRENGTH_BINS, YOUNG_SECONDS, EngineState
from anomify.detection.threshold import THRESHOLDS, Severity
from anomify.series import Float64s

# No stronger deviation is looked for; those of the engine stay below.
_MOST_STRENGTH: Final = 100.0
_PRECISION: Final = 0.005
# A smaller difference from the usual strength is not mentioned.
NOTICED: Final = 0.1


@dataclass(frozen=True, slots=True)
class AlarmHistorySummary:
    """How often strong deviations of a metric came, and from which strength one is reported now.

    `seen` holds for each severity how many deviations were at least as strong as its threshold,
    reported or not. Each counts for half after two weeks, so that at a steady rate the sum is the
    number of about three weeks. `usual_from` is the strength from which a deviation is reported if
    the metric is not new and has no such history. `up_from` and `down_from` are the strengths from
    which a single point of this metric is reported; None where none is, however strong.
    """

    seen: dict[Severity, float]
    usual_from: float
    up_from: float | None
    down_from: float | None

    @property
    def is_lowered(self) -> bool:
        """Return whether any deviation has to be stronger than usual to be reported."""
        return any(
            strength is None or strength > self.usual_from + NOTICED
            for strength in (self.up_from, self.down_from)
        )


def summarise_alarm_history(state: EngineState, slot: int, seconds: float) -> AlarmHistorySummary:
    """Return the summary of one slot at a moment in unix seconds, not before its newest point.

    >>> summarise_alarm_history(EngineState.new(1), 0, 0.0).seen
    {<Severity.LOW: 1>: 0.0, <Severity.MEDIUM: 2>: 0.0, <Severity.HIGH: 3>: 0.0}
    """
    row = state.slots[slot]
    counts = row["history"].astype(np.float64)
    decayed = counts * _share_left(seconds - float(row["history_seconds"]))
    seen = decayed.copy()
    since_episode = seconds - float(row["episode_end"])
    if row["episode_peak"] > 0.0:
        # The engine counts the newest episode when the next one begins, and in full.
        place = row["episode_sign"], row["episode_kind"], _bin(float(row["episode_peak"]))
        decayed[place] += 1.0
        seen[place] += _share_left(since_episode)
    wait = max(EPISODE_SECONDS, EPISODE_STEPS * float(row["resolution"]) / 1000.0)
    compared = decayed if since_episode > wait else counts
    usual = float(row["set_threshold"]) or THRESHOLDS[Severity.LOW]
    age = seconds - float(row["first_seconds"])
    up_from, down_from = (_reported_from(compared[sign], age, usual) for sign in range(2))
    return AlarmHistorySummary(
        seen={
            severity: float(seen[:, :, _bin(threshold - 0.5 * BIN) :].sum())
            for severity, threshold in THRESHOLDS.items()
        },
        usual_from=usual,
        up_from=up_from,
        down_from=down_from,
    )


def lowered(counts: Float64s, strength: float, age: float, kind: int = SHORT) -> float:
    """Return the strength of a deviation, lowered by history and age as `lower_by_history` does.

    `counts` float64 (2, STRENGTH_BINS) are the episodes of its direction, by kind and strength;
    `age` is that of the metric in seconds.
    """
    first = _bin(strength - 0.5 * BIN)
    bins = np.arange(STRENGTH_BINS)
    shares = np.where(bins >= first, 1.0, np.exp((bins - first) * BIN / FADE))
    same = float((shares * counts[kind]).sum())
    if kind == SHORT:
        lasting = float((shares * counts[LASTING]).sum())
        same += LASTING_SHARE * max(0.0, lasting - MANY_LASTING)
    same /= max(LEAST_AGE_SHARE, min(1.0, age / FULL_AGE_SECONDS))
    result = strength
    if same > 0.0:
        result = min(result, CAP_AT_ONE - CAP_STEP * math.log(CAP_SHARE[kind] * same))
        result *= (1.0 + (same / FEW[kind]) ** POWER[kind]) ** -EXPONENT
    result -= YOUNG_AMOUNT * max(0.0, 1.0 - age / YOUNG_SECONDS)
    result -= NEW_AMOUNT * max(0.0, 1.0 - age / NEW_SECONDS)
    return result


def _reported_from(counts: Float64s, age: float, least: float) -> float | None:
    """Return the least strength of which so much is left; None where that is too little of any."""
    low, high = least, _MOST_STRENGTH
    if lowered(counts, low, age) >= least:
        return least
    if lowered(counts, high, age) < least:
        return None
    # A stronger deviation has fewer equals: what is left of it increases with its strength.
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if lowered(counts, middle, age) >= least else (middle, high)
    return high


def _share_left(seconds: float) -> float:
    return float(0.5 ** (max(seconds, 0.0) / HALF_LIFE_SECONDS))


def _bin(strength: float) -> int:
    return min(max(int((strength - LEAST) / BIN), 0), STRENGTH_BINS - 1)

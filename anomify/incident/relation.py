"""Whether two anomalies belong to one incident: by time, by name and labels, and by correlation."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from anomify.metric.folding import fold
from anomify.metric.name import words
from anomify.series import Series

# Onsets so close are one event if few anomalies begin anyway; metrics with longer steps have two.
TOGETHER_MS: Final = 120_000
TOGETHER_STEPS: Final = 2
# Onsets so close are one event if the names are alike or the series move together.
NEAR_MS: Final = 600_000
# That many anomalies of the org may be expected by chance in the time that counts as together;
# with more, time alone does not relate two anomalies.
CHANCE_MAX: Final = 0.1
# The least likeness() of names that are alike.
ALIKE_LEAST: Final = 0.5
CORRELATION_LEAST: Final = 0.8
CORRELATED_POINTS_LEAST: Final = 20
# The most points of a series that are compared.
CORRELATED_POINTS_MOST: Final = 240


@dataclass(frozen=True, slots=True)
class AnomalyOnset:
    """Where and when an anomaly began."""

    anomaly_id: int
    metric_id: int
    name: str
    started_ms: int
    step_ms: int


def are_together(one: AnomalyOnset, other: AnomalyOnset) -> bool:
    """Return whether two anomalies began at the same time, as well as their points can tell."""
    within = max(TOGETHER_MS, TOGETHER_STEPS * max(one.step_ms, other.step_ms))
    return abs(one.started_ms - other.started_ms) <= within


def are_near(one: AnomalyOnset, other: AnomalyOnset) -> bool:
    """Return whether two anomalies began so shortly after each other that one may be the cause."""
    within = max(NEAR_MS, TOGETHER_STEPS * max(one.step_ms, other.step_ms))
    return abs(one.started_ms - other.started_ms) <= within


def likeness(one: str, other: str) -> float:
    """Return how many of the words and label values of two metric names are common, 0 to 1.

    It is the coefficient of Dice: twice the common ones by the number of both.

    >>> likeness('load{host="a"}', 'errors{host="a"}')
    0.5
    >>> likeness("shop.web.requests", "bank.db.locks")
    0.0
    """
    ours, theirs = _words(one), _words(other)
    both = len(ours) + len(theirs)
    return 2 * len(ours & theirs) / both if both else 0.0


def correlation(one: Series, other: Series, step_ms: int) -> float:
    """Return how closely two series move together, 0 to 1; 0 where too few points are common.

    It is the absolute correlation coefficient of Pearson, of the last value before each moment of
    a grid of `step_ms`, over the time that both series have.
    """
    if len(one.times) < 2 or len(other.times) < 2:  # noqa: PLR2004 -- one point does not move
        return 0.0
    begin = max(int(one.times[0]), int(other.times[0]))
    end = min(int(one.times[-1]), int(other.times[-1]))
    grid = np.arange(end, begin - 1, -max(step_ms, 1))[:CORRELATED_POINTS_MOST]
    if len(grid) < CORRELATED_POINTS_LEAST:
        return 0.0
    ours, theirs = (
        each.values[np.searchsorted(each.times, grid, side="right") - 1] for each in (one, other)
    )
    spread = float(np.std(ours)) * float(np.std(theirs))
    if not np.isfinite(spread) or spread == 0:
        return 0.0
    return min(1.0, abs(float(np.mean((ours - ours.mean()) * (theirs - theirs.mean()))) / spread))


def first_mover(onsets: list[AnomalyOnset], alerts: dict[int, float]) -> AnomalyOnset:
    """Return the anomaly that most probably came first.

    That is the earliest; of those that the length of their steps does not tell apart, the one with
    the highest alert.
    """
    earliest = min(onsets, key=lambda onset: onset.started_ms)
    level = [
        onset
        for onset in onsets
        if onset.started_ms - earliest.started_ms < max(onset.step_ms, earliest.step_ms, 1)
    ]
    return max(level, key=lambda onset: (alerts.get(onset.anomaly_id, 0.0), -onset.anomaly_id))


@lru_cache(maxsize=4096)
def _words(name: str) -> frozenset[str]:
    return frozenset(map(fold, words(name)))

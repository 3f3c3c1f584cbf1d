"""Learns the weights of the novelty head and its threshold from NAB's development half.

NAB labels too few of its oddities to count false alarms by: the weights are learnt by its own
score, at the best threshold and around it.
"""

from collections.abc import Callable, Sequence

import nab
import numba
import numpy as np
from measured import FOLDS, Measured, fold_of

from anomify.detection import weights
from anomify.detection.detector import Head, judge
from anomify.detection.record_rule import novelty_alert
from anomify.detection.state import EngineState

FEATURES = (
    "LONG_SHIFT", "VALUE_RARITY", "NOVELTY", "FLATNESS", "SHORT_SHIFT_RARITY", "LONG_SHIFT_RARITY",
    "STEP_RARITY", "NOISE",
)  # fmt: skip
# The search ends where it begins to climb from: of several beginnings, the best end is taken.
STARTS = (
    (0.2, 0.2, 1.0, 0.3, 0.1, 0.3, 0.1, 0.0),
    (0.3, 0.3, 1.0, 0.3, 0.3, 0.3, 0.3, 0.3),
    (0.5, 0.1, 1.5, 0.5, 0.1, 0.2, 0.1, 0.1),
)
SUM = 3.0
NEARBY = 1.08  # thresholds within this factor of the best count too
LEAST_GAIN = 0.05  # of a score, for which a weight is changed

Weights = dict[str, float]


def shipped() -> tuple[Weights, float]:
    """Return the weights and the threshold of `anomify/detection/weights.py`."""
    return {name: getattr(weights, f"NEW_{name}") for name in FEATURES}, weights.NEW_THRESHOLD


def learn_novelty(group: Sequence[Measured]) -> tuple[Weights, float]:
    """Find the weights of the novelty head and its threshold."""
    prepared = nab.prepare([measured.series for measured in group])
    columns = [columns_of(measured) for measured in group]

    def quality(tried: np.ndarray) -> float:
        alerts = [alerts_of(*pair, tried) for pair in zip(group, columns, strict=True)]
        return float(np.mean([around_best(prepared, alerts, name) for name in nab.PROFILES]))

    ends = [climb(np.array(start), quality) for start in STARTS]
    chosen = max(ends, key=quality)
    chosen *= SUM / chosen.sum()
    found = {name: float(f"{value:.2g}") for name, value in zip(FEATURES, chosen, strict=True)}
    rounded = np.array(list(found.values()))
    alerts = [alerts_of(*pair, rounded) for pair in zip(group, columns, strict=True)]
    thresholds, scores = nab.scores(prepared, alerts, "standard")
    return found, float(f"{thresholds[np.argmax(scores)]:.3f}")


def climb(chosen: np.ndarray, quality: Callable[[np.ndarray], float]) -> np.ndarray:
    """Return weights found by changing one at a time while that helps, in ever smaller steps."""
    best, step = quality(chosen), 2.0
    while step > 1.15:
        improved = False
        for place in range(len(chosen)):
            here = chosen[place]
            for value in (here * step, here / step, 0.0) if here > 0.0 else (0.1, 0.3):
                tried = chosen.copy()
                tried[place] = value
                found = quality(tried)
                if found > best + LEAST_GAIN:
                    chosen, best, improved = tried, found, True
        step = step if improved else step**0.5
    return chosen


def around_best(prepared: nab.Prepared, alerts: Sequence[np.ndarray], profile: str) -> float:
    """Return the best score, half of it being that of thresholds nearby."""
    thresholds, scores = nab.scores(prepared, alerts, profile)
    place = int(np.argmax(scores))
    near = (thresholds <= thresholds[place] * NEARBY) & (thresholds >= thresholds[place] / NEARBY)
    levels = np.log(thresholds[near])[::-1]
    grid = np.linspace(levels[0], levels[-1], 15)
    return 0.5 * scores[place] + 0.5 * float(np.interp(grid, levels, scores[near][::-1]).mean())


def columns_of(measured: Measured) -> np.ndarray:
    """Return the features of the novelty head, a column each of the rows."""
    return np.stack([measured.column(name) for name in FEATURES]).astype(np.float64)


def alerts_of(measured: Measured, columns: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """Return the alerts of the novelty head, a row each of the series."""
    alerts = np.zeros(len(measured.series.times))
    alerts[measured.rows] = _alerts(EngineState.new(1).slots, tried @ columns)
    return alerts


@numba.njit
def _alerts(slots: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    slot = slots[0]
    alerts = np.zeros(len(strengths))
    for row in range(len(strengths)):
        alerts[row] = novelty_alert(slot, strengths[row])
    return alerts


def check_novelty(measured: Measured) -> None:
    """Raise AssertionError where the alerts computed here differ from those of the engine."""
    series = measured.series
    slots = np.zeros(len(series.times), np.int64)
    engine = judge(EngineState.new(1), slots, series.times * 1000, series.values, Head.NOVELTY)
    ours = alerts_of(measured, columns_of(measured), np.array(list(shipped()[0].values())))
    np.testing.assert_allclose(ours, engine.alerts, rtol=1e-3, atol=1e-3)


def report_folds(group: Sequence[Measured]) -> None:
    """Print the scores of weights on series that they were not learnt from, a quarter at a time."""
    report_novelty(
        "NAB dev out of fold", [fold_of(group, fold, learn_novelty) for fold in range(FOLDS)]
    )


def report_novelty(
    title: str, folds: Sequence[tuple[Sequence[Measured], tuple[Weights, float]]]
) -> None:
    """Print the scores of NAB at the threshold learnt with the weights, and at the best one."""
    everything, alerts = [], []
    for held, (tried, threshold) in folds:
        values = np.array([tried[name] for name in FEATURES])
        for measured in held:
            everything.append(measured.series)
            alerts.append(alerts_of(measured, columns_of(measured), values) / threshold)
    prepared = nab.prepare(everything)
    cells = []
    for profile in nab.PROFILES:
        thresholds, scores = nab.scores(prepared, alerts, profile)
        at_one = scores[np.flatnonzero(thresholds >= 1.0)[-1]]
        cells.append(f"{profile} {at_one:.1f} (best {scores.max():.1f})")
    print(f"{title:<28} " + ", ".join(cells), flush=True)

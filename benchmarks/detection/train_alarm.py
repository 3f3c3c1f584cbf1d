"""Searches the weights of the alarm head and of the display score on MSCLOUD and generated metrics.

What counts for the alarm is the share of incidents found at 1 and at 0.25 false alarms a
metric-week, half of it on MSCLOUD, half on generated metrics. What the display score adds to a
decaying alarm is judged by AP and VUS-PR on both.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from measured import FOLDS, Measured, fold_of
from protocol import count_alarms, rank_quality

from anomify.detection import ensemble, weights
from anomify.detection.alarm_history import lower_by_history
from anomify.detection.record_rule import alarm_alert
from anomify.detection.state import EngineState
from anomify.detection.threshold import FALSE_ALARMS_A_METRIC_WEEK, Severity, display_score

LEVELS = np.geomspace(3.0, 20.0, 60)  # thresholds tried
LEAST_GAIN = 0.001

ALARM_GRID = {
    "LEVEL_CHANGE": (0.25, 0.5, 1.0, 1.5),  # beside a JUMP of 1, as the next three
    "FAST_AT_HOUR": (0.0, 0.5, 1.0),
    "RELATIVE": (0.0, 0.3, 0.6),
    "NOVELTY": (0.0, 0.3, 0.6),
    "CONFIRMATION": (0.0, 0.2, 0.3, 0.5),
    "SHIFT_ALONE": (2.2, 2.8, 3.4),
}
# How much a feature usually is beside JUMP where an incident is: so much of the sum is kept the
# same whatever the weights, since what alarms alone, and the thresholds, are in its unit.
TYPICAL = {"LEVEL_CHANGE": 1.0, "FAST_AT_HOUR": 1.0, "RELATIVE": 0.5, "NOVELTY": 0.3}
TYPICAL_SUM = 2.24
SHOWN_GRID = {
    "SHOWN_VALUE": (0.0, 1.0, 2.0, 3.0, 4.0),
    "SHOWN_RELATIVE": (0.0, 0.5, 1.0, 1.5),
    "SHOWN_SHIFT": (0.0, 0.5, 1.0),
}

Weights = dict[str, float]


def shipped() -> Weights:
    """Return the weights of alarm and display of `anomify/detection/weights.py`."""
    return {name: getattr(weights, name) for name in ("JUMP", *ALARM_GRID, *SHOWN_GRID)}


@dataclass(frozen=True)
class Generated:
    """The generated metrics, by step, and what was already found of them."""

    groups: list[list[Measured]]
    remembered: dict[tuple[float, ...], float]

    def recall(self, tried: Weights) -> float:
        """Return the mean recall over the steps."""
        key = tuple(tried.values())
        if key not in self.remembered:
            found = [recall(group, tried) for group in self.groups]
            self.remembered[key] = float(np.mean(found))
        return self.remembered[key]


def learn_all(mscloud: Sequence[Measured], generated: Generated) -> Weights:
    """Find the weights of alarm and display."""
    alarm = learn_alarm(mscloud, generated)
    return alarm | learn_shown(mscloud, generated, alarm)


def search(grid: dict[str, tuple[float, ...]], quality: Callable[[Weights], float]) -> Weights:
    """Start from the middle of every row and change one weight at a time while that helps."""
    chosen = {name: choices[len(choices) // 2] for name, choices in grid.items()}
    best = quality(chosen)
    improved = True
    while improved:
        improved = False
        for name, choices in grid.items():
            for choice in choices:
                tried = chosen | {name: choice}
                found = quality(tried) if tried != chosen else 0.0
                if found > best + LEAST_GAIN:
                    chosen, best, improved = tried, found, True
    return chosen


# --- the alarm ---


def learn_alarm(mscloud: Sequence[Measured], generated: Generated) -> Weights:
    """Find the weights of the alarm head."""
    return scaled(
        search(
            ALARM_GRID,
            lambda tried: 0.5 * recall(mscloud, tried) + 0.5 * generated.recall(tried),
        )
    )


def scaled(tried: Weights) -> Weights:
    """Return the weights with the usual sum, and that of JUMP beside them."""
    if "JUMP" in tried:
        return tried
    scale = TYPICAL_SUM / (1.0 + sum(share * tried[name] for name, share in TYPICAL.items()))
    moving = {name: round(scale * tried[name], 2) for name in TYPICAL}
    return (
        {"JUMP": round(scale, 2)}
        | moving
        | {name: value for name, value in tried.items() if name not in TYPICAL}
    )


def recall(group: Sequence[Measured], tried: Weights) -> float:
    """Return the mean share of incidents found at 1 and at 0.25 false alarms a metric-week."""
    everything = [measured.series for measured in group]
    alerts = [alerts_of(measured, tried) for measured in group]
    shares = {1.0: 0.0, 0.25: 0.0}
    for level in LEVELS:
        counted = count_alarms(everything, alerts, level)
        for allowed, share in shares.items():
            if counted.rate <= allowed:
                shares[allowed] = max(share, counted.recall)
    return sum(shares.values()) / 2


def alerts_of(measured: Measured, tried: Weights) -> np.ndarray:
    """Return what the alarm head would raise, a row each of the series.

    The history and the record rule are the engine's own functions, called with the usual step of
    the series, where the engine has its estimate at that point.
    """
    series = measured.series
    alerts = np.zeros(len(series.times))
    alerts[measured.rows] = _alerts(
        EngineState.new(1).slots,
        float(series.times[np.isfinite(series.values)][0]),
        series.times[measured.rows].astype(np.float64),
        measured.gaps,
        strengths(measured, tried),
        measured.column("DEVIATION").astype(np.float64),
        float(series.step),
    )
    return alerts


@numba.njit
def _alerts(
    slots: np.ndarray,
    first_seconds: float,
    times: np.ndarray,
    gaps: np.ndarray,
    strength: np.ndarray,
    deviation: np.ndarray,
    step: float,
) -> np.ndarray:
    slot = slots[0]
    slot.first_seconds = first_seconds
    alerts = np.zeros(len(times))
    for row in range(len(times)):
        sign = 1 if deviation[row] < 0.0 else 0
        alert = lower_by_history(slot, strength[row], sign, times[row], gaps[row], step)
        alerts[row] = alarm_alert(slot, alert, deviation[row], gaps[row], step)
    return alerts


def strengths(measured: Measured, tried: Weights) -> np.ndarray:
    """Return the strengths for these weights, as `ensemble.alarm_strength` computes them."""
    of = measured.column
    tried = scaled(tried)
    is_moving = (of("NOVELTY") > 0.0) & (of("LONG_SHIFT") > ensemble.MOVING_LEVEL)
    moving = _weighted(measured, tried)
    is_beyond = (of("LEVEL_CHANGE") > ensemble.OUT_OF_RANGE) | (of("NOVELTY") > ensemble.FAR_BEYOND)
    beyond = (
        ensemble.BEYOND_VALUE * of("VALUE_SIZE")
        + ensemble.BEYOND_NOVELTY * of("NOVELTY")
        + ensemble.BEYOND_JUMP * of("JUMP")
    )
    moving = np.where(is_beyond | is_moving, np.maximum(moving, beyond), moving)
    moving = _limited(measured, moving)
    shifted = tried["SHIFT_ALONE"] * of("SHORT_SHIFT")
    is_sparse = of("REPEAT_SHARE") > ensemble.SPARSE
    limit = ensemble.SPARSE_RARITY * of("SHORT_SHIFT_RARITY")
    shifted = np.where(is_sparse, np.minimum(shifted, limit), shifted)
    is_shifted = of("SHORT_SHIFT") > ensemble.STILL_SHIFTED
    lasting = np.where(is_shifted, ensemble.LONG_SHIFT_ALONE * of("LONG_SHIFT"), 0.0)
    limit = ensemble.SPARSE_RARITY * of("LONG_SHIFT_RARITY")
    lasting = np.where(is_sparse, np.minimum(lasting, limit), lasting)
    rare = np.minimum(ensemble.RARITY_ALONE * of("FAST_RARITY"), ensemble.RARITY_MOST)
    strength: np.ndarray = np.maximum.reduce(
        (
            _confirmed(measured, tried, moving),
            shifted,
            np.where(is_sparse | (of("FAST_AT_HOUR") <= ensemble.RARE_FROM), 0.0, rare),
            ensemble.FLAT_ALONE * of("FLATNESS"),
            lasting,
            ensemble.TREND_ALONE * of("TREND"),
        )
    )
    return strength


def _weighted(measured: Measured, tried: Weights, prefix: str = "") -> np.ndarray:
    """Return the weighted sum of a point's features.

    The features that the display has of its own are those with the prefix "PLAIN_".
    """
    of = measured.column
    total: np.ndarray = (
        tried["JUMP"] * of(f"{prefix}JUMP")
        + tried["LEVEL_CHANGE"] * of(f"{prefix}LEVEL_CHANGE")
        + tried["FAST_AT_HOUR"] * of("FAST_AT_HOUR")
        + tried["RELATIVE"] * of(f"{prefix}RELATIVE")
        + tried["NOVELTY"] * of("NOVELTY")
    )
    return total


def _limited(measured: Measured, strength: np.ndarray) -> np.ndarray:
    """Return the strengths, limited by the rarity of the value where most points repeat."""
    limit = ensemble.SPARSE_RARITY * measured.column("VALUE_RARITY")
    is_sparse = measured.column("REPEAT_SHARE") > ensemble.SPARSE
    return np.where(is_sparse, np.minimum(strength, limit), strength)


def _confirmed(measured: Measured, tried: Weights, moving: np.ndarray) -> np.ndarray:
    """Return the strengths, to which a part of that of the point before is added."""
    before = np.append(0.0, moving[:-1])
    before[measured.gaps > ensemble.STALE_STEPS * measured.series.step] = 0.0
    return moving + tried["CONFIRMATION"] * before


# --- the display score ---


def learn_shown(mscloud: Sequence[Measured], generated: Generated, alarm: Weights) -> Weights:
    """Return the weights of what the display score adds to a decaying alarm."""
    groups = [[*mscloud], *[group[::4] for group in generated.groups]]
    parts = [[shown_parts(measured, alarm) for measured in group] for group in groups]

    def quality(tried: Weights) -> float:
        found = [
            np.mean(
                rank_quality(
                    [measured.series for measured in group],
                    [spread_out(*pair, tried) for pair in zip(group, made, strict=True)],
                )
            )
            for group, made in zip(groups, parts, strict=True)
        ]
        return float(0.5 * found[0] + 0.5 * np.mean(found[1:]))

    return search(SHOWN_GRID, quality)


def shown_parts(measured: Measured, alarm: Weights) -> np.ndarray:
    """Return the strengths, the decaying plain strengths and what may be added to them, as rows."""
    least = ensemble.DISPLAY_HALF_LIFE_STEPS * measured.series.step
    keep, smoothing = (
        np.exp(-math.log(2.0) * measured.gaps / max(half_life, least))
        for half_life in (ensemble.DISPLAY_HALF_LIFE_SECONDS, ensemble.SMOOTHING_HALF_LIFE_SECONDS)
    )
    plain = _limited(measured, _weighted(measured, alarm, "PLAIN_"))
    return np.stack(
        (
            strengths(measured, alarm),
            _decaying(keep, _confirmed(measured, alarm, plain)),
            _smoothed(smoothing, measured.column("VALUE_SIZE")),
            _smoothed(smoothing, measured.column("PLAIN_RELATIVE")),
            measured.column("SHORT_SHIFT").astype(np.float64),
        )
    )


def spread_out(measured: Measured, parts: np.ndarray, tried: Weights) -> np.ndarray:
    """Return the display strength, a row each of the series."""
    shown = np.zeros(len(measured.series.times))
    sums = np.array([1.0, *(tried[name] for name in SHOWN_GRID)]) @ parts[1:]
    shown[measured.rows] = np.maximum(parts[0], sums)
    return shown


@numba.njit
def _decaying(keep: np.ndarray, strength: np.ndarray) -> np.ndarray:
    shown = np.zeros(len(strength))
    peak = 0.0
    for row in range(len(strength)):
        peak = max(strength[row], keep[row] * peak)
        shown[row] = peak
    return shown


@numba.njit
def _smoothed(keep: np.ndarray, size: np.ndarray) -> np.ndarray:
    shown = np.zeros(len(size))
    mean = 0.0
    for row in range(len(size)):
        mean += (1.0 - keep[row]) * (size[row] - mean)
        shown[row] = mean
    return shown


# --- checks and reports ---


def check_alarm(measured: Measured) -> None:
    """Raise AssertionError where the strengths, alerts or scores here differ from the engine's."""
    rows, verdicts = measured.rows, measured.verdicts
    tried = shipped()
    shown = spread_out(measured, shown_parts(measured, tried), tried)
    for ours, engines in (
        (strengths(measured, tried), verdicts.strengths[rows]),
        (alerts_of(measured, tried)[rows], verdicts.alerts[rows]),
        (display_score(shown[rows]), verdicts.scores[rows]),
    ):
        np.testing.assert_allclose(ours, engines, rtol=1e-3, atol=1e-3)


def report_folds(mscloud: Sequence[Measured], generated: Generated) -> None:
    """Print the figures of weights on series that they were not learnt from."""
    folds = [
        fold_of(mscloud, fold, lambda rest: learn_all(rest, generated)) for fold in range(FOLDS)
    ]
    report_alarm("MSCLOUD out of fold", mscloud, folds, generated)


def report_alarm(
    title: str,
    group: Sequence[Measured],
    folds: Sequence[tuple[Sequence[Measured], Weights]],
    generated: Generated,
) -> None:
    """Print alarm and display figures at the least threshold that the metrics a minute allow."""
    alerts, shown = {}, {}
    for held, tried in folds:
        level = least_level(generated.groups[0], tried)
        for measured in held:
            alerts[measured.series.name] = alerts_of(measured, tried) / level
            parts = shown_parts(measured, tried)
            shown[measured.series.name] = spread_out(measured, parts, tried)
    everything = [measured.series for measured in group]
    strength = [alerts[series.name] for series in everything]
    at_one = count_alarms(everything, strength, 1.0)
    swept = [count_alarms(everything, strength, level) for level in np.geomspace(0.5, 3.0, 100)]
    found = {
        rate: max((alarms.recall for alarms in swept if alarms.rate <= rate), default=0.0)
        for rate in (1.0, 0.25, 0.05)
    }
    precision, area = rank_quality(everything, [shown[series.name] for series in everything])
    print(
        f"{title:<28} F1 {at_one.f1:.3f} at {at_one.rate:.2f} false alarms a week; recall "
        + ", ".join(f"{share:.3f} at {rate:g}" for rate, share in found.items())
        + f"; AP {precision:.3f}, VUS-PR {area:.3f}; generated recall "
        + f"{np.mean([generated.recall(tried) for _, tried in folds]):.3f}",
        flush=True,
    )


def least_level(group: Sequence[Measured], tried: Weights) -> float:
    """Return the least threshold that keeps the promise of the low severity on these metrics."""
    everything = [measured.series for measured in group]
    alerts = [alerts_of(measured, tried) for measured in group]
    return float(
        next(
            level
            for level in np.arange(3.0, 20.0, 0.05)
            if count_alarms(everything, alerts, level).rate
            <= FALSE_ALARMS_A_METRIC_WEEK[Severity.LOW]
        )
    )

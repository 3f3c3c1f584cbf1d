"""Computes the score of the Numenta Anomaly Benchmark; written for this project.

Source: A. Lavin and S. Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms - the Numenta
Anomaly Benchmark", ICMLA 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from protocol import LabelledSeries

# The values of a detected window, of a false alarm and of a missed window.
PROFILES = {"standard": (1.0, 0.11, 1.0), "low FP": (1.0, 0.22, 1.0), "low FN": (1.0, 0.11, 2.0)}
LATEST_PROBATION = 750
_FAR = 3.0  # windows after which a false alarm costs in full


@dataclass(frozen=True)
class Prepared:
    """The scored rows of some series one after the other, and the value of an alarm at each."""

    rows: list[np.ndarray]  # which rows of each series are scored
    worth: np.ndarray  # -1 to 1
    window: np.ndarray  # the number of the window, -1 outside
    windows: int  # those with a scored row
    all_windows: int


def prepare(everything: Sequence[LabelledSeries]) -> Prepared:
    """Return the value of an alarm at every scored row of the series."""
    rows, worths, owners = [], [], []
    all_windows = 0
    for series in everything:
        count = len(series.times)
        worth, owner = np.full(count, -1.0), np.full(count, -1)
        for place, (first, last) in enumerate(series.ranges):
            width = last - first + 1
            inside = np.arange(first, last + 1)
            worth[inside] = _sigmoid(-(last - inside + 1) / width) / _sigmoid(-1.0)
            owner[inside] = all_windows + place
            after = series.ranges[place + 1][0] if place + 1 < len(series.ranges) else count
            beyond = np.arange(last + 1, after)
            distance = (beyond - last) / max(width - 1, 1)
            worth[beyond] = np.where(distance > _FAR, -1.0, _sigmoid(distance))
        all_windows += len(series.ranges)
        scored = np.arange(count) >= min(int(0.15 * count), LATEST_PROBATION)
        rows.append(scored)
        worths.append(worth[scored])
        owners.append(owner[scored])
    window = np.concatenate(owners)
    scored_windows = np.unique(window[window >= 0])
    window = np.where(window >= 0, np.searchsorted(scored_windows, window), -1)
    return Prepared(rows, np.concatenate(worths), window, len(scored_windows), all_windows)


def _sigmoid(distance: np.ndarray | float) -> np.ndarray:
    return 2.0 / (1.0 + np.exp(5.0 * np.asarray(distance))) - 1.0


def scores(
    prepared: Prepared, alerts: Sequence[np.ndarray], profile: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds, highest first, and the score at each, 100 for a perfect detector."""
    right, wrong, missed = PROFILES[profile]
    pooled = np.concatenate(
        [alert[rows] for alert, rows in zip(alerts, prepared.rows, strict=True)]
    )
    order = np.argsort(-pooled, kind="stable")
    thresholds, totals = _sweep(
        pooled[order],
        prepared.worth[order],
        prepared.window[order],
        prepared.windows,
        right,
        wrong,
        missed,
    )
    nothing = -missed * prepared.windows
    return thresholds, 100.0 * (totals - nothing) / (prepared.all_windows * right - nothing)


@numba.njit
def _sweep(
    alerts: np.ndarray,
    worth: np.ndarray,
    window: np.ndarray,
    windows: int,
    right: float,
    wrong: float,
    missed: float,
) -> tuple[np.ndarray, np.ndarray]:
    best = np.full(windows, -missed)
    total = -missed * windows
    thresholds, totals = np.empty(len(alerts) + 1), np.empty(len(alerts) + 1)
    thresholds[0], totals[0], kept = np.inf, total, 1
    for row in range(len(alerts)):
        if window[row] < 0:
            total += wrong * worth[row]
        elif right * worth[row] > best[window[row]]:
            total += right * worth[row] - best[window[row]]
            best[window[row]] = right * worth[row]
        if row == len(alerts) - 1 or alerts[row + 1] != alerts[row]:
            thresholds[kept], totals[kept] = alerts[row], total
            kept += 1
    return thresholds[:kept], totals[:kept]

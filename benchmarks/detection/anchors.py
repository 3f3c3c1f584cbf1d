"""Compares the shipped detector with well-known ones on labelled series, in one run.

    python benchmarks/detection/anchors.py --data DIR [--sets WSD,MSCLOUD] [--split dev]

DIR holds `manifest.json` and `series/`, the labelled series. Every detector, ours included, gets
the same record rule, the same protocol (protocol.py) and one threshold for all series of all sets:
ours has the one it ships with, each anchor the one that suits it best on these very series, so that
the anchors are flattered. `--page` writes the table of the documentation. Its columns: AP and
VUS-PR of the ranking; the best F1 any threshold would give; the share of incidents found at 1, 0.25
and 0.05 false alarms a metric-week; F1 and false alarms a metric-week at the one threshold.
"""

# ruff: noqa: ARG001 -- every anchor is asked alike, for times, values and step

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from forecaster import forecaster
from protocol import (
    Alarms,
    LabelledSeries,
    count_alarms,
    rank_quality,
    read_series,
    record_alerts,
    thresholds_of,
)

from anomify.detection.detector import judge
from anomify.detection.state import EngineState
from anomify.detection.threshold import THRESHOLDS, Severity

DAY_SECONDS = 86_400
SKYLINE_BINS = 15
SKYLINE_RARE = 20  # points in a bin that make it rare
SKYLINE_LEAST = 100  # points without which it does not judge
RATES = (1.0, 0.25, 0.05)

Scored = tuple[list[np.ndarray], list[np.ndarray]]  # rankings and alerts, a row each of the series


def main() -> None:
    """Print a table of all detectors for each set, or write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    parser.add_argument("--sets", default="WSD,MSCLOUD")
    parser.add_argument("--split", choices=("dev", "heldout", "all"), default="dev")
    parser.add_argument("--limit", type=int, help="only so many series of each set")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--page", type=Path, help="write them here as rows of an HTML table")
    arguments = parser.parse_args()
    names = arguments.sets.split(",")
    sets = {
        name: read_series(arguments.data, [name], arguments.split)[: arguments.limit]
        for name in names
    }
    sets = {name: found for name, found in sets.items() if found}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for detector, score in {"Anomify": ours, **ANCHORS}.items():
        scored = {name: score(found) for name, found in sets.items()}
        threshold = THRESHOLDS[Severity.LOW] if score is ours else best_threshold(sets, scored)
        figures[detector] = {
            name: figures_of(found, scored[name], threshold) for name, found in sets.items()
        }
        print_row(detector, figures[detector])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    if arguments.page:
        arguments.page.write_text("".join(table_of(name, figures) for name in sets))


def best_threshold(sets: dict[str, list[LabelledSeries]], scored: dict[str, Scored]) -> float:
    """Return the threshold with the best mean F1 over the sets."""
    grid = np.unique(
        np.concatenate([thresholds_of(found, scored[name][1]) for name, found in sets.items()])
    )
    means = [
        np.mean([count_alarms(sets[name], scored[name][1], threshold).f1 for name in sets])
        for threshold in grid
    ]
    return float(grid[int(np.argmax(means))])


def figures_of(found: list[LabelledSeries], scored: Scored, threshold: float) -> dict[str, float]:
    """Return every column of the table for one set."""
    rankings, alerts = scored
    precision, area = rank_quality(found, rankings)
    swept = [count_alarms(found, alerts, level) for level in thresholds_of(found, alerts)]
    fixed = count_alarms(found, alerts, threshold)
    return {
        "AP": precision,
        "VUS": area,
        "F1*": max(alarms.f1 for alarms in swept),
        **{f"r{rate:g}": recall_at(swept, rate) for rate in RATES},
        "F1": fixed.f1,
        "FA/week": fixed.rate,
    }


def recall_at(swept: list[Alarms], rate: float) -> float:
    """Return the most incidents found by a threshold of at most so many false alarms a week."""
    return max((alarms.recall for alarms in swept if alarms.rate <= rate), default=0.0)


def print_row(detector: str, figures: dict[str, dict[str, float]]) -> None:
    """Print a detector's figures, a line a set."""
    for name, columns in figures.items():
        cells = "  ".join(f"{column} {figure:.3f}" for column, figure in columns.items())
        print(f"{detector:<32} {name:<8} {cells}", flush=True)


def table_of(name: str, figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the figures of one set as an HTML table, the best of each column marked."""
    rows = {detector: columns[name] for detector, columns in figures.items()}
    columns = list(next(iter(rows.values())))
    # Of false alarms at whatever threshold there is no best.
    best = {
        column: max(round(figures[column], 3) for figures in rows.values())
        for column in columns
        if column != "FA/week"
    }
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    lines = [f'<table>\n<caption>{name}</caption>\n<thead><tr><th scope="col">Detector</th>{head}']
    lines.append("</tr></thead>\n<tbody>\n")
    for detector, found in rows.items():
        cells = (
            f"<td><strong>{found[column]:.3f}</strong></td>"
            if round(found[column], 3) == best.get(column)
            else f"<td>{found[column]:.3f}</td>"
            for column in columns
        )
        lines.append(f'<tr><th scope="row">{detector}</th>{"".join(cells)}</tr>\n')
    return "".join([*lines, "</tbody>\n</table>\n"])


def ours(found: list[LabelledSeries]) -> Scored:
    """Judge every series with the shipped engine; the ranking is the score that charts show."""
    rankings, alerts = [], []
    for series in found:
        rows = np.flatnonzero(np.isfinite(series.values))
        verdicts = judge(
            EngineState.new(1),
            np.zeros(len(rows), np.int64),
            series.times[rows] * 1000,
            series.values[rows],
        )
        ranking, alert = np.zeros(len(series.times)), np.zeros(len(series.times))
        ranking[rows] = np.nan_to_num(verdicts.scores)
        alert[rows] = np.nan_to_num(verdicts.alerts)
        rankings.append(ranking)
        alerts.append(alert)
    return rankings, alerts


def anchor(score: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> Callable[..., Scored]:
    """Turn a function of times, values and step into a detector under the common record rule."""

    def scored(found: list[LabelledSeries]) -> Scored:
        rankings = []
        for series in found:
            rows = np.flatnonzero(np.isfinite(series.values))
            ranking = np.zeros(len(series.times))
            ranking[rows] = score(series.times[rows], series.values[rows], max(series.step, 1))
            rankings.append(np.nan_to_num(ranking, posinf=1e9))
        alerts = [record_alerts(series, s) for series, s in zip(found, rankings, strict=True)]
        return rankings, alerts

    return scored


# --- the anchors; every one sees a row's past only, and its own value ---


@numba.njit
def rolling_z(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score the distance from the last day's mean, in its standard deviations."""
    window = max(DAY_SECONDS // step, 30)
    return _rolling_z(values, window)


@numba.njit
def rolling_difference_z(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score the newest step from point to point, in the last day's standard deviations of steps."""
    steps = np.zeros(len(values))
    steps[1:] = values[1:] - values[:-1]
    return _rolling_z(steps, max(DAY_SECONDS // step, 30))


@numba.njit
def _rolling_z(values: np.ndarray, window: int) -> np.ndarray:
    scores = np.zeros(len(values))
    for row in range(30, len(values)):
        past = values[max(row - window, 0) : row]
        scores[row] = abs(values[row] - past.mean()) / (past.std() + 1e-9)
    return scores


@numba.njit
def median_step(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score the distance from the last 30 points' median, in all earlier such distances' IQR."""
    scores = np.zeros(len(values))
    seen = np.empty(len(values))  # sorted
    for row in range(30, len(values)):
        moved = values[row] - np.median(values[row - 30 : row])
        count = row - 30
        if count > 30:
            low, high = seen[count // 4], seen[3 * count // 4]
            beyond = max(moved - high, low - moved, 0.0)
            scores[row] = beyond / (high - low + 1e-9)
        place = np.searchsorted(seen[:count], moved)
        seen[place + 1 : count + 1] = seen[place:count].copy()
        seen[place] = moved
    return scores


@numba.njit
def phase_median(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score as S-H-ESD does: what the last seven days' median of this time of day leaves over.

    The remainder is measured in median deviations of the last day's remainders.
    """
    bins = max(min(DAY_SECONDS // step, 288), 1)
    past = np.full((bins, 7), np.nan)
    filled = np.zeros(bins, np.int64)
    window = max(DAY_SECONDS // step, 30)
    remainders = np.zeros(len(values))
    scores = np.zeros(len(values))
    middle, deviation = 0.0, np.inf
    sums, points, current = 0.0, 0, -1
    for row in range(len(values)):
        phase = (times[row] % DAY_SECONDS) * bins // DAY_SECONDS
        if phase != current:
            if points > 0:
                past[current, filled[current] % 7] = sums / points
                filled[current] += 1
            sums, points, current = 0.0, 0, phase
        sums += values[row]
        points += 1
        if filled[phase] == 0:
            continue
        remainders[row] = values[row] - np.nanmedian(past[phase])
        if row % 60 == 0 or not np.isfinite(deviation):
            lately = remainders[max(row - window, 0) : row]
            if len(lately) >= 30:
                middle = np.median(lately)
                deviation = np.median(np.abs(lately - middle))
        if np.isfinite(deviation):
            scores[row] = abs(remainders[row] - middle) / (1.4826 * deviation + 1e-9)
    return scores


@numba.njit
def holt_winters(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score the one-step error of additive daily smoothing, in its running mean size."""
    season_length = max(DAY_SECONDS // step, 1)
    season = np.zeros(season_length)
    scores = np.zeros(len(values))
    level, size = values[0], 0.0
    for row in range(1, len(values)):
        phase = (times[row] % DAY_SECONDS) // step % season_length
        error = values[row] - level - season[phase]
        if row > 30:
            scores[row] = abs(error) / (size + 1e-9)
        level += 0.1 * error
        season[phase] += 0.1 * error
        size += max(0.01, 1.0 / row) * (abs(error) - size)
    return scores


@numba.njit
def seasonal_quantile(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score how far a value lies outside 1 % to 99 % of this hour of the week so far."""
    hours = 168
    capacity = 64  # newest values of each hour of the week that are kept
    kept = np.empty((hours, capacity))
    filled = np.zeros(hours, np.int64)
    every = max(3600 // step * 4 // capacity, 1)  # four weeks fit
    scores = np.zeros(len(values))
    for row in range(len(values)):
        hour = times[row] // 3600 % hours
        if filled[hour] >= 4:
            past = np.sort(kept[hour, : min(filled[hour], capacity)])
            low, high = past[int(0.01 * len(past))], past[min(int(0.99 * len(past)), len(past) - 1)]
            beyond = max(values[row] - high, low - values[row], 0.0)
            scores[row] = beyond / (high - low + 1e-9)
        if row % every == 0:
            kept[hour, filled[hour] % capacity] = values[row]
            filled[hour] += 1
    return scores


@numba.njit
def skyline(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score how many of Skyline's nine rules fire of Etsy (github.com/etsy/skyline, 2013).

    The window is a day of one-minute data and a week of slower ones. The ks_test needs 20 points in
    ten minutes, which no step of these series gives: it never fires here. Grubbs' critical value is
    taken from the normal distribution instead of t with a thousand degrees of freedom.
    """
    window = DAY_SECONDS // step if step <= 60 else 7 * DAY_SECONDS // step
    scores = np.zeros(len(values))
    keep = 50.0 / 51.0
    average, square, weight = 0.0, 0.0, 0.0
    for row in range(len(values)):
        average = average * keep + values[row]
        square = square * keep + values[row] ** 2
        weight = weight * keep + 1.0
        first = max(row + 1 - window, 0)
        past = values[first : row + 1]
        count = len(past)
        if count < SKYLINE_LEAST:
            continue
        tail = past[-3:].mean()
        mean, std = past.mean(), past.std()
        votes = 0
        votes += _in_rare_bin(past, tail)
        until = first + 1
        while until < row and times[until] <= times[first] + 3600:
            until += 1
        hour = values[first:until]
        votes += abs(tail - hour.mean()) > 3 * hour.std()
        votes += abs(tail - mean) > 3 * std
        votes += (tail - mean) > _grubbs(count) * std
        before = past[:-1]
        votes += abs(past[-1] - before.mean()) > 3 * before.std()
        middle = np.median(past)
        deviation = np.median(np.abs(past - middle))
        votes += deviation > 0 and abs(past[-1] - middle) > 6 * deviation
        moving = average / weight
        votes += abs(tail - moving) > 3 * np.sqrt(max(square / weight - moving**2, 0.0))
        votes += _off_the_line(past, std)
        scores[row] = votes
    return scores


@numba.njit
def _grubbs(count: int) -> float:
    """Return the critical value at 5 %, two-sided, by an approximation of the normal quantile."""
    chance = 0.05 / (2 * count)
    t = np.sqrt(-2.0 * np.log(chance))
    quantile = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (
        1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t**3
    )
    return (count - 1) / np.sqrt(count) * np.sqrt(quantile**2 / (count - 2 + quantile**2))


@numba.njit
def _in_rare_bin(past: np.ndarray, tail: float) -> bool:
    low, high = past.min(), past.max()
    if not high > low:
        return False
    width = (high - low) / SKYLINE_BINS
    place = min(max(int((tail - low) / width), 0), SKYLINE_BINS - 1)
    if place == 0 and tail > low:
        return False
    held = 0
    for value in past:
        held += min(int((value - low) / width), SKYLINE_BINS - 1) == place
    return held <= SKYLINE_RARE


@numba.njit
def _off_the_line(past: np.ndarray, std: float) -> bool:
    count = len(past)
    middle = (count - 1) / 2
    spread = count * (count * count - 1) / 12.0
    slope = 0.0
    for place in range(count):
        slope += (place - middle) * past[place]
    slope /= spread
    left = np.sqrt(max(std**2 - slope**2 * spread / count, 0.0))
    offset = past.mean()
    last = 0.0
    for place in range(count - 3, count):
        last += (past[place] - offset - slope * (place - middle)) / 3
    return abs(last) > 3 * left and round(left) != 0 and round(last) != 0


ANCHORS: dict[str, Callable[..., Scored]] = {
    "Skyline, rules that fire of nine": anchor(skyline),
    "median-30 step / IQR (PersistAD)": anchor(median_step),
    "Holt-Winters, additive daily": anchor(holt_winters),
    "7-day phase median (S-H-ESD)": anchor(phase_median),
    "rolling z, 1 day": anchor(rolling_z),
    "z of the first difference, 1 day": anchor(rolling_difference_z),
    "hour-of-week quantiles": anchor(seasonal_quantile),
    "small neural forecaster": anchor(forecaster),
}


if __name__ == "__main__":
    main()

"""Chooses the weights of the alarm head, on data whose licence lets the result be shipped.

    python benchmarks/detection/weigh.py --data DIR

It starts from equal weights and tries round numbers, one weight after the other, until none helps.
What counts is the share of incidents found at 1 and at 0.25 false alarms a metric-week, half of it
on the development half of MSCLOUD (MIT), half on metrics of the project's generator, of another
seed than those that `calibrate.py` measures the thresholds on. NAB labels too few of its oddities
to count false alarms by. Run `calibrate.py` after a change.
"""

import argparse
from pathlib import Path

import numpy as np
from calibrate import CLEAN_LICENCE, START_MS, Labelled, Tally, clean_entries, read_points, tally_of

from anomify.detection import evidence
from anomify.detection.detector import measure
from anomify.detection.generator import generate
from anomify.detection.state import EngineState

SEED = 777
GENERATED = ((60, 28, 96), (300, 42, 48), (3600, 90, 64))  # step in seconds, days, metrics
FEATURES = ("JUMP", "LEVEL_CHANGE", "MAGNITUDE", "NOISE", "NOVELTY", "SHORT_SHIFT")
START = (2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 4.5)  # the last one is a short shift's alone
GRID = (
    (2.0,),  # only ratios matter
    (0.5, 1.0, 1.5),
    (0.25, 0.5, 1.0),
    (0.0, 0.5, 1.0),
    (0.5, 0.75, 1.0),
    (0.0, 0.5, 1.0),
    (4.0, 4.5, 5.0),
)
# Two more are not searched but scaled along. A chance of 10^-4 a point, one a week of minutes, is
# to weigh as much as the low threshold; so is standing still nine times as long as ever before.
UNIT = 5.7
RARITY = 2.2
FLAT = 3.9
LEAST_GAIN = 0.001
HALF_LIFE_MS = 7_200_000

Measured = tuple[Labelled, np.ndarray]


def main() -> None:
    """Print each better set of weights as it is found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    sets = read_sets(parser.parse_args().data)
    weights, best = START, quality(sets, START)
    print(f"{best:.4f}  {weights}")
    improved = True
    while improved:
        improved = False
        for place, choices in enumerate(GRID):
            for choice in choices:
                tried = (*weights[:place], choice, *weights[place + 1 :])
                found = quality(sets, tried) if tried != weights else 0.0
                if found > best + LEAST_GAIN:
                    weights, best, improved = tried, found, True
                    print(f"{best:.4f}  {weights}", flush=True)
    scale = sum(weights[:-1]) / UNIT
    print(f"beside them: flatness alone {FLAT * scale:.1f}, sparse rarity {RARITY * scale:.1f}")


def quality(sets: dict[str, list[Measured]], weights: tuple[float, ...]) -> float:
    """Return the mean share of incidents found, MSCLOUD counting as much as all generated sets."""
    found = {name: recall(measured, weights) for name, measured in sets.items()}
    generated = [share for name, share in found.items() if name != "MSCLOUD"]
    return 0.5 * found["MSCLOUD"] + 0.5 * float(np.mean(generated))


def recall(measured: list[Measured], weights: tuple[float, ...]) -> float:
    """Return the mean share of incidents found at 1 and at 0.25 false alarms a metric-week."""
    scale = sum(weights[:-1]) / UNIT
    grid = scale * np.arange(5.0, 16.0, 0.4)
    judged = [
        Labelled(
            series.set_name,
            series.step_ms,
            series.times,
            alerts_of(series, strengths(features, weights, scale), float(grid[0])),
            series.incidents,
        )
        for series, features in measured
    ]
    shares = {1.0: 0.0, 0.25: 0.0}
    for threshold in grid:
        total = Tally()
        for series in judged:
            total.add(tally_of(series, float(threshold)))
        for allowed, share in shares.items():
            if total.rate <= allowed:
                shares[allowed] = max(share, total.detected / max(total.incidents, 1))
    return sum(shares.values()) / 2


def strengths(features: np.ndarray, weights: tuple[float, ...], scale: float) -> np.ndarray:
    """Return the alarm head's strengths for these weights, as `ensemble.strength` has them."""
    column = {name: features[getattr(evidence, name)] for name in FEATURES}
    moving = sum(weight * column[name] for weight, name in zip(weights, FEATURES, strict=False))
    shifted = weights[-1] * column["SHORT_SHIFT"]
    sparse = features[evidence.STILLNESS] > 0.5
    rarity = RARITY * scale
    moving = np.where(sparse, np.minimum(moving, rarity * features[evidence.VALUE_RARITY]), moving)
    rare_shift = rarity * features[evidence.SHORT_SHIFT_RARITY]
    shifted = np.where(sparse, np.minimum(shifted, rare_shift), shifted)
    return np.maximum(np.maximum(moving, shifted), FLAT * scale * features[evidence.FLATNESS])


def alerts_of(series: Labelled, felt: np.ndarray, least: float) -> np.ndarray:
    """Apply the record rule to what reaches the least threshold; weaker records block nothing."""
    alerts = np.zeros(len(felt))
    record, at = 0.0, 0
    half_life = max(HALF_LIFE_MS, 3 * series.step_ms)
    for place in np.flatnonzero(felt >= least):
        record *= 0.5 ** ((series.times[place] - at) / half_life)
        at = series.times[place]
        if felt[place] > record:
            alerts[place] = record = felt[place]
    return alerts


def read_sets(data: Path) -> dict[str, list[Measured]]:
    """Measure the features of every series once."""
    sets: dict[str, list[Measured]] = {"MSCLOUD": []}
    for entry in clean_entries(data):
        if entry["set"] == "MSCLOUD" and entry["licence"] == CLEAN_LICENCE:
            times, values, incidents = read_points(data / "series" / "MSCLOUD", entry)
            sets["MSCLOUD"].append(
                measured_series("MSCLOUD", entry["step"] * 1000, times, values, incidents)
            )
    for step, days, count in GENERATED:
        sets[f"generated {step} s"] = [
            measured_series(
                f"generated {step} s",
                step * 1000,
                metric.times,
                metric.values,
                [(incident.start_ms, incident.end_ms) for incident in metric.incidents],
            )
            for metric in generate(SEED, START_MS, step, days, count=count)
        ]
    return sets


def measured_series(
    set_name: str,
    step_ms: int,
    times: np.ndarray,
    values: np.ndarray,
    incidents: list[tuple[int, int]],
) -> Measured:
    """Return a series with the features of its points, one row a feature, zero where unjudged."""
    slots = np.zeros(len(times), np.int64)
    _, features = measure(EngineState.new(1), slots, times, values)
    series = Labelled(set_name, step_ms, times, np.zeros(0), incidents)
    return series, np.ascontiguousarray(features.T.astype(np.float32))


if __name__ == "__main__":
    main()

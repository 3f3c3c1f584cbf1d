"""Learns the weights of the scoring heads, from series whose licence allows to publish them.

    python benchmarks/detection/train.py --data DIR [--folds] [--write]

DIR is as for `calibrate.py`. Used are the development halves of MSCLOUD and NAB (both MIT) and
metrics of the project's generator, of another seed than those that `calibrate.py` measures the
thresholds on; series of other licences are never opened. `--write` replaces
`anomify/detection/weights.py`; the same data and versions give the same bytes. Then run
`calibrate.py`. `--folds` also measures the weights on series that they were not learnt from:
four times, those of three quarters of the series are judged on the last quarter.

The weights are round numbers, tried one after the other until none helps. What counts for the alarm
is the share of incidents found at 1 and at 0.25 false alarms a metric-week, half of it on MSCLOUD,
half on generated metrics. NAB labels too few of its oddities to count false alarms by: it teaches
the novelty head, by its own score at the best threshold and around it. What the display score adds
to a fading alarm is learnt from AP and VUS-PR on MSCLOUD and generated metrics.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import nab
import numba
import numpy as np
from calibrate import CLEAN_SETS, clean_entries
from protocol import LabelledSeries, count_alarms, rank_quality, read_series

from anomify.detection import ensemble, evidence, weights
from anomify.detection.detector import Head, judge, measure
from anomify.detection.generator import generate
from anomify.detection.state import EngineState
from anomify.detection.threshold import FALSE_ALARMS_A_METRIC_WEEK, Severity

SEED = 777
START_MS = 1_790_553_600_000  # a Monday
INCIDENTS_A_WEEK = 2.0
GENERATED = ((60, 21, 96), (300, 42, 40), (3600, 90, 64))  # step in seconds, days, metrics
LEVELS = np.geomspace(3.0, 20.0, 60)  # thresholds tried
LEAST_GAIN = 0.001
FOLDS = 4

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
    "SHOWN_VALUE": (0.0, 0.5, 1.0, 1.5, 2.0),
    "SHOWN_RELATIVE": (0.0, 0.5, 1.0),
    "SHOWN_SHIFT": (0.0, 0.5, 1.0),
}
NEW_FEATURES = (
    "LONG_SHIFT", "VALUE_RARITY", "NOVELTY", "FLATNESS", "SHORT_SHIFT_RARITY", "LONG_SHIFT_RARITY",
    "STEP_RARITY", "NOISE",
)  # fmt: skip
# The search ends where it begins to climb from: of several beginnings, the best end is taken.
NEW_STARTS = (
    (0.2, 0.2, 1.0, 0.3, 0.1, 0.3, 0.1, 0.0),
    (0.3, 0.3, 1.0, 0.3, 0.3, 0.3, 0.3, 0.3),
    (0.5, 0.1, 1.5, 0.5, 0.1, 0.2, 0.1, 0.1),
)
NEW_SUM = 3.0
NEARBY = 1.08  # thresholds within this factor of the best count too

Weights = dict[str, float]
Learnt = TypeVar("Learnt")


@dataclass(frozen=True)
class Measured:
    """A series and the features of its points; `rows` are those that have a verdict."""

    series: LabelledSeries
    rows: np.ndarray
    features: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """Return one feature of the rows."""
        return self.features[:, getattr(evidence, name)]


def main() -> None:
    """Print the weights that were found and, with --folds, their quality on other series."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    parser.add_argument("--folds", action="store_true", help="judge on series not learnt from")
    parser.add_argument("--write", action="store_true", help="replace anomify/detection/weights.py")
    arguments = parser.parse_args()
    digest = digest_of(arguments.data)
    clean = {name: measured_set(arguments.data, name) for name in CLEAN_SETS}
    generated = Generated([measured_generated(*shape) for shape in GENERATED], {})
    check_formulas(clean["MSCLOUD"][0])
    alarm = learn_alarm(clean["MSCLOUD"], generated)
    shown = learn_shown(clean["MSCLOUD"], generated, alarm)
    new, new_threshold = learn_novelty(clean["NAB"])
    text = module_text(digest, alarm | shown, new, new_threshold)
    print(text)
    if arguments.folds:
        report_folds(clean, generated, alarm | shown, new, new_threshold)
    if arguments.write:
        Path(weights.__file__).write_text(text)


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
    """Return what the alarm head would raise, a row each of the series."""
    series = measured.series
    alerts = np.zeros(len(series.times))
    alerts[measured.rows] = _record(
        series.times[measured.rows], strengths(measured, tried), max(7200.0, 3.0 * series.step)
    )
    return alerts


@numba.njit
def _record(times: np.ndarray, strength: np.ndarray, half_life: float) -> np.ndarray:
    alerts = np.zeros(len(strength))
    record = 0.0
    for row in range(len(strength)):
        if row > 0:
            record *= 0.5 ** ((times[row] - times[row - 1]) / half_life)
        if strength[row] > record:
            alerts[row] = record = strength[row]
    return alerts


def strengths(measured: Measured, tried: Weights) -> np.ndarray:
    """Return the alarm head's strengths for these weights, as `ensemble.alarm` has them."""
    of = measured.column
    tried = scaled(tried)
    moving = sum(tried[name] * of(name) for name in ("JUMP", *TYPICAL))
    beyond = (
        ensemble.BEYOND_VALUE * of("VALUE_SIZE")
        + ensemble.BEYOND_NOVELTY * of("NOVELTY")
        + ensemble.BEYOND_JUMP * of("JUMP")
    )
    moving = np.maximum(moving, beyond)
    shifted = tried["SHIFT_ALONE"] * of("SHORT_SHIFT")
    sparse = of("REPEAT_SHARE") > ensemble.SPARSE
    moving = np.where(
        sparse, np.minimum(moving, ensemble.SPARSE_RARITY * of("VALUE_RARITY")), moving
    )
    shifted = np.where(
        sparse, np.minimum(shifted, ensemble.SPARSE_RARITY * of("SHORT_SHIFT_RARITY")), shifted
    )
    before = np.append(0.0, moving[:-1])
    gaps = np.diff(measured.series.times[measured.rows], prepend=0)
    before[gaps > ensemble.STALE_STEPS * measured.series.step] = 0.0
    strength: np.ndarray = np.maximum(
        np.maximum(moving + tried["CONFIRMATION"] * before, shifted),
        ensemble.FLAT_ALONE * of("FLATNESS"),
    )
    return strength


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
    """Return the decaying alarm and the features that may be added to it, a row each."""
    times = measured.series.times[measured.rows]
    half_life = max(
        ensemble.DISPLAY_HALF_LIFE_SECONDS, ensemble.DISPLAY_HALF_LIFE_STEPS * measured.series.step
    )
    return np.stack(
        (
            _fading(times, strengths(measured, alarm), half_life),
            _smoothed(times, measured.column("VALUE_SIZE"), half_life),
            _smoothed(times, measured.column("RELATIVE"), half_life),
            measured.column("SHORT_SHIFT").astype(np.float64),
        )
    )


def spread_out(measured: Measured, parts: np.ndarray, tried: Weights) -> np.ndarray:
    """Return the display score, a row each of the series."""
    shown = np.zeros(len(measured.series.times))
    shown[measured.rows] = np.array([1.0, *(tried[name] for name in SHOWN_GRID)]) @ parts
    return shown


@numba.njit
def _fading(times: np.ndarray, strength: np.ndarray, half_life: float) -> np.ndarray:
    shown = np.zeros(len(strength))
    for row in range(len(strength)):
        keep = 0.5 ** ((times[row] - times[row - 1]) / half_life) if row else 0.0
        shown[row] = max(strength[row], keep * shown[row - 1])
    return shown


@numba.njit
def _smoothed(times: np.ndarray, size: np.ndarray, half_life: float) -> np.ndarray:
    shown = np.zeros(len(size))
    for row in range(len(size)):
        keep = 0.5 ** ((times[row] - times[row - 1]) / half_life) if row else 1.0
        shown[row] = shown[row - 1] + (1.0 - keep) * (size[row] - shown[row - 1])
    return shown


# --- the novelty head ---


def learn_novelty(group: Sequence[Measured]) -> tuple[Weights, float]:
    """Find the weights of the novelty head and its threshold."""
    prepared = nab.prepare([measured.series for measured in group])
    columns = [
        np.stack([measured.column(name) for name in NEW_FEATURES]).astype(np.float64)
        for measured in group
    ]

    def quality(tried: np.ndarray) -> float:
        alerts = [novelty_alerts_of(*pair, tried) for pair in zip(group, columns, strict=True)]
        return float(np.mean([around_best(prepared, alerts, name) for name in nab.PROFILES]))

    ends = [climb(np.array(start), quality) for start in NEW_STARTS]
    chosen = max(ends, key=quality)
    chosen *= NEW_SUM / chosen.sum()
    found_weights = {
        name: float(f"{value:.2g}") for name, value in zip(NEW_FEATURES, chosen, strict=True)
    }
    rounded = np.array(list(found_weights.values()))
    alerts = [novelty_alerts_of(*pair, rounded) for pair in zip(group, columns, strict=True)]
    thresholds, scores = nab.scores(prepared, alerts, "standard")
    return found_weights, float(f"{thresholds[np.argmax(scores)]:.3f}")


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
                if found > best + 0.05:
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


def novelty_alerts_of(measured: Measured, columns: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """Return the alerts of the novelty head, a row each of the series."""
    alerts = np.zeros(len(measured.series.times))
    alerts[measured.rows] = _novelty_alerts(tried @ columns)
    return alerts


@numba.njit
def _novelty_alerts(strength: np.ndarray) -> np.ndarray:
    alerts = np.zeros(len(strength))
    record = 0.0
    for row in range(len(strength)):
        record *= 1.0 - 10.0**-2.31
        if strength[row] > 1.05 * record:
            alerts[row] = strength[row]
        record = max(record, strength[row])
    return alerts


# --- quality of the weights ---


def report_folds(
    clean: dict[str, list[Measured]],
    generated: Generated,
    chosen: Weights,
    new: Weights,
    new_threshold: float,
) -> None:
    """Print the figures of weights on the series they were learnt from, and on others."""
    folded = [
        fold_of(clean["MSCLOUD"], fold, lambda rest: learn_all(rest, generated))
        for fold in range(FOLDS)
    ]
    report_alarm("MSCLOUD in sample", clean["MSCLOUD"], [(clean["MSCLOUD"], chosen)], generated)
    report_alarm("MSCLOUD out of fold", clean["MSCLOUD"], folded, generated)
    whole = [(clean["NAB"], (new, new_threshold))]
    report_novelty("NAB dev in sample", whole)
    report_novelty(
        "NAB dev out of fold",
        [fold_of(clean["NAB"], fold, learn_novelty) for fold in range(FOLDS)],
    )


def learn_all(mscloud: Sequence[Measured], generated: Generated) -> Weights:
    """Learn alarm and display."""
    alarm = learn_alarm(mscloud, generated)
    return alarm | learn_shown(mscloud, generated, alarm)


def fold_of(
    group: Sequence[Measured], fold: int, learn: Callable[[Sequence[Measured]], Learnt]
) -> tuple[list[Measured], Learnt]:
    """Return a quarter of the series and what was learnt from the others."""
    is_held = [
        int(hashlib.sha256(measured.series.name.encode()).hexdigest()[:8], 16) % FOLDS == fold
        for measured in group
    ]
    held = [measured for measured, out in zip(group, is_held, strict=True) if out]
    return held, learn([measured for measured, out in zip(group, is_held, strict=True) if not out])


def report_alarm(
    title: str,
    group: Sequence[Measured],
    folds: Sequence[tuple[Sequence[Measured], Weights]],
    generated: Generated,
) -> None:
    """Print alarm and display figures, with thresholds found as `calibrate.py` does."""
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
        f"{title:<22} F1 {at_one.f1:.3f} at {at_one.rate:.2f} false alarms a week; recall "
        + ", ".join(f"{share:.3f} at {rate:g}" for rate, share in found.items())
        + f"; AP {precision:.3f}, VUS-PR {area:.3f}"
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


def report_novelty(
    title: str, folds: Sequence[tuple[Sequence[Measured], tuple[Weights, float]]]
) -> None:
    """Print the scores of NAB at the threshold learnt with the weights, and at the best one."""
    everything: list[LabelledSeries] = []
    alerts: list[np.ndarray] = []
    for held, (tried, threshold) in folds:
        for measured in held:
            columns = np.stack([measured.column(name) for name in NEW_FEATURES])
            values = np.array([tried[name] for name in NEW_FEATURES])
            everything.append(measured.series)
            alerts.append(
                novelty_alerts_of(measured, columns.astype(np.float64), values) / threshold
            )
    prepared = nab.prepare(everything)
    cells = []
    for profile in nab.PROFILES:
        thresholds, scores = nab.scores(prepared, alerts, profile)
        at_one = scores[np.flatnonzero(thresholds >= 1.0)[-1]]
        cells.append(f"{profile} {at_one:.1f} (best {scores.max():.1f})")
    print(f"{title:<22} " + ", ".join(cells))


# --- data ---


def digest_of(data: Path) -> str:
    """Return a digest of every file that is read; refuse series of another licence."""
    digest = hashlib.sha256()
    for entry in clean_entries(data):
        folder = data / "series" / entry["set"]
        for name in (f"{entry['name']}.csv.gz", f"{entry['name']}.labels.csv"):
            digest.update(name.encode() + (folder / name).read_bytes())
    return digest.hexdigest()


def measured_set(data: Path, name: str) -> list[Measured]:
    """Measure the features of every series of a set's development half."""
    return [measured_series(series) for series in read_series(data, [name], "dev")]


def measured_generated(step: int, days: int, count: int) -> list[Measured]:
    """Measure the features of generated metrics."""
    group = []
    made = generate(SEED, START_MS, step, days, count=count, incidents_a_week=INCIDENTS_A_WEEK)
    for metric in made:
        times = metric.times // 1000
        spans = [
            (
                np.searchsorted(metric.times, incident.start_ms),
                np.searchsorted(metric.times, incident.end_ms, side="right") - 1,
            )
            for incident in metric.incidents
        ]
        ranges = np.array([span for span in spans if span[0] <= span[1]], np.int64).reshape(-1, 2)
        series = LabelledSeries(
            f"generated {step} s", metric.name, step, times, metric.values, ranges
        )
        group.append(measured_series(series))
    return group


def measured_series(series: LabelledSeries) -> Measured:
    """Measure the features of one series."""
    slots = np.zeros(len(series.times), np.int64)
    verdicts, trace = measure(EngineState.new(1), slots, series.times * 1000, series.values)
    rows = np.flatnonzero(verdicts.judged)
    return Measured(series, rows, trace[rows].astype(np.float32))


def check_formulas(measured: Measured) -> None:
    """Raise AssertionError where the formulas here differ from those of the engine."""
    series = measured.series
    slots = np.zeros(len(series.times), np.int64)
    shipped = {name: getattr(weights, name) for name in ("JUMP", *ALARM_GRID, *SHOWN_GRID)}
    ours = alerts_of(measured, shipped)
    engine = judge(EngineState.new(1), slots, series.times * 1000, series.values)
    novelty = np.array([getattr(weights, f"NEW_{name}") for name in NEW_FEATURES])
    columns = np.stack([measured.column(name) for name in NEW_FEATURES]).astype(np.float64)
    engine_novelty = judge(
        EngineState.new(1), slots, series.times * 1000, series.values, Head.NOVELTY
    )
    np.testing.assert_allclose(ours, engine.alerts, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        novelty_alerts_of(measured, columns, novelty), engine_novelty.alerts, rtol=1e-3, atol=1e-3
    )


def module_text(digest: str, chosen: Weights, new: Weights, new_threshold: float) -> str:
    """Return the module that holds the weights."""
    lines = [f"{name}: Final = {chosen[name]}" for name in ("JUMP", *ALARM_GRID)]
    shown = [f"{name}: Final = {chosen[name]}" for name in SHOWN_GRID]
    novelty = [f"NEW_{name}: Final = {value}" for name, value in new.items()]
    return "\n".join(
        (
            '"""The weights of the scoring heads, written by `benchmarks/detection/train.py`.',
            "",
            "Learnt from the development halves of MSCLOUD and NAB (both MIT) whose files have the",
            f"SHA-256 {digest},",
            f"and from metrics of the generator with the seed {SEED}.",
            f"numpy {np.__version__}, numba {numba.__version__}.",
            '"""',
            "",
            "from typing import Final",
            "",
            "# The alarm.",
            *lines,
            "",
            "# The display score, beside the fading alarm.",
            *shown,
            "",
            "# The novelty head and its threshold.",
            *novelty,
            f"NEW_THRESHOLD: Final = {new_threshold}",
            "",
        )
    )


if __name__ == "__main__":
    main()

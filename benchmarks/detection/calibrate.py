"""Measures the rates of false alarms, on series whose licence allows to publish the result.

    python benchmarks/detection/calibrate.py --data DIR

DIR holds `manifest.json` and `series/<SET>/<name>.csv.gz` with `<name>.labels.csv`. Used are the
development halves of NAB and MSCLOUD (both MIT) and 400 generated metrics of three steps; series of
other licences are never opened. A false alarm is an episode of alerts that touches no labelled
incident, counted again each hour (or twelve steps) that it lasts; rates are per metric-week of
unlabelled time after the first 15 % of each series.

What it prints last goes into `anomify/detection/threshold.py`. The rate of a threshold is that of
the worst set, NAB left out: NAB labels a few windows in series full of other oddities, so that its
false alarms are mostly unlabelled true ones. Its column is printed like the others. Of MSCLOUD the
alarm's weights have seen the labels; its rates are the lowest all the same, so that the generated
metrics, of another seed than those the weights have seen, decide.
"""

import argparse
import csv
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anomify.detection.detector import judge
from anomify.detection.generator import generate
from anomify.detection.state import EngineState
from anomify.detection.threshold import MEASURED

CLEAN_SETS = ("NAB", "MSCLOUD")
CLEAN_LICENCE = "MIT"
PROBATION = 0.15
WEEK_MS = 7 * 86_400_000
SEED = 20261120
START_MS = 1_790_553_600_000  # a Monday
GENERATED = ((60, 28, 240), (300, 42, 80), (3600, 90, 80))  # step in seconds, days, metrics


@dataclass(frozen=True)
class Labelled:
    """One series with its alerts and its labelled incidents."""

    set_name: str
    step_ms: int
    times: np.ndarray
    alerts: np.ndarray
    incidents: list[tuple[int, int]]


@dataclass
class Counts:
    """The counts of one threshold on one set."""

    incidents: int = 0
    detected: int = 0
    false_alarms: int = 0
    weeks: float = 0.0

    @property
    def rate(self) -> float:
        """False alarms a metric-week."""
        return self.false_alarms / max(self.weeks, 1e-9)

    def add(self, other: "Counts") -> None:
        """Add the counts of another series."""
        self.incidents += other.incidents
        self.detected += other.detected
        self.false_alarms += other.false_alarms
        self.weeks += other.weeks


def main() -> None:
    """Print the rates on a grid of thresholds, and the thresholds that hold the promised rates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    arguments = parser.parse_args()
    everything = [*read_clean(arguments.data), *read_generated()]
    names = sorted({series.set_name for series in everything})
    print(f"{'threshold':>9}  " + "  ".join(f"{name:>22}" for name in [*names, "all"]))
    print(f"{'':>9}  " + "  ".join(f"{'recall':>10} {'false/week':>11}" for _ in [*names, "all"]))
    for threshold in np.arange(4.0, 10.01, 0.5):
        cells = [
            f"{counts.detected / max(counts.incidents, 1):>10.3f} {counts.rate:>11.3f}"
            for counts in counts_by_set(everything, names, float(threshold)).values()
        ]
        print(f"{threshold:>9.2f}  " + "  ".join(cells))
    print("\nMEASURED: Final = (")
    for rate, _ in MEASURED:
        found = least_threshold(
            lambda threshold: decisive_rate(counts_by_set(everything, names, threshold)), rate
        )
        print(f"    ({rate}, {found:.2f}),")
    print(")")


def counts_by_set(
    everything: list[Labelled], names: list[str], threshold: float
) -> dict[str, Counts]:
    """Return the counts of each set, and one over all series."""
    counted = {name: Counts() for name in [*names, "all"]}
    for series in everything:
        counts = counts_of(series, threshold)
        counted[series.set_name].add(counts)
        counted["all"].add(counts)
    return counted


def decisive_rate(counted: dict[str, Counts]) -> float:
    """Return the highest rate of those that must hold the promise."""
    return max(counts.rate for name, counts in counted.items() if name != "NAB")


def least_threshold(rate: Callable[[float], float], allowed: float) -> float:
    """Return the least threshold, to 0.05, above which the rate never exceeds what is allowed."""
    threshold = 12.0
    while threshold > 2.0 and rate(threshold - 0.05) <= allowed:
        threshold -= 0.05
    return threshold


def counts_of(series: Labelled, threshold: float) -> Counts:
    """Return the counts of detected incidents and false alarms in one series."""
    times = series.times
    first = int(PROBATION * len(times))
    gap = max(3 * series.step_ms, 1_800_000)
    tolerance = max(2 * series.step_ms, 300_000)
    longest = max(12 * series.step_ms, 3_600_000)
    incidents = [pair for pair in merged(series.incidents, gap) if pair[1] >= times[first]]
    labelled = sum(end - start + series.step_ms for start, end in incidents)
    counts = Counts(
        incidents=len(incidents), weeks=max(times[-1] - times[first] - labelled, 0) / WEEK_MS
    )
    alarms = times[first:][series.alerts[first:] >= threshold]
    for start, end in incidents:
        counts.detected += bool(((alarms >= start - tolerance) & (alarms <= end + tolerance)).any())
    for episode in episodes(alarms, gap, longest):
        touches = any(
            ((episode >= start - tolerance) & (episode <= end + tolerance)).any()
            for start, end in incidents
        )
        counts.false_alarms += not touches
    return counts


def merged(incidents: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Join incidents that are closer than the gap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(incidents):
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def episodes(alarms: np.ndarray, gap: int, longest: int) -> Iterator[np.ndarray]:
    """Cut alarm times into episodes: at gaps, and when one has lasted too long."""
    first = 0
    for place in range(1, len(alarms) + 1):
        if (
            place == len(alarms)
            or alarms[place] - alarms[place - 1] > gap
            or alarms[place] - alarms[first] > longest
        ):
            yield alarms[first:place]
            first = place


def read_clean(data: Path) -> Iterator[Labelled]:
    """Judge the development halves of the sets that may be used."""
    for entry in clean_entries(data):
        times, values, incidents = read_points(data / "series" / entry["set"], entry)
        yield Labelled(
            entry["set"], entry["step"] * 1000, times, alerts_of(times, values), incidents
        )


def clean_entries(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the series that may be used; exit where the licence of one is another."""
    for entry in json.loads((data / "manifest.json").read_text()):
        if entry["set"] not in CLEAN_SETS or entry.get("split", "dev") != "dev":
            continue
        if entry["licence"] != CLEAN_LICENCE:
            raise SystemExit(f"{entry['name']} is not {CLEAN_LICENCE}: {entry['licence']}")
        yield entry


def read_points(
    folder: Path, entry: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Read times in ms, values and labelled incidents of one series."""
    with gzip.open(folder / f"{entry['name']}.csv.gz", "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    times = np.array([int(row["timestamp"]) for row in rows], np.int64) * 1000
    values = np.array([float(row["value"] or "nan") for row in rows])
    with (folder / f"{entry['name']}.labels.csv").open(newline="") as stream:
        spans = [(int(row["start"]), int(row["end"])) for row in csv.DictReader(stream)]
    return times, values, [(int(times[start]), int(times[end])) for start, end in spans]


def read_generated() -> Iterator[Labelled]:
    """Judge metrics of the project's own generator."""
    for step, days, count in GENERATED:
        for metric in generate(SEED, START_MS, step, days, count=count):
            incidents = [(incident.start_ms, incident.end_ms) for incident in metric.incidents]
            yield Labelled(
                f"generated {step} s",
                step * 1000,
                metric.times,
                alerts_of(metric.times, metric.values),
                incidents,
            )


def alerts_of(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the alerts of one metric from its first point on."""
    state = EngineState.new(1)
    return judge(state, np.zeros(len(times), np.int64), times, values).alerts


if __name__ == "__main__":
    main()

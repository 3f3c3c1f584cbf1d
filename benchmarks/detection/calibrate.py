"""Measures the rates of false alarms, on series whose licence allows to publish the result.

    python benchmarks/detection/calibrate.py [--data DIR] [--page FILE]

Measured are:

- with `--data`, the development halves of NAB and MSCLOUD (both MIT). DIR holds `manifest.json` and
  `series/<SET>/<name>.csv.gz` with `<name>.labels.csv`; series of other licences are never opened.
- 400 generated metrics of three steps with incidents, of another seed than those that the weights
  have seen.
- generated metrics without incidents of every `CleanType`, of one and of five minutes.

A false alarm is an episode of alerts that touches no labelled incident and no time in which a
scheduled job is new (its first three nights, or two weeks). It is counted again each hour (or
twelve steps) that it lasts. Rates are per metric-week of unlabelled time after the first 15 % of
each series; those within the first 15 % are counted apart.

Printed are, in this order: the recall and the rate of each set at a grid of thresholds; the rates
by type of metric at the shipped thresholds, which `--page` also writes as tables for
`/doc/detection`; the sets whose rate is higher than a severity promises; and what goes into
`anomify/detection/threshold.py`. A threshold belongs to the rate of the worst set. All metrics
without incidents together are one set of these. NAB is none of them: it labels a few windows in
series full of other oddities, so that its false alarms are mostly unlabelled true ones. Of MSCLOUD
the alarm's weights have seen the labels.
"""

import argparse
import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from anomify.detection.clean_generator import CleanType, generate_clean
from anomify.detection.detector import judge
from anomify.detection.generator import generate
from anomify.detection.state import EngineState
from anomify.detection.threshold import FALSE_ALARMS_A_METRIC_WEEK, MEASURED, THRESHOLDS

CLEAN_SETS = ("NAB", "MSCLOUD")
CLEAN_LICENCE = "MIT"
PROBATION = 0.15
WEEK_MS = 7 * 86_400_000
SEED = 20261120
START_MS = 1_790_553_600_000  # a Monday
GENERATED = ((60, 28, 240), (300, 42, 80), (3600, 90, 80))  # step in seconds, days, metrics
CLEAN = ((60, 21, 40), (300, 42, 40))  # step in seconds, days, metrics of each type
ALL_TYPES = "all types without incidents"
NOT_DECISIVE = "NAB"
LOWEST, HIGHEST, STEPS_A_UNIT = 2, 12, 20  # the thresholds that are tried


@dataclass(frozen=True)
class Judged:
    """One series with its labelled incidents and the alerts that may be alarms, times in ms.

    `alert_times` int64 and `alerts` float32 hold only the points whose alert is at least `LOWEST`.
    `begin` and `end` are the first and the last time, `probation_end` the first one that counts.
    """

    set_name: str
    step_ms: int
    begin: int
    probation_end: int
    end: int
    alert_times: np.ndarray
    alerts: np.ndarray
    incidents: list[tuple[int, int]]
    formula: str = ""  # of a generated metric without incidents


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

    @property
    def recall(self) -> float:
        """The share of incidents that were detected."""
        return self.detected / max(self.incidents, 1)

    def add(self, other: "Counts") -> None:
        """Add the counts of another series."""
        self.incidents += other.incidents
        self.detected += other.detected
        self.false_alarms += other.false_alarms
        self.weeks += other.weeks


@dataclass
class Row:
    """The rates of one set at each severity, after the first 15 % of its series and within it."""

    name: str
    later: list[float] = field(default_factory=list)
    early: list[float] = field(default_factory=list)

    @property
    def exceeded(self) -> list[str]:
        """The severities whose promised rate the set exceeds after the first 15 %."""
        return [
            severity.name.lower()
            for (severity, allowed), rate in zip(
                FALSE_ALARMS_A_METRIC_WEEK.items(), self.later, strict=True
            )
            if rate > allowed
        ]


def main() -> None:
    """Print the rates by set and by type, and the thresholds that hold the promised rates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, help="folder with manifest.json")
    parser.add_argument("--page", type=Path, help="write the rates here as HTML tables")
    parser.add_argument("--formulas", action="store_true", help="print the formulas of the types")
    arguments = parser.parse_args()
    series = list(read_generated())
    if arguments.data:
        series += read_clean(arguments.data)
    clean = list(read_types())
    sets = grouped(series, lambda one: one.set_name)
    types = grouped(clean, lambda one: one.set_name)
    decisive = {**sets, ALL_TYPES: clean}
    print_thresholds(decisive)
    rows_of_types = [row_of(name, found) for name, found in {**types, ALL_TYPES: clean}.items()]
    rows_of_sets = [row_of(name, found) for name, found in sets.items()]
    print_rows([*rows_of_types, *rows_of_sets])
    if arguments.formulas:
        by_formula = grouped(clean, lambda one: one.formula)
        print_rows([row_of(name, found) for name, found in by_formula.items()])
    print_measured(decisive)
    if arguments.page:
        arguments.page.write_text(
            table_of("Without incidents", rows_of_types) + table_of("With incidents", rows_of_sets)
        )


def grouped(series: Iterable[Judged], name: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    """Return the series of each name, in the order in which the names occur."""
    sets: dict[str, list[Judged]] = {}
    for one in series:
        sets.setdefault(name(one), []).append(one)
    return sets


def print_thresholds(sets: dict[str, list[Judged]]) -> None:
    """Print recall and rate of each set at a grid of thresholds; clean sets have no recall."""
    print(f"{'threshold':>9}  " + "  ".join(f"{name:>27}" for name in sets))
    print(f"{'':>9}  " + "  ".join(f"{'recall':>15} {'false/week':>11}" for _ in sets))
    for threshold in np.arange(4.0, 10.01, 0.5):
        counted = [counts_of_set(found, float(threshold)) for found in sets.values()]
        cells = [
            f"{'' if name == ALL_TYPES else f'{counts.recall:.3f}':>15} {counts.rate:>11.3f}"
            for name, counts in zip(sets, counted, strict=True)
        ]
        print(f"{threshold:>9.2f}  " + "  ".join(cells))


def print_rows(rows: list[Row]) -> None:
    """Print the rates by set at the shipped thresholds, and which promises do not hold."""
    names = [severity.name.lower() for severity in THRESHOLDS]
    print(f"\n{'false alarms a metric-week':<29}{'after the first 15 %':>24}   within it")
    print(f"{'':<29}" + "".join(f"{name:>8}" for name in [*names, *names]))
    for row in rows:
        print(f"{row.name:<29}" + "".join(f"{rate:>8.2f}" for rate in [*row.later, *row.early]))
    print("\nHigher than promised:")
    for row in rows:
        if row.exceeded:
            print(f"    {row.name}: {', '.join(row.exceeded)}")


def print_measured(decisive: dict[str, list[Judged]]) -> None:
    """Print the pairs of rate and threshold for `threshold.py`, and whether it has them."""
    found = least_thresholds(decisive, [rate for rate, _ in MEASURED])
    print("\nMEASURED: Final = (")
    for rate, threshold in found.items():
        remark = "  # the rate is higher at every threshold tried" if threshold >= HIGHEST else ""
        print(f"    ({rate}, {threshold:.2f}),{remark}")
    print(")")
    lower = [f"{rate:g}" for rate, shipped in MEASURED if shipped < found[rate] - 0.001]
    if lower:
        print(f"threshold.py has lower ones for {', '.join(lower)}: correct it and measure again.")


def least_thresholds(decisive: dict[str, list[Judged]], rates: list[float]) -> dict[float, float]:
    """Return for each rate the least threshold above which no deciding set exceeds it.

    Tried are the thresholds from `HIGHEST` down to `LOWEST`, in steps of 0.05.
    """
    found = dict.fromkeys(rates, float(HIGHEST))
    for place in range(HIGHEST * STEPS_A_UNIT - 1, LOWEST * STEPS_A_UNIT - 1, -1):
        threshold = place / STEPS_A_UNIT
        worst = max(
            counts_of_set(series, threshold).rate
            for name, series in decisive.items()
            if name != NOT_DECISIVE
        )
        held = [rate for rate in rates if worst <= rate]
        rates = held
        if not held:
            break
        found.update(dict.fromkeys(held, threshold))
    return found


def row_of(name: str, series: list[Judged]) -> Row:
    """Return the rates of a set at the shipped thresholds."""
    row = Row(name)
    for threshold in THRESHOLDS.values():
        row.later.append(counts_of_set(series, threshold).rate)
        row.early.append(counts_of_set(series, threshold, early=True).rate)
    return row


def table_of(caption: str, rows: list[Row]) -> str:
    """Return the rates as an HTML table, the promised ones in its first row."""
    severities = [severity.name.lower() for severity in THRESHOLDS]
    heads = "".join(f'<th scope="col">{name}</th>' for name in [*severities, *severities])
    promised = "".join(f"<td>{allowed:g}</td>" for allowed in FALSE_ALARMS_A_METRIC_WEEK.values())
    nothing = "<td></td>" * len(severities)
    lines = [
        f"<table>\n<caption>{caption}</caption>\n<thead>\n",
        '<tr><td></td><th colspan="3" scope="colgroup">after the first 15 %</th>',
        '<th colspan="3" scope="colgroup">in the first 15 %</th><td></td></tr>\n',
        f'<tr><th scope="col">Metrics</th>{heads}<th scope="col">More than promised</th></tr>\n',
        "</thead>\n<tbody>\n",
        f'<tr><th scope="row">promised</th>{promised}{nothing}<td></td></tr>\n',
        *(line_of(row) for row in rows),
        "</tbody>\n</table>\n",
    ]
    return "".join(lines)


def line_of(row: Row) -> str:
    """Return one row of an HTML table; rates that exceed the promise are bold."""
    later = (
        f"<td><strong>{rate:.2f}</strong></td>" if rate > allowed else f"<td>{rate:.2f}</td>"
        for rate, allowed in zip(row.later, FALSE_ALARMS_A_METRIC_WEEK.values(), strict=True)
    )
    early = (f"<td>{rate:.2f}</td>" for rate in row.early)
    exceeded = ", ".join(row.exceeded) or "none"
    return (
        f'<tr><th scope="row">{row.name}</th>{"".join(later)}{"".join(early)}'
        f"<td>{exceeded}</td></tr>\n"
    )


def counts_of_set(series: list[Judged], threshold: float, *, early: bool = False) -> Counts:
    """Return the counts of a set, within the first 15 % of its series or after it."""
    counts = Counts()
    for one in series:
        counts.add(counts_of(one, threshold, early=early))
    return counts


def counts_of(series: Judged, threshold: float, *, early: bool = False) -> Counts:
    """Return the counts of detected incidents and false alarms in one series."""
    begin, end = (
        (series.begin, series.probation_end) if early else (series.probation_end, series.end + 1)
    )
    gap = max(3 * series.step_ms, 1_800_000)
    tolerance = max(2 * series.step_ms, 300_000)
    longest = max(12 * series.step_ms, 3_600_000)
    incidents = [
        pair for pair in merged(series.incidents, gap) if pair[1] >= begin and pair[0] < end
    ]
    labelled = sum(end - start + series.step_ms for start, end in incidents)
    counts = Counts(len(incidents), weeks=max(end - begin - labelled, 0) / WEEK_MS)
    counted = (series.alerts >= threshold) & (series.alert_times >= begin)
    alarms = series.alert_times[counted & (series.alert_times < end)]
    for start, last in incidents:
        counts.detected += bool(
            ((alarms >= start - tolerance) & (alarms <= last + tolerance)).any()
        )
    for episode in episodes(alarms, gap, longest):
        touches = any(
            ((episode >= start - tolerance) & (episode <= last + tolerance)).any()
            for start, last in incidents
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


def read_clean(data: Path) -> Iterator[Judged]:
    """Judge the development halves of the sets that may be used."""
    for entry in clean_entries(data):
        times, values, incidents = read_points(data / "series" / entry["set"], entry)
        yield judged(entry["set"], entry["step"], times, values, incidents)


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


def read_generated() -> Iterator[Judged]:
    """Judge generated metrics that have incidents."""
    for step, days, count in GENERATED:
        for metric in generate(SEED, START_MS, step, days, count=count):
            incidents = [(incident.start_ms, incident.end_ms) for incident in metric.incidents]
            yield judged(f"generated {step} s", step, metric.times, metric.values, incidents)


def read_types() -> Iterator[Judged]:
    """Judge generated metrics that have no incidents; the spans of a new change are left out."""
    for step, days, count in CLEAN:
        for clean_type in CleanType:
            for metric in generate_clean(SEED, START_MS, step, days, [clean_type], count=count):
                found = judged(
                    clean_type.value, step, metric.times, metric.values, list(metric.changes)
                )
                yield replace(found, formula=metric.formula)


def judged(
    set_name: str,
    step_seconds: int,
    times: np.ndarray,
    values: np.ndarray,
    incidents: list[tuple[int, int]],
) -> Judged:
    """Judge one metric from its first point on."""
    alerts = judge(EngineState.new(1), np.zeros(len(times), np.int64), times, values).alerts
    kept = alerts >= LOWEST
    return Judged(
        set_name,
        step_seconds * 1000,
        int(times[0]),
        int(times[int(PROBATION * len(times))]),
        int(times[-1]),
        times[kept],
        alerts[kept],
        incidents,
    )


if __name__ == "__main__":
    main()

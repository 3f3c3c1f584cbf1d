"""Measures the features of the points of labelled and of generated series, to learn weights from.

Of the labelled series only those are opened whose licence allows to publish what is learnt from
them (see `calibrate.py`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from calibrate import clean_entries
from protocol import LabelledSeries, read_series

from anomify.detection import evidence
from anomify.detection.detector import Verdicts, measure
from anomify.detection.generator import generate
from anomify.detection.state import EngineState

SEED = 777  # another one than `calibrate.py` measures the thresholds on
START_MS = 1_790_553_600_000  # a Monday
INCIDENTS_A_WEEK = 2.0
GENERATED = ((60, 21, 96), (300, 42, 40), (3600, 90, 64))  # step in seconds, days, metrics
FOLDS = 4

Learnt = TypeVar("Learnt")


@dataclass(frozen=True)
class Measured:
    """A series and the features of its points; `rows` are those that have a verdict.

    `gaps` is the time since the point before of each of these rows, in seconds.
    """

    series: LabelledSeries
    rows: np.ndarray
    gaps: np.ndarray
    features: np.ndarray
    verdicts: Verdicts

    def column(self, name: str) -> np.ndarray:
        """Return one feature of the rows."""
        return self.features[:, getattr(evidence, name)]


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
    present = np.flatnonzero(np.isfinite(series.values))
    gaps = np.zeros(len(series.times))
    gaps[present[1:]] = np.diff(series.times[present])
    return Measured(series, rows, gaps[rows], trace[rows].astype(np.float32), verdicts)


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

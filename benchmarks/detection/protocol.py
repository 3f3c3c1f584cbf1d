"""Reads labelled series and computes the figures by which detectors are compared on them.

The area under precision and recall with soft borders is VUS-PR of J. Paparrizos et al., "Volume
Under the Surface", VLDB 2022. A detector gives a score to every row of a series, from that row and
earlier ones only. Of each series the first 15 % are not scored. Scores are judged twice: as a
ranking of points (average precision, and the area under precision and recall with soft borders),
and as alarms (incidents found, false alarms a metric-week), with one threshold for all series.
"""

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

PROBATION = 0.15
WEEK_SECONDS = 7 * 86_400
GRID = 100  # thresholds tried
RANKS = 150  # of which the soft area is made
BORDERS = tuple(range(0, 61, 10))  # rows by which a label may be missed
RECORD_SECONDS = 7200.0


@dataclass(frozen=True)
class LabelledSeries:
    """A series with what was really an incident; rows without a value hold NaN."""

    set_name: str
    name: str
    step: int  # seconds
    times: np.ndarray  # unix seconds
    values: np.ndarray
    ranges: np.ndarray  # first and last row of each label

    @property
    def first_scored(self) -> int:
        """The first row after probation."""
        return int(PROBATION * len(self.times))

    @property
    def incidents(self) -> np.ndarray:
        """Labels that are close together made one, those that end in probation left out."""
        gap = max(3 * self.step, 1800)
        merged: list[list[int]] = []
        for first, last in self.ranges:
            if merged and self.times[first] - self.times[merged[-1][1]] <= gap:
                merged[-1][1] = max(last, merged[-1][1])
            else:
                merged.append([first, last])
        kept = [pair for pair in merged if pair[1] >= self.first_scored]
        return np.array(kept, np.int64).reshape(-1, 2)


def read_series(data: Path, sets: Sequence[str], split: str) -> list[LabelledSeries]:
    """Read the series of these sets; `split` is dev, heldout or all."""
    entries = json.loads((data / "manifest.json").read_text())
    return [
        _read_one(data, entry)
        for entry in entries
        if entry["set"] in sets and (split == "all" or entry.get("split", "dev") == split)
    ]


def _read_one(data: Path, entry: dict) -> LabelledSeries:
    path = data / "series" / entry["set"] / f"{entry['name']}.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = [(int(row["timestamp"]), row["value"]) for row in csv.DictReader(file)]
    with path.with_name(f"{entry['name']}.labels.csv").open() as file:
        ranges = [(int(row["start"]), int(row["end"])) for row in csv.DictReader(file)]
    return LabelledSeries(
        entry["set"],
        entry["name"],
        entry["step"],
        np.array([time for time, _ in rows], np.int64),
        np.array([float(value) if value else np.nan for _, value in rows]),
        np.array(ranges, np.int64).reshape(-1, 2),
    )


# --- alarms ---


def record_alerts(series: LabelledSeries, scores: np.ndarray) -> np.ndarray:
    """Return the scores above the decaying maximum of earlier ones, else 0; for every detector."""
    half_life = max(RECORD_SECONDS, 3.0 * series.step)
    return _record_alerts(series.times, np.nan_to_num(scores), half_life)


@numba.njit
def _record_alerts(times: np.ndarray, scores: np.ndarray, half_life: float) -> np.ndarray:
    alerts = np.zeros(len(scores))
    record = 0.0
    for row in range(len(scores)):
        if row > 0:
            record *= 0.5 ** (max(times[row] - times[row - 1], 0) / half_life)
        if scores[row] > record:
            alerts[row] = scores[row]
            record = scores[row]
    return alerts


@dataclass
class Alarms:
    """The counts of one threshold, summed over series."""

    incidents: int = 0
    detected: int = 0
    false_alarms: int = 0
    weeks: float = 0.0

    @property
    def recall(self) -> float:
        """The share of incidents that were found."""
        return self.detected / max(self.incidents, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of recall and of the share of alarms that were right."""
        raised = self.detected + self.false_alarms
        precision = self.detected / raised if raised else 1.0
        return 2 * self.recall * precision / max(self.recall + precision, 1e-9)

    @property
    def rate(self) -> float:
        """False alarms a metric-week."""
        return self.false_alarms / max(self.weeks, 1e-9)


def count_alarms(
    everything: Sequence[LabelledSeries], alerts: Sequence[np.ndarray], threshold: float
) -> Alarms:
    """Count incidents found and false alarms of all series at one threshold.

    Alarm points belong to one episode while their gaps are at most three steps or half an hour; an
    episode is cut each hour (or twelve steps), so that one endless alarm counts again and again.
    """
    total = Alarms()
    for series, by_row in zip(everything, alerts, strict=True):
        incidents, first = series.incidents, series.first_scored
        times, step = series.times, series.step
        detected, false_alarms = _count(
            times[first:],
            np.nan_to_num(by_row[first:]),
            np.stack((times[incidents[:, 0]], times[incidents[:, 1]])),
            threshold,
            max(3 * step, 1800),
            max(12 * step, 3600),
            max(2 * step, 300),
        )
        labelled = sum(times[last] - times[start] + step for start, last in incidents)
        total.incidents += len(incidents)
        total.detected += detected
        total.false_alarms += false_alarms
        total.weeks += max(times[-1] - times[first] - labelled, 0) / WEEK_SECONDS
    return total


@numba.njit
def _count(
    times: np.ndarray,
    alerts: np.ndarray,
    incidents: np.ndarray,
    threshold: float,
    gap: float,
    longest: float,
    tolerance: float,
) -> tuple[int, int]:
    found = np.zeros(incidents.shape[1], np.bool_)
    false_alarms = 0
    is_open = False
    has_hit = False
    began, last = 0, 0
    for row in range(len(times)):
        if not alerts[row] >= threshold:
            continue
        time = times[row]
        if not is_open or time - last > gap or time - began > longest:
            if is_open and not has_hit:
                false_alarms += 1
            is_open, has_hit, began = True, False, time
        last = time
        for place in range(len(found)):
            if incidents[0, place] - tolerance <= time <= incidents[1, place] + tolerance:
                has_hit = True
                found[place] = True
    if is_open and not has_hit:
        false_alarms += 1
    return found.sum(), false_alarms


def thresholds_of(everything: Sequence[LabelledSeries], alerts: Sequence[np.ndarray]) -> np.ndarray:
    """Return thresholds worth trying, highest first: spaced by rank over the top tenth."""
    pooled = np.concatenate(
        [by_row[series.first_scored :] for series, by_row in zip(everything, alerts, strict=True)]
    )
    pooled = np.sort(np.nan_to_num(pooled)[np.nan_to_num(pooled) > 0])[::-1]
    if not len(pooled):
        return np.array([np.inf])
    ranks = np.geomspace(5, max(0.1 * len(pooled), 10), GRID).astype(np.int64)
    return np.unique(pooled[np.minimum(np.unique(ranks), len(pooled) - 1)])[::-1]


# --- ranking ---


def rank_quality(
    everything: Sequence[LabelledSeries], scores: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Return average precision and the soft area (VUS-PR), each the mean over labelled series."""
    precisions, areas = [], []
    for series, by_row in zip(everything, scores, strict=True):
        first = series.first_scored
        ranges = np.clip(series.ranges[series.ranges[:, 1] >= first] - first, 0, None)
        if not len(ranges):
            continue
        labels = np.zeros(len(series.times) - first)
        for start, last in ranges:
            labels[start : last + 1] = 1.0
        order = np.argsort(-np.nan_to_num(by_row[first:]), kind="stable")
        ranked = np.nan_to_num(by_row[first:])[order]
        precisions.append(_average_precision(ranked, labels[order]))
        areas.append(np.mean([_soft_area(ranked, order, labels, ranges, w) for w in BORDERS]))
    return float(np.mean(precisions)), float(np.mean(areas))


@numba.njit
def _average_precision(ranked: np.ndarray, labels: np.ndarray) -> float:
    total = labels.sum()
    area, seen, before = 0.0, 0.0, 0.0
    for place in range(len(ranked)):
        seen += labels[place]
        if place == len(ranked) - 1 or ranked[place + 1] != ranked[place]:
            area += (seen - before) / total * seen / (place + 1)
            before = seen
    return area


@numba.njit
def _soft_area(
    ranked: np.ndarray, order: np.ndarray, labels: np.ndarray, ranges: np.ndarray, width: int
) -> float:
    """Return the area under precision and recall with labels that fade over `width` rows."""
    count = len(labels)
    soft = labels.copy()
    owner = np.full(count, -1)
    for place in range(len(ranges)):
        start, last = ranges[place]
        owner[start : last + 1] = place
        if width == 0:
            continue
        low, high = max(start - width // 2, 0), min(last + width // 2 + 1, count)
        for row in range(last + 1, high):
            soft[row] = min(1.0, soft[row] + np.sqrt(1 - (row - last) / width))
        for row in range(low, start):
            soft[row] = min(1.0, soft[row] + np.sqrt(1 - (start - row) / width))
        for row in range(low, high):
            if owner[row] < 0:
                owner[row] = place
    positives = labels.sum()
    hit = np.zeros(len(ranges), np.bool_)
    inside, around, area, recall_before = 0.0, 0.0, 0.0, 0.0
    taken = 0
    for step in range(RANKS):
        rank = min(count - 1, int(np.exp(np.log(count) * step / (RANKS - 1))) - 1)
        while taken <= rank or (0 < taken < count and ranked[taken] == ranked[taken - 1]):
            row = order[taken]
            inside += soft[row]
            if labels[row] == 0:
                around += soft[row]
            if owner[row] >= 0:
                hit[owner[row]] = True
            taken += 1
        recall = min(inside / ((2 * positives + around) / 2), 1.0) * hit.sum() / len(ranges)
        if recall > recall_before:
            area += (recall - recall_before) * inside / taken
            recall_before = recall
    return area

"""Ranks the metrics of a generated incident as the product does, without a database."""

from typing import Protocol

import numpy as np

from anomify.metric.moved import (
    INTERVAL_MS,
    SILENCE_STRENGTH,
    USUAL_MS,
    UnusualPoints,
    Usual,
    interval_rows,
    ranked_moves,
)
from anomify.metric.moved_onset import LATER_MS, SEARCHED_BEFORE_MS
from anomify.metric.moved_order import LEAST_STRENGTH, moves_of
from tests.kit.moved_incidents import MINUTE, Incident, Points, unusual_of

# What the product learns about metrics that report every minute.
STALE_AFTER_MS = 5 * MINUTE


class Generated(Protocol):
    """Metrics without incidents, and what is unusual about them."""

    @property
    def unusual(self) -> list[UnusualPoints]: ...

    def points_of(self, number: int) -> Points: ...

    def incident(self, generator: np.random.Generator) -> Incident: ...


def ranked(metrics: Generated, incident: Incident) -> list[int]:
    """Return the metrics in the order in which the product shows them."""
    from_ms, until_ms = incident.from_ms, incident.until_ms

    def points_of(number: int) -> Points:
        return incident.changed.get(number) or metrics.points_of(number)

    found: list[tuple[int, int, int, float, bool]] = []
    usual = {}
    newest = max(points_of(number)[0][-1] for number in range(len(metrics.unusual)))
    for number, clean in enumerate(metrics.unusual):
        changed = incident.changed.get(number)
        points = clean if changed is None else unusual_of(number, changed)
        rows = interval_rows(points, np.ones_like(points.times))
        before = [
            row["strength"]
            for row in rows
            if from_ms - USUAL_MS <= row["interval"] * INTERVAL_MS < from_ms
        ]
        usual[number] = Usual(len(before), sum(before) - LEAST_STRENGTH * len(before))
        found += [
            (number, row["first_ms"], row["last_ms"], row["strength"], row["is_silence"])
            for row in rows
            if row["first_ms"] < until_ms and row["last_ms"] >= from_ms
        ]
        last = int(points_of(number)[0][-1])
        if from_ms <= last + MINUTE and last + STALE_AFTER_MS < min(until_ms, newest):
            found.append((number, last + MINUTE, last + MINUTE, SILENCE_STRENGTH, True))
    if not found:
        return []
    columns = [np.array(column) for column in zip(*sorted(found), strict=True)]

    def around(number: int, first_ms: int) -> Points:
        times, values = points_of(number)
        end_ms = min(first_ms + LATER_MS + 1, max(until_ms, first_ms + 1))
        first, end = np.searchsorted(times, (first_ms - SEARCHED_BEFORE_MS, end_ms))
        return times[first:end], values[first:end]

    order, moves = ranked_moves(moves_of(*columns), usual, from_ms, until_ms, around)
    shown: list[int] = moves.metric_ids[order].tolist()
    return shown


def by_z_score(metrics: Generated, incident: Incident) -> list[int]:
    """Return the metrics by the largest z-score in the window against the day before it."""
    sizes = []
    for number in range(len(metrics.unusual)):
        times, values = incident.changed.get(number) or metrics.points_of(number)
        day = incident.from_ms - 1440 * MINUTE
        start, first, last = np.searchsorted(times, (day, incident.from_ms, incident.until_ms))
        before = values[start:first]
        spread = np.std(before) or 1e-9
        sizes.append(np.abs(values[first:last] - np.mean(before)).max(initial=0.0) / spread)
    shown: list[int] = np.argsort(-np.array(sizes)).tolist()
    return shown

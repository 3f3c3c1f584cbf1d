"""Points that are judged but not in a chunk yet: held in memory, and stored in the log."""

from dataclasses import dataclass

import numpy as np

from anomify.series import Int64s, Judgements, Points


@dataclass(frozen=True, slots=True)
class Tick:
    """The rows of one tick, in the order in which they were accepted for each metric."""

    offsets: Int64s
    points: Points
    judgements: Judgements


class Unsealed:
    """Holds the ticks since the oldest checkpoint."""

    def __init__(self) -> None:
        """Start empty."""
        self._ticks: list[Tick] = []
        self._count = 0

    def __len__(self) -> int:
        """Return how many points it holds."""
        return self._count

    def add(self, tick: Tick) -> None:
        """Add the rows of a tick."""
        if len(tick.points):
            self._ticks.append(tick)
            self._count += len(tick.points)

    def of_partition(self, partition: int, partitions: int, after: int) -> Tick:
        """Return the rows of a partition's metrics beyond that log offset."""
        parts = []
        for tick in self._ticks:
            rows = (tick.points.metric_ids % partitions == partition) & (tick.offsets > after)
            if rows.any():
                parts.append(_rows(tick, np.flatnonzero(rows)))
        return _joined(parts)

    def of_metrics(self, metric_ids: Int64s, from_ms: int, until_ms: int) -> Tick:
        """Return the rows of these metrics in the window, ends included, as accepted."""
        parts = []
        # Looking up each row is faster than comparing it with all of these metrics.
        wanted = np.zeros(int(metric_ids.max(initial=0)) + 1, bool)
        wanted[metric_ids] = True
        for tick in self._ticks:
            times, ids = tick.points.times, tick.points.metric_ids
            rows = np.flatnonzero((ids < len(wanted)) & (times >= from_ms) & (times <= until_ms))
            rows = rows[wanted[ids[rows]]]
            if len(rows):
                parts.append(_rows(tick, rows))
        return _joined(parts)

    def drop(self, through: int) -> None:
        """Drop the ticks up to an offset that every partition has sealed."""
        self._ticks = [tick for tick in self._ticks if int(tick.offsets.max()) > through]
        self._count = sum(len(tick.points) for tick in self._ticks)


def _rows(tick: Tick, rows: Int64s) -> Tick:
    return Tick(tick.offsets[rows], tick.points.of(rows), tick.judgements.of(rows))


def _joined(parts: list[Tick]) -> Tick:
    if not parts:
        return Tick(np.empty(0, np.int64), Points.empty(), Judgements.none(0))
    return Tick(
        np.concatenate([part.offsets for part in parts]),
        Points.joined([part.points for part in parts]),
        Judgements(
            np.concatenate([part.judgements.scores for part in parts]),
            np.concatenate([part.judgements.lowers for part in parts]),
            np.concatenate([part.judgements.uppers for part in parts]),
        ),
    )

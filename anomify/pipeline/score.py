"""Score the new points of all metrics in one call of the engine: states in, verdicts out."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from anomify.detection.detector import Verdicts, judge
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState, EngineSummary, describe
from anomify.detection.threshold import THRESHOLDS, Severity
from anomify.detection.tuning import Tuning, tune
from anomify.series import Bools, Float64s, Int64s, Points, lengthened
from anomify.storage.log import LogRow

# The longest time for which a sender collects points; a delivery that covers more is history.
MOST_LAG_MS = 3_600_000
# How much of the known lag is kept at each delivery that covers less, in percent.
LAG_KEPT_PERCENT = 99
FIRST_CAPACITY = 256
NO_SLOT = -1
# From this alert on an anomaly opens where people have set nothing else.
LEAST_ALERT = THRESHOLDS[Severity.LOW]
# Unix milliseconds need 43 bits until the year 2248; the other bits hold the place of a metric.
TIME_BITS = 43


@dataclass(frozen=True, slots=True)
class WaitTimes:
    """How long to wait for the next points of some metrics, a row each.

    `stale_after_ms` is the longest time between two points, `lag_ms` how long the sender collects
    points before it sends them together.
    """

    stale_after_ms: Int64s
    lag_ms: Int64s


Columns = TypeVar("Columns", Verdicts, EngineSummary, WaitTimes)


@dataclass(frozen=True, slots=True)
class Fresh:
    """The points of some rows of the log in log order, each with its offset and its origin."""

    points: Points
    offsets: Int64s
    is_backfill: Bools
    ended: Points
    through_offset: int

    @classmethod
    def of_rows(cls, rows: list[LogRow]) -> "Fresh":
        """Return the entries of consecutive log rows one after the other."""
        counts = [len(row.entry.points) for row in rows]
        return cls(
            points=Points.joined([row.entry.points for row in rows]),
            offsets=np.repeat(np.array([row.offset for row in rows], np.int64), counts),
            is_backfill=np.repeat(np.array([row.entry.is_backfill for row in rows], bool), counts),
            ended=Points.joined([row.entry.ended for row in rows]),
            through_offset=rows[-1].offset if rows else 0,
        )

    def after(self, least_offset_of: Int64s, partitions: int) -> "Fresh":
        """Return only the rows that lie after their partition's offset."""
        return self.of(self.offsets > least_offset_of[self.points.metric_ids % partitions])

    def of(self, rows: Bools) -> "Fresh":
        """Return only these rows; `ended` is unchanged."""
        return Fresh(
            self.points.of(rows),
            self.offsets[rows],
            self.is_backfill[rows],
            self.ended,
            self.through_offset,
        )

    def joined(self, more: "Fresh") -> "Fresh":
        """Return these rows and then those; `ended` is unchanged."""
        return Fresh(
            Points.joined([self.points, more.points]),
            np.append(self.offsets, more.offsets),
            np.append(self.is_backfill, more.is_backfill),
            self.ended,
            self.through_offset,
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """The fresh rows, ordered by metric, then as they were accepted, with a verdict each."""

    points: Points
    offsets: Int64s
    is_backfill: Bools
    # At or before a point of the same metric that was accepted earlier: stored, never judged.
    is_late: Bools
    verdicts: Verdicts
    # Where each metric's rows begin; metric i has rows starts[i] to starts[i + 1].
    metric_ids: Int64s
    starts: Int64s
    # What the engine has learnt about each of the metrics so far.
    summary: EngineSummary
    wait_times: WaitTimes
    # The alert from which an anomaly of each of the metrics opens.
    least_alerts: Float64s

    @property
    def has_moved(self) -> Bools:
        """Return for each of the metrics whether any of its points was not late."""
        in_turn = np.add.accumulate(np.append(0, ~self.is_late))
        moved: Bools = in_turn[self.starts[1:]] > in_turn[self.starts[:-1]]
        return moved

    def rows_of(self, metrics: Bools) -> Bools:
        """Return a mask of the rows of the metrics in a mask of the metrics."""
        rows: Bools = np.repeat(metrics, np.diff(self.starts))
        return rows

    def of_metrics(self, metrics: Bools) -> "Scored":
        """Return only the rows of the metrics in a mask of the metrics."""
        rows = self.rows_of(metrics)
        return Scored(
            self.points.of(rows),
            self.offsets[rows],
            self.is_backfill[rows],
            self.is_late[rows],
            _columns_of(self.verdicts, rows),
            self.metric_ids[metrics],
            np.append(0, np.cumsum(np.diff(self.starts)[metrics])),
            _columns_of(self.summary, metrics),
            _columns_of(self.wait_times, metrics),
            self.least_alerts[metrics],
        )


class Scorer:
    """The engine states that are loaded, found by metric id."""

    def __init__(self) -> None:
        """Start with no state loaded."""
        self.state = EngineState.new(FIRST_CAPACITY)
        self._slots = np.full(FIRST_CAPACITY, NO_SLOT, np.int64)
        self._metrics = np.full(FIRST_CAPACITY, NO_SLOT, np.int64)
        self._free = list(range(FIRST_CAPACITY - 1, -1, -1))
        self._tunings: dict[int, Tuning] = {}
        # The lag of each metric (see `WaitTimes`), by metric id.
        self._lags_ms = np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Return how many states are loaded."""
        return self.state.capacity - len(self._free)

    def loaded(self) -> Int64s:
        """Return the ids of the metrics whose state is loaded, ascending."""
        loaded: Int64s = np.sort(self._metrics[self._metrics != NO_SLOT])
        return loaded

    def not_loaded(self, metric_ids: Int64s) -> Int64s:
        """Return those of the metrics whose state is not loaded."""
        missing: Int64s = metric_ids[self._slots_of(metric_ids) == NO_SLOT]
        return missing

    def score(self, fresh: Fresh) -> Scored:
        """Judge every point, in log order for each metric; new metrics start with a new state."""
        # Within one log entry the points are sorted by time; across entries the order of the log
        # is kept, so that a replay gives the same verdicts.
        order = np.lexsort((fresh.points.times, fresh.offsets, fresh.points.metric_ids))
        points = fresh.points.of(order)
        metric_ids, starts = np.unique(points.metric_ids, return_index=True)
        slots = self._slots_for(metric_ids)
        counts = np.diff(np.append(starts, len(points)))
        known = describe(self.state, slots)
        is_late = _late(points.times, counts, known.last_times)
        verdicts = judge(self.state, np.repeat(slots, counts), points.times, points.values)
        offsets, is_backfill = fresh.offsets[order], fresh.is_backfill[order]
        live = np.flatnonzero(~is_late & ~is_backfill)
        self._note_deliveries(points.of(live), offsets[live])
        return Scored(
            points,
            offsets,
            is_backfill,
            is_late,
            verdicts,
            metric_ids,
            np.append(starts, len(points)),
            describe(self.state, slots),
            self.wait_times_of(metric_ids),
            self._least_alerts(slots),
        )

    def tune(self, metric_id: int, tuning: Tuning) -> None:
        """Judge a metric with this tuning from its next point on, loaded or not."""
        self._tunings[metric_id] = tuning
        slot = int(self._slots_of(np.array([metric_id], np.int64))[0])
        if slot != NO_SLOT:
            tune(self.state, slot, tuning)

    def load(self, metric_ids: Int64s, snapshot: bytes) -> None:
        """Load the states of these metrics from a result of `snapshot_of`."""
        slots = self._slots_for(metric_ids)
        self.state.insert(slots, snapshot)
        # The settings may be newer than the state.
        for slot, metric_id in zip(slots.tolist(), metric_ids.tolist(), strict=True):
            if metric_id in self._tunings:
                tune(self.state, slot, self._tunings[metric_id])

    def snapshot_of(self, metric_ids: Int64s) -> bytes:
        """Return the states of these metrics, all of them loaded, in this order."""
        return self.state.extract(self._slots_of(metric_ids))

    def unload(self, metric_ids: Iterable[int]) -> None:
        """Drop the states of these metrics from memory."""
        for metric_id in metric_ids:
            slot = int(self._slots[metric_id])
            if slot == NO_SLOT:
                continue
            self.state.clear(np.array([slot], np.int64))
            self._slots[metric_id] = NO_SLOT
            self._metrics[slot] = NO_SLOT
            self._free.append(slot)

    def summary_of(self, metric_ids: Int64s) -> EngineSummary:
        """Return what the engine has learnt about these metrics, all of them loaded."""
        return describe(self.state, self._slots_of(metric_ids))

    def wait_times_of(self, metric_ids: Int64s) -> WaitTimes:
        """Return how long to wait for points of these metrics, all of them loaded."""
        self._lags_ms = lengthened(self._lags_ms, int(metric_ids.max(initial=0)) + 1, 0)
        return WaitTimes(
            stale_after_ms(self.state, self._slots_of(metric_ids)), self._lags_ms[metric_ids]
        )

    def _least_alerts(self, slots: Int64s) -> Float64s:
        wanted = self.state.slots["set_threshold"][slots]
        least: Float64s = np.where(wanted > 0.0, wanted, LEAST_ALERT)
        return least

    def _note_deliveries(self, points: Points, offsets: Int64s) -> None:
        """Update the lags by the time that each log entry covers of a metric; rows are in order."""
        metric_ids, times = points.metric_ids, points.times
        if not len(times):
            return
        self._lags_ms = lengthened(self._lags_ms, int(metric_ids.max()) + 1, 0)
        starts = _where_changes(metric_ids, offsets)
        spans = times[np.append(starts[1:], len(times)) - 1] - times[starts]
        metric_ids = metric_ids[starts]
        # Most metrics come point by point: their lag is and stays zero.
        matters = (spans > 0) | (self._lags_ms[metric_ids] > 0)
        noted = np.flatnonzero(np.isin(metric_ids, metric_ids[matters]))
        for metric_id, span_ms in zip(
            metric_ids[noted].tolist(), spans[noted].tolist(), strict=True
        ):
            faded = int(self._lags_ms[metric_id]) * LAG_KEPT_PERCENT // 100
            self._lags_ms[metric_id] = max(span_ms if span_ms <= MOST_LAG_MS else 0, faded)

    def _slots_of(self, metric_ids: Int64s) -> Int64s:
        self._slots = lengthened(self._slots, int(metric_ids.max(initial=0)) + 1, NO_SLOT)
        slots: Int64s = self._slots[metric_ids]
        return slots

    def _slots_for(self, metric_ids: Int64s) -> Int64s:
        slots = self._slots_of(metric_ids)
        missing = np.flatnonzero(slots == NO_SLOT)
        if len(missing) > len(self._free):
            self._grow(len(missing) - len(self._free))
        for row in missing:
            slot = self._free.pop()
            self._slots[metric_ids[row]] = slot
            self._metrics[slot] = metric_ids[row]
            slots[row] = slot
            if tuning := self._tunings.get(int(metric_ids[row])):
                tune(self.state, slot, tuning)
        return slots

    def _grow(self, least: int) -> None:
        old = self.state.capacity
        new = max(2 * old, old + least)
        self.state.grow(new)
        self._metrics = lengthened(self._metrics, new, NO_SLOT)
        self._free.extend(range(new - 1, old - 1, -1))


def _columns_of(table: Columns, rows: Bools) -> Columns:
    """Return the rows in the mask of a value whose fields are arrays of one length."""
    return replace(table, **{each.name: getattr(table, each.name)[rows] for each in fields(table)})


def _where_changes(*columns: Int64s) -> Int64s:
    """Return the first row of each stretch in which every column stays the same."""
    is_first = np.zeros(len(columns[0]), bool)
    is_first[0] = True
    for column in columns:
        is_first[1:] |= column[1:] != column[:-1]
    starts: Int64s = np.flatnonzero(is_first)
    return starts


def _late(times: Int64s, counts: Int64s, last_times: Int64s) -> Bools:
    """Return for rows ordered by metric whether that time or a later one came before.

    The running maximum over (place of the metric, time) as one number restarts at each metric.
    """
    if not len(times):
        return np.zeros(0, bool)
    places = np.repeat(np.arange(len(counts), dtype=np.int64), counts) << TIME_BITS
    so_far = np.maximum.accumulate(places + times)
    before = np.empty_like(so_far)
    before[0] = -1
    before[1:] = so_far[:-1]
    is_late: Bools = places + times <= np.maximum(before, places + np.repeat(last_times, counts))
    return is_late

"""The tail: points that are in the log and not in chunks yet, in memory, indexed by metric.

Batches are merged to sorted runs of growing size, as in P. O'Neil et al., "The Log-Structured
Merge-Tree", Acta Informatica 33 (1996).
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from anomify.series import Float64s, Int64s, Judgements, Points
from anomify.storage.codec import Judged
from anomify.storage.log import PointLog

# Batches are kept unsorted up to so many rows or batches, then they are sorted into one run.
MOST_FRESH_ROWS = 65_536
MOST_FRESH_BATCHES = 32
# So many runs of about the same size are merged into one.
RUNS_MERGED = 8
MOST_ROWS_LISTED = 1024
MOST_BYTES_LOADED = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of many metrics; `orders` is the order of writing, `offsets` the log offsets."""

    metric_ids: Int64s
    times: Int64s
    orders: Int64s
    offsets: Int64s
    columns: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.times)

    def of(self, rows: np.ndarray | slice) -> "_Rows":
        # Where order and offset are the same numbers they stay one array.
        orders = self.orders[rows]
        offsets = orders if self.offsets is self.orders else self.offsets[rows]
        columns = tuple(column[rows] for column in self.columns)
        return _Rows(self.metric_ids[rows], self.times[rows], orders, offsets, columns)

    def of_metric(self, metric_id: int) -> slice:
        """Return where a metric's rows are; only of rows that are sorted by metric."""
        first, end = np.searchsorted(self.metric_ids, (metric_id, metric_id + 1))
        return slice(int(first), int(end))

    def after(self, offset: int) -> "_Rows":
        return self.of(self.offsets > offset)

    @classmethod
    def joined(cls, parts: Sequence["_Rows"]) -> "_Rows":
        if len(parts) == 1:
            return parts[0]
        orders = np.concatenate([part.orders for part in parts])
        is_one = all(part.offsets is part.orders for part in parts)
        return cls(
            np.concatenate([part.metric_ids for part in parts]),
            np.concatenate([part.times for part in parts]),
            orders,
            orders if is_one else np.concatenate([part.offsets for part in parts]),
            tuple(
                np.concatenate(columns)
                for columns in zip(*(part.columns for part in parts), strict=True)
            ),
        )


class _Runs:
    """Rows that are appended in batches and read by metric; safe for many threads.

    Batches are kept unsorted at first; several are sorted by metric into one run, and several runs
    of about the same size are merged into a larger one, so that a read searches few of them.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._merging = threading.Lock()
        self._fresh: list[_Rows] = []
        self._fresh_rows = 0
        self._runs: tuple[_Rows, ...] = ()

    def __len__(self) -> int:
        with self._guard:
            return self._fresh_rows + sum(len(run) for run in self._runs)

    def append(self, rows: _Rows) -> None:
        with self._guard:
            self._fresh.append(rows)
            self._fresh_rows += len(rows)
            if self._fresh_rows >= MOST_FRESH_ROWS or len(self._fresh) >= MOST_FRESH_BATCHES:
                self._sort_fresh()

    def of_metric(self, metric_id: int) -> _Rows | None:
        """Return a metric's rows in the order of writing."""
        runs, fresh = self._snapshot()
        parts = []
        for run in runs:
            where = run.of_metric(metric_id)
            if where.stop > where.start:
                parts.append(run.of(where))
        for batch in fresh:
            rows = np.flatnonzero(batch.metric_ids == metric_id)
            if len(rows):
                parts.append(batch.of(rows))
        if not parts:
            return None
        found = _Rows.joined(parts)
        return found if len(parts) == 1 and _is_rising(found.orders) else _in_order(found)

    def prune(self, through: int) -> None:
        """Drop batches and runs up to this offset, and the old rows of runs that are mostly old."""
        with self._merging:
            for run in self._runs:
                old = int(np.count_nonzero(run.offsets <= through))
                if old == len(run):
                    self._replace((run,), None)
                elif 2 * old > len(run):
                    # Less would not be worth the copy; readers look at offsets themselves.
                    self._replace((run,), run.after(through))
            with self._guard:
                self._fresh = [rows for rows in self._fresh if rows.offsets.max() > through]
                self._fresh_rows = sum(len(rows) for rows in self._fresh)

    def merge_runs(self) -> None:
        """Merge runs of about the same size; appends and reads do not wait for it."""
        with self._merging:
            while runs := self._mergeable():
                self._replace(runs, _sorted(_Rows.joined(runs)))

    def _snapshot(self) -> tuple[tuple[_Rows, ...], list[_Rows]]:
        with self._guard:
            return self._runs, self._fresh.copy()

    def _sort_fresh(self) -> None:
        self._runs = (*self._runs, _sorted(_Rows.joined(self._fresh)))
        self._fresh = []
        self._fresh_rows = 0

    def _mergeable(self) -> tuple[_Rows, ...]:
        sizes: dict[int, list[_Rows]] = {}
        for run in self._runs:
            alike = sizes.setdefault(int(np.log2(len(run))) // 3, [])
            alike.append(run)
            if len(alike) == RUNS_MERGED:
                return tuple(alike)
        return ()

    def _replace(self, old: tuple[_Rows, ...], new: _Rows | None) -> None:
        with self._guard:
            kept = tuple(run for run in self._runs if all(run is not gone for gone in old))
            self._runs = kept if new is None else (*kept, new)


class Tail:
    """The unsealed points of one database, from appends of this process and from the log.

    Safe for many threads. Every entry of the log is added once, whichever process wrote it.
    """

    def __init__(self) -> None:
        """Begin empty; the first `follow` reads the log."""
        self._runs = _Runs()
        self._guard = threading.Lock()
        self._following = threading.Lock()
        # Every entry up to this offset has been added, or was pruned before.
        self._followed = 0
        # Later entries that have been added already.
        self._ahead: set[int] = set()

    def __len__(self) -> int:
        """Return how many rows are in memory."""
        return len(self._runs)

    def append(self, offset: int, points: Points) -> None:
        """Add the points of the log's entry at this offset; a second time changes nothing."""
        with self._guard:
            if offset <= self._followed or offset in self._ahead:
                return
            self._ahead.add(offset)
            if len(points):
                orders = np.full(len(points), offset)
                columns = (points.values,)
                self._runs.append(_Rows(points.metric_ids, points.times, orders, orders, columns))

    def follow(self, log: PointLog) -> None:
        """Add the entries that other processes have written; one short query when there are none.

        Offsets become visible in their order, so an offset that is missing below the greatest
        visible one is never written later, and no entry is skipped.
        """
        with self._following:
            while listed := log.list_offsets(self._followed, most_rows=MOST_ROWS_LISTED):
                for offsets in self._missing(listed):
                    for row in log.read_rows(offsets):
                        self.append(row.offset, row.entry.points)
                with self._guard:
                    self._followed = listed[-1][0]
                    self._ahead = {offset for offset in self._ahead if offset > self._followed}
                if len(listed) < MOST_ROWS_LISTED:
                    break
        self._runs.merge_runs()

    def _missing(self, listed: list[tuple[int, int]]) -> Iterator[list[int]]:
        """Yield the offsets that have not been added, in parts of limited size."""
        with self._guard:
            missing = [(offset, size) for offset, size in listed if offset not in self._ahead]
        piece: list[int] = []
        total = 0
        for offset, size in missing:
            if piece and total + size > MOST_BYTES_LOADED:
                yield piece
                piece, total = [], 0
            piece.append(offset)
            total += size
        if piece:
            yield piece

    def read(self, metric_id: int, from_ms: int, until_ms: int) -> tuple[Int64s, Float64s, Int64s]:
        """Return times, values and log offsets of a metric's points, in the order of writing.

        `from_ms` is included, `until_ms` is not. A time may come more than once: the last wins.
        Points that have been sealed may still be among them; compare their offsets.
        """
        rows = self._runs.of_metric(metric_id)
        if rows is None:
            return np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
        rows = _between(rows, from_ms, until_ms)
        return rows.times, rows.columns[0], rows.offsets

    def prune(self, through: int) -> None:
        """Drop points up to this offset, which are in chunks."""
        self._runs.prune(through)


class ScoreTail:
    """The judgements of unsealed points, batch by batch as the worker has committed them."""

    def __init__(self) -> None:
        """Begin empty."""
        self._runs = _Runs()
        self._guard = threading.Lock()
        self._last_id = 0

    def __len__(self) -> int:
        """Return how many judgements are in memory."""
        return len(self._runs)

    @property
    def last_id(self) -> int:
        """The greatest batch id added so far, 0 before the first."""
        return self._last_id

    def append(self, batch_id: int, through_offset: int, judged: Judged) -> None:
        """Add one batch; ids must come in order, and a second time changes nothing.

        `through_offset` is the log offset up to which its points have been judged.
        """
        with self._guard:
            if batch_id <= self._last_id:
                return
            self._last_id = batch_id
            if len(judged):
                judgements = judged.judgements
                self._runs.append(
                    _Rows(
                        judged.metric_ids,
                        judged.times,
                        np.full(len(judged), batch_id),
                        np.full(len(judged), through_offset),
                        (judgements.scores, judgements.lowers, judgements.uppers),
                    )
                )

    def merge_runs(self) -> None:
        """Merge runs, so that reads search few of them; call it regularly."""
        self._runs.merge_runs()

    def read(
        self, metric_id: int, from_ms: int, until_ms: int
    ) -> tuple[Int64s, Judgements, Int64s]:
        """Return times, judgements and through-offsets of a metric, in the order of judging.

        `from_ms` is included, `until_ms` is not. A time may come more than once: the last wins.
        """
        rows = self._runs.of_metric(metric_id)
        if rows is None:
            return np.empty(0, np.int64), Judgements.none(0), np.empty(0, np.int64)
        rows = _between(rows, from_ms, until_ms)
        scores, lowers, uppers = rows.columns
        return rows.times, Judgements(scores, lowers, uppers), rows.offsets

    def prune(self, through: int) -> None:
        """Drop judgements of points up to this offset, which are in chunks."""
        self._runs.prune(through)


def _between(rows: _Rows, from_ms: int, until_ms: int) -> _Rows:
    is_inside = (rows.times >= from_ms) & (rows.times < until_ms)
    return rows if is_inside.all() else rows.of(is_inside)


def _is_rising(orders: Int64s) -> bool:
    return bool((orders[1:] >= orders[:-1]).all())


def _in_order(rows: _Rows) -> _Rows:
    # Stable: rows of one batch keep their order, and a batch is never in two places.
    return rows.of(np.argsort(rows.orders, kind="stable"))


def _sorted(rows: _Rows) -> _Rows:
    """Return the rows sorted by metric; the rows of a metric keep their order."""
    return rows.of(stable_order(rows.metric_ids))


def stable_order(ids: Int64s) -> Int64s:
    """Return the stable order of int64 (n,), n >= 1, by a radix sort of 16 bits at a time.

    numpy sorts 16-bit numbers by radix, several times as fast as longer ones. Ids are dense, so
    one or two passes suffice.

    >>> stable_order(np.array([3, 1, 3, 2]))
    array([1, 3, 0, 2])
    """
    distances = (ids - ids.min()).view(np.uint64)
    order = np.argsort(distances.astype(np.uint16), kind="stable")
    greatest = int(distances.max())
    for shift in range(16, greatest.bit_length(), 16):
        digits = (distances >> np.uint64(shift)).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    return order

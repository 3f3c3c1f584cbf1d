"""The chunk store: four hours of one metric packed into one blob, sealed from the log."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Self

import numpy as np
from sqlalchemy import Connection, delete

from anomify.db import batches
from anomify.series import Int64s, Judgements, Points, Series
from anomify.storage.chunk_keys import (
    BUCKET_MS,
    BUCKET_ZERO,
    NEWEST_MS,
    OLDEST_MS,
    bucket_of,
    buckets_of,
    chunk_keys,
    key_of,
    keys_of,
)
from anomify.storage.chunk_reader import Chunk, ChunkReader, in_pieces
from anomify.storage.chunk_rows import (
    REPLACE_BLOB,
    delete_chunks_between,
    encode_row,
    list_metrics,
    lock_chunks,
    write_rows,
)
from anomify.storage.codec import encode_series
from anomify.storage.database import PointDatabase
from anomify.storage.errors import Damaged
from anomify.storage.merging import joined, judge_anew, merge
from anomify.storage.tables import point_chunks

MOST_METRICS_SWEPT = 1000
# Each may have two thousand chunks a year.
MOST_METRICS_FORGOTTEN = 20


class ChunkStore(ChunkReader):
    """The chunks of one database, for reading and writing. Repeating a write changes nothing."""

    def __init__(
        self, database: PointDatabase, fence: Callable[[Connection], None] = lambda _: None
    ) -> None:
        """Use this database; nothing is opened before the first call.

        Each transaction that changes stored series begins with `fence`, which raises where the
        caller may not write any more.
        """
        super().__init__(database)
        self._fence = fence

    def fenced(self, fence: Callable[[Connection], None]) -> Self:
        """Return the same chunks with another fence."""
        fenced = copy.copy(self)
        fenced._fence = fence  # noqa: SLF001 -- a copy of this object
        return fenced

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Store these chunks as they are, except where a newer one is stored already."""
        keys = np.array([key_of(chunk.metric_id, bucket_of(chunk.bucket_ms)) for chunk in chunks])
        for month, places in self._parts(keys):
            rows = [
                encode_row(int(keys[place]), chunks[place].through_offset, chunks[place].series)
                for place in places
            ]
            self._write_month(month, partial(write_rows, rows=rows))

    def seal(self, points: Points, judgements: Judgements, through_offset: int) -> None:
        """Merge points and their judgements, row by row, into the chunks.

        The points must be in the order of the log and must be all that the log holds of their
        metrics up to `through_offset` and has not been sealed; they may begin earlier. A chunk
        that is already sealed further than that is left alone, so that this may be repeated.
        """
        keys = chunk_keys(points)
        order = np.argsort(keys, kind="stable")
        sorted_keys = keys[order]
        unique, starts = np.unique(sorted_keys, return_index=True)
        ends = np.append(starts[1:], len(keys))

        def seal_some(connection: Connection, chunks: Int64s) -> None:
            stored = lock_chunks(connection, unique[chunks])
            rows = []
            for chunk in chunks:
                key = int(unique[chunk])
                through, blob = stored.get(key, (-1, None))
                if through > through_offset:
                    continue
                fresh = order[starts[chunk] : ends[chunk]]
                known = None if blob is None else self._damage.read_or_keep(key, through, blob)
                series = _merged(known, points.of(fresh), judgements.of(fresh))
                rows.append(encode_row(key, through_offset, series))
            write_rows(connection, rows)

        for month, chunks in self._parts(unique):
            self._write_month(month, partial(seal_some, chunks=chunks))

    def rewrite_scores(self, metric_id: int, times: Int64s, judgements: Judgements) -> None:
        """Replace the judgements of a metric's sealed points at these times, also by NaN.

        `times` are ascending; those that are not stored are ignored.
        """
        if not len(times):
            return
        buckets = np.unique(buckets_of(times))
        first, last = int(buckets[0]), int(buckets[-1])
        for month in self._database.months(first, last):
            wanted = buckets[self._database.months_of(buckets) == month]
            for some in in_pieces(wanted):
                keys = keys_of(metric_id, some)
                self._write_month(
                    month, partial(self._rejudge, keys=keys, times=times, judgements=judgements)
                )

    def drop_before(self, ms: int) -> None:
        """Delete chunks that end by this time: whole months at once, then single chunks."""
        bucket = bucket_of(min(max(ms, OLDEST_MS), NEWEST_MS))
        for month in self._database.months_before(bucket):
            self._database.drop_month(month)
        for month in self._database.months(bucket, bucket):
            with self._damage.leaving_out(month):
                if self._sweep(month, bucket):
                    self._database.free_space(month)
        self.damaged_items.drop_before(bucket * BUCKET_MS)

    def forget(self, metric_ids: Sequence[int]) -> None:
        """Delete all chunks of these metrics."""
        keys = [_key_span(metric_id) for metric_id in metric_ids]
        for month in self._database.parts():
            for some in batches(keys, MOST_METRICS_FORGOTTEN):
                self._write_month(month, partial(delete_chunks_between, keys=some))
        self.damaged_items.forget_metrics(metric_ids)

    def pack_old_months(self, most: int) -> int:
        """Move up to `most` old months with few chunks to the shared part; return how many."""
        return self._database.pack_old_months(most)

    def keep_unsealable(self, points: Points, through_offset: int, reason: str) -> None:
        """Keep points of one metric that cannot be sealed as a damaged item."""
        self._damage.keep_points(points, through_offset, reason)

    def _rejudge(
        self, connection: Connection, keys: Int64s, times: Int64s, judgements: Judgements
    ) -> None:
        rows = []
        for key, (through, blob) in lock_chunks(connection, keys).items():
            series = self._damage.read_or_keep(key, through, blob)
            if series is None:
                connection.execute(delete(point_chunks).where(point_chunks.c.chunk_key == key))
                continue
            inside = slice(
                *np.searchsorted(times, (series.times[0], series.times[-1] + 1)).tolist()
            )
            replacing = Judgements(
                judgements.scores[inside], judgements.lowers[inside], judgements.uppers[inside]
            )
            rejudged = judge_anew(series, times[inside], replacing)
            rows.append({"key": key, "new_blob": encode_series(rejudged)})
        if rows:
            connection.execute(REPLACE_BLOB, rows)

    def _write_month(self, month: int, act: Callable[[Connection], object]) -> None:
        """Write a month in one transaction; a damaged month is replaced by a new one first."""
        try:
            with self._writing(month) as connection:
                act(connection)
        except Damaged as problem:
            part = self._database.part_of(month)
            kept = self._database.renew_month(part)
            self._damage.note_month(part, f"{problem.message} {kept}")
            with self._writing(month) as connection:
                act(connection)

    @contextmanager
    def _writing(self, month: int) -> Iterator[Connection]:
        with self._database.writing_chunks(month) as connection:
            self._fence(connection)
            yield connection

    def _sweep(self, month: int, bucket: int) -> bool:
        """Delete each metric's chunks before the bucket by index instead of scanning all chunks."""
        with self._database.reading_chunks(month) as connection:
            metric_ids = [] if connection is None else list_metrics(connection)
        is_swept = False
        for some in batches(metric_ids, MOST_METRICS_SWEPT):
            keys = [
                {"first": key_of(each, -BUCKET_ZERO), "last": key_of(each, bucket) - 1}
                for each in some
            ]
            with self._database.writing_chunks(month) as connection:
                is_swept |= delete_chunks_between(connection, keys)
        return is_swept


def _key_span(metric_id: int) -> dict[str, int]:
    return {"first": key_of(metric_id, -BUCKET_ZERO), "last": key_of(metric_id, BUCKET_ZERO - 1)}


def _merged(series: Series | None, points: Points, judgements: Judgements) -> Series:
    if series is None:
        return merge(points.times, points.values, judgements)
    return merge(
        np.concatenate([series.times, points.times]),
        np.concatenate([series.values, points.values]),
        joined([series.judgements, judgements]),
    )

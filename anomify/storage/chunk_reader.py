"""Reads sealed points from chunks: four hours of one metric packed into one blob."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from anomify.series import Float64s, Int64s, Points, Series
from anomify.storage.chunk_damage import ChunkDamage
from anomify.storage.chunk_keys import (
    BUCKET_MS,
    BUCKET_ZERO,
    NEWEST_MS,
    OLDEST_MS,
    bucket_of,
    bucket_of_key,
    buckets_of_keys,
    chunk_keys,
    describe_key,
    key_of,
    metric_of_key,
)
from anomify.storage.chunk_rows import (
    CHUNKS_BETWEEN,
    MOST_CHUNKS_READ,
    NEWEST_CHUNK,
    chunks_of_keys,
    decode_chunk,
    list_chunks_after,
)
from anomify.storage.database import PointDatabase
from anomify.storage.errors import Damaged
from anomify.storage.merging import joined
from anomify.storage.tables import point_chunks

# The most chunks of one transaction: many share one wait for the disk, and other writers do not
# wait long.
MOST_CHUNKS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Chunk:
    """The sealed points of one metric in one bucket of four hours.

    `series` has every point of theirs in the log up to `through_offset`.
    """

    metric_id: int
    bucket_ms: int
    through_offset: int
    series: Series


class ChunkReader:
    """The chunks of one database, for reading.

    A chunk that cannot be read is removed from use and kept as a damaged item, and a month whose
    file cannot be read is left out of reads.
    """

    def __init__(self, database: PointDatabase) -> None:
        """Use this database; nothing is opened before the first call."""
        self._database = database
        self._damage = ChunkDamage(database)
        self.damaged_items = self._damage.items

    def read(
        self, metric_id: int, from_ms: int, until_ms: int, *, most_points: int | None = None
    ) -> list[Chunk]:
        """Return the chunks that overlap this time of a metric, oldest first, whole.

        `from_ms` is included, `until_ms` is not. Where the time holds more than `most_points`,
        reading may stop once it has found more than that.
        """
        chunks: list[Chunk] = []
        count = 0
        for some in self._read(metric_id, from_ms, until_ms):
            chunks += some
            # The first chunk may begin before the time, and the last one end after it.
            count += sum(
                len(chunk.series)
                for chunk in some
                if from_ms <= chunk.bucket_ms <= until_ms - BUCKET_MS
            )
            if most_points is not None and count > most_points:
                break
        return chunks

    def _read(self, metric_id: int, from_ms: int, until_ms: int) -> Iterator[list[Chunk]]:
        """Yield a metric's chunks, oldest first, those of one query at a time."""
        if from_ms >= until_ms:
            return
        first = bucket_of(max(from_ms, OLDEST_MS))
        last = bucket_of(min(until_ms - 1, NEWEST_MS))
        for month in self._database.months_with(metric_id, first, last):
            # The part that old months share has other months too.
            begin, end = self._buckets_of(month)
            keys = {
                "first": key_of(metric_id, max(first, begin)),
                "last": key_of(metric_id, min(last, end)),
            }
            rows: Sequence[Any] | None = None
            while rows is None or len(rows) == MOST_CHUNKS_READ:
                rows = []
                with (
                    self._damage.leaving_out(month),
                    self._database.reading_chunks(month) as connection,
                ):
                    if connection is not None:
                        rows = connection.execute(CHUNKS_BETWEEN, keys).all()
                if rows:
                    keys["first"] = rows[-1][0] + 1
                    yield [chunk for row in rows if (chunk := self._chunk(month, *row))]

    def _buckets_of(self, month: int) -> tuple[int, int]:
        """Return the first and the last bucket of a month that a key can have."""
        first_ms, end_ms = self._database.span_of(month)
        return max(first_ms // BUCKET_MS, -BUCKET_ZERO), min(
            (end_ms - 1) // BUCKET_MS, BUCKET_ZERO - 1
        )

    def read_parts(self, metric_id: int) -> Iterator[list[Chunk]]:
        """Yield all chunks of a metric, oldest first, some weeks at a time."""
        yield from self._read(metric_id, OLDEST_MS, NEWEST_MS + 1)

    def read_series(self, metric_id: int) -> Iterator[Series]:
        """Yield all sealed points of a metric, oldest first, as a few series."""
        for chunks in self.read_parts(metric_id):
            parts = [chunk.series for chunk in chunks]
            if not parts:
                continue
            yield Series(
                np.concatenate([part.times for part in parts]),
                np.concatenate([part.values for part in parts]),
                joined([part.judgements for part in parts]),
            )

    def read_all(self, metric_id: int) -> Series:
        """Return all sealed points of a metric, oldest first."""
        return self.read_since(metric_id, OLDEST_MS)

    def read_since(self, metric_id: int, from_ms: int) -> Series:
        """Return the sealed points of a metric from the chunk of that time on, oldest first."""
        return self.read_between(metric_id, from_ms, NEWEST_MS + 1)

    def read_between(self, metric_id: int, from_ms: int, until_ms: int) -> Series:
        """Return the sealed points of the chunks that overlap this time of a metric, in order."""
        parts = [chunk.series for chunk in self.read(metric_id, from_ms, until_ms)]
        if not parts:
            return Series.empty()
        return Series(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.values for part in parts]),
            joined([part.judgements for part in parts]),
        )

    def values_at(self, points: Points) -> Float64s:
        """Return the sealed value of each of these metrics and times, NaN where there is none.

        float64 (n,). Each chunk is read once; the values of `points` are ignored.
        """
        values = np.full(len(points), np.nan)
        keys = chunk_keys(points)
        order = np.argsort(keys, kind="stable")
        unique, starts = np.unique(keys[order], return_index=True)
        ends = np.append(starts[1:], len(keys))
        for month, chunks in self._parts(unique):
            found: Sequence[Any] = []
            with (
                self._damage.leaving_out(month),
                self._database.reading_chunks(month) as connection,
            ):
                if connection is not None:
                    found = connection.execute(chunks_of_keys(unique[chunks])).all()
            for row in found:
                series = self._damage.read_or_remove(month, row[0], row[2])
                if series is None:
                    continue
                chunk = int(np.searchsorted(unique, row[0]))
                rows = order[starts[chunk] : ends[chunk]]
                at = np.minimum(np.searchsorted(series.times, points.times[rows]), len(series) - 1)
                is_known = series.times[at] == points.times[rows]
                values[rows[is_known]] = series.values[at[is_known]]
        return values

    def latest(self, metric_ids: Int64s) -> list[Chunk]:
        """Return the newest chunk of each of these metrics that has any."""
        missing = {int(metric_id) for metric_id in metric_ids}
        found = []
        for month in reversed(self._database.months(-BUCKET_ZERO, BUCKET_ZERO - 1)):
            with (
                self._damage.leaving_out(month),
                self._database.reading_chunks(month) as connection,
            ):
                if connection is None:
                    continue
                for metric_id in sorted(missing):
                    newest = self._newest(month, connection, metric_id)
                    if newest is not None:
                        found.append(newest)
                        missing.discard(metric_id)
            if not missing:
                break
        return found

    def check(self) -> Iterator[tuple[int, str | None]]:
        """Read every chunk without changing anything.

        Yields pairs: how many chunks were read, and None or a sentence about one that is damaged.
        """
        for month in self._database.parts():
            after = -1
            try:
                while True:
                    with self._database.reading_chunks(month) as connection:
                        rows = [] if connection is None else list_chunks_after(connection, after)
                    for key, _, blob in rows:
                        try:
                            decode_chunk(key, blob)
                        except Damaged as problem:
                            yield 0, f"{describe_key(key)}: {problem.message}"
                    yield len(rows), None
                    if len(rows) < MOST_CHUNKS_READ:
                        break
                    after = rows[-1][0]
            except Damaged as problem:
                yield 0, f"{self._database.name_of(month)}: {problem.message}"

    def greatest_metric(self) -> int:
        """Return the greatest id of a metric that has chunks, 0 without any."""
        greatest = 0
        for month in self._database.parts():
            with (
                self._damage.leaving_out(month),
                self._database.reading_chunks(month) as connection,
            ):
                if connection is not None:
                    key = connection.execute(select(func.max(point_chunks.c.chunk_key))).scalar()
                    greatest = max(greatest, metric_of_key(key or 0))
        return greatest

    def size_bytes(self) -> int:
        """Return the disk space of chunks and log."""
        return self._database.size_bytes()

    def _newest(self, month: int, connection: Connection, metric_id: int) -> Chunk | None:
        first, last = self._buckets_of(month)
        keys = {"first": key_of(metric_id, first), "last": key_of(metric_id, last)}
        while row := connection.execute(NEWEST_CHUNK, keys).first():
            chunk = self._chunk(month, *row)
            if chunk is not None:
                return chunk
            keys["last"] = row[0] - 1
        return None

    def _chunk(self, month: int, key: int, through_offset: int, blob: bytes) -> Chunk | None:
        """Return a stored chunk, None of a damaged one."""
        series = self._damage.read_or_remove(month, key, blob)
        if series is None:
            return None
        return Chunk(metric_of_key(key), bucket_of_key(key) * BUCKET_MS, through_offset, series)

    def _parts(self, keys: Int64s) -> Iterator[tuple[int, Int64s]]:
        """Yield month by month the positions of these keys, at most those of one transaction."""
        if not len(keys):
            return
        months = self._database.months_of(buckets_of_keys(keys))
        for month in np.unique(months):
            for rows in in_pieces(np.flatnonzero(months == month)):
                yield int(month), rows


def in_pieces(rows: Int64s) -> Iterator[Int64s]:
    """Yield the rows in order, at most those of one transaction at a time."""
    for first in range(0, len(rows), MOST_CHUNKS_AT_ONCE):
        yield rows[first : first + MOST_CHUNKS_AT_ONCE]

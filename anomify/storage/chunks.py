"""The chunk store: four hours of one metric packed into one blob, sealed from the log."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from sqlalchemy import Connection, Select, bindparam, delete, func, select, update

from anomify.db import batches, upsert
from anomify.errors import Unavailable
from anomify.series import Float64s, Int64s, Judgements, Points, Series
from anomify.storage.codec import Damaged, decode_series, encode_entry, encode_series
from anomify.storage.engines import BUCKET_MS, KEY_BUCKET_BITS, PointDatabase, list_metrics
from anomify.storage.merging import joined, judge_anew, merge
from anomify.storage.setaside import Kind, Shelf
from anomify.storage.tables import point_chunks

# A key is the metric and, in its low bits, the bucket: one metric's chunks lie side by side, and
# the times of 240 years around 1970 fit.
_BUCKET_BITS = KEY_BUCKET_BITS
_BUCKETS = 1 << _BUCKET_BITS
_BUCKET_ZERO = _BUCKETS // 2
OLDEST_MS = -_BUCKET_ZERO * BUCKET_MS
NEWEST_MS = _BUCKET_ZERO * BUCKET_MS - 1
MOST_METRIC_ID = (1 << (63 - _BUCKET_BITS)) - 1

# Chunks that one transaction reads and writes: many share one wait for the disk, and yet nobody
# else who writes waits long.
MOST_CHUNKS_WRITTEN = 500
# Chunks of one question: six weeks of a metric, about 200,000 points where one comes every 15 s.
MOST_CHUNKS_READ = 512
MOST_METRICS_SWEPT = 1000
# Each may have two thousand chunks a year.
MOST_METRICS_FORGOTTEN = 20

_logger = logging.getLogger(__name__)

_BETWEEN = (
    select(point_chunks)
    .where(point_chunks.c.chunk_key >= bindparam("first"))
    .where(point_chunks.c.chunk_key <= bindparam("last"))
    .order_by(point_chunks.c.chunk_key)
    .limit(MOST_CHUNKS_READ)
)
_NEWEST = (
    select(point_chunks)
    .where(point_chunks.c.chunk_key >= bindparam("first"))
    .where(point_chunks.c.chunk_key <= bindparam("last"))
    .order_by(point_chunks.c.chunk_key.desc())
    .limit(1)
)
_DELETE_BETWEEN = (
    delete(point_chunks)
    .where(point_chunks.c.chunk_key >= bindparam("first"))
    .where(point_chunks.c.chunk_key <= bindparam("last"))
)
_ONE = select(point_chunks).where(point_chunks.c.chunk_key == bindparam("key"))
_REPLACE = (
    update(point_chunks)
    .where(point_chunks.c.chunk_key == bindparam("key"))
    .values(blob=bindparam("new_blob"))
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is sealed of one metric in one bucket of four hours.

    Every entry of the log up to `through_offset` that concerns them is in `series`.
    """

    metric_id: int
    bucket_ms: int
    through_offset: int
    series: Series


class ChunkStore:
    """The chunks of one database. Every write may be repeated: it changes nothing then.

    A chunk that cannot be read is set aside: it is kept elsewhere, and everything goes on as if
    it had never been. So does everything without a month whose file cannot be read.
    """

    def __init__(
        self, database: PointDatabase, fence: Callable[[Connection], None] = lambda _: None
    ) -> None:
        """Use this database; nothing is opened before the first call.

        Each transaction that changes stored series begins with `fence`, which raises where the
        caller may not write any more.
        """
        self._database = database
        self.shelf = Shelf(database)
        self._fence = fence

    def fenced(self, fence: Callable[[Connection], None]) -> Self:
        """Return the same chunks for a caller who may lose the right to write."""
        fenced = copy.copy(self)
        fenced._fence = fence  # noqa: SLF001 -- a copy of ourselves
        return fenced

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
        """Give a metric's chunks, oldest first, as many at once as one question is for."""
        if from_ms >= until_ms:
            return
        first = bucket_of(max(from_ms, OLDEST_MS))
        last = bucket_of(min(until_ms - 1, NEWEST_MS))
        for month in self._database.months_with(metric_id, first, last):
            # What old months share holds others too.
            begin, end = self._buckets_of(month)
            keys = {
                "first": _key(metric_id, max(first, begin)),
                "last": _key(metric_id, min(last, end)),
            }
            rows: Sequence[Any] | None = None
            while rows is None or len(rows) == MOST_CHUNKS_READ:
                rows = []
                with self._or_without(month), self._database.reading_chunks(month) as connection:
                    if connection is not None:
                        rows = connection.execute(_BETWEEN, keys).all()
                if rows:
                    keys["first"] = rows[-1][0] + 1
                    yield [chunk for row in rows if (chunk := self._chunk(month, *row))]

    def _buckets_of(self, month: int) -> tuple[int, int]:
        """Return the first and the last bucket of a month that a key can name."""
        first_ms, end_ms = self._database.span_of(month)
        return max(first_ms // BUCKET_MS, -_BUCKET_ZERO), min(
            (end_ms - 1) // BUCKET_MS, _BUCKET_ZERO - 1
        )

    def read_parts(self, metric_id: int) -> Iterator[list[Chunk]]:
        """Give all that is sealed of a metric, oldest first, some weeks at a time."""
        yield from self._read(metric_id, OLDEST_MS, NEWEST_MS + 1)

    def read_series(self, metric_id: int) -> Iterator[Series]:
        """Give all that is sealed of a metric as some series, one after the other."""
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
        """Return everything that is sealed of a metric, oldest first."""
        return self.read_since(metric_id, OLDEST_MS)

    def read_since(self, metric_id: int, from_ms: int) -> Series:
        """Return what is sealed of a metric from the chunk of that time on, oldest first."""
        parts = [chunk.series for chunk in self.read(metric_id, from_ms, NEWEST_MS + 1)]
        if not parts:
            return Series.empty()
        return Series(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.values for part in parts]),
            joined([part.judgements for part in parts]),
        )

    def values_at(self, points: Points) -> Float64s:
        """Return what is sealed of each of these metrics and times, NaN where nothing is.

        Each chunk is read once, however many of its points are asked for; values of `points` do
        not matter.
        """
        values = np.full(len(points), np.nan)
        keys = chunk_keys(points)
        order = np.argsort(keys, kind="stable")
        unique, starts = np.unique(keys[order], return_index=True)
        ends = np.append(starts[1:], len(keys))
        for month, chunks in self._parts(unique):
            found: Sequence[Any] = []
            with self._or_without(month), self._database.reading_chunks(month) as connection:
                if connection is not None:
                    found = connection.execute(_of_keys(unique[chunks])).all()
            for row in found:
                read = self._chunk(month, *row)
                if read is None:
                    continue
                chunk = int(np.searchsorted(unique, row[0]))
                rows = order[starts[chunk] : ends[chunk]]
                series = read.series
                at = np.minimum(np.searchsorted(series.times, points.times[rows]), len(series) - 1)
                is_known = series.times[at] == points.times[rows]
                values[rows[is_known]] = series.values[at[is_known]]
        return values

    def latest(self, metric_ids: Int64s) -> list[Chunk]:
        """Return the newest chunk of each of these metrics that has any."""
        missing = {int(metric_id) for metric_id in metric_ids}
        found = []
        for month in reversed(self._database.months(-_BUCKET_ZERO, _BUCKET_ZERO - 1)):
            with self._or_without(month), self._database.reading_chunks(month) as connection:
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

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Keep these chunks as they are, except where a newer one is stored already."""
        keys = np.array([_key(chunk.metric_id, bucket_of(chunk.bucket_ms)) for chunk in chunks])
        for month, places in self._parts(keys):
            rows = [
                _row(int(keys[place]), chunks[place].through_offset, chunks[place].series)
                for place in places
            ]
            self._write_month(month, partial(_upsert, rows=rows))

    def seal(self, points: Points, judgements: Judgements, through_offset: int) -> None:
        """Merge points, and what was said of them row by row, into their chunks.

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
            stored = _stored(connection, unique[chunks])
            rows = []
            for chunk in chunks:
                key = int(unique[chunk])
                through, blob = stored.get(key, (-1, None))
                if through > through_offset:
                    continue
                fresh = order[starts[chunk] : ends[chunk]]
                known = None if blob is None else self._known(key, through, blob)
                series = _merged(known, points.of(fresh), judgements.of(fresh))
                rows.append(_row(key, through_offset, series))
            _upsert(connection, rows)

        for month, chunks in self._parts(unique):
            self._write_month(month, partial(seal_some, chunks=chunks))

    def rewrite_scores(self, metric_id: int, times: Int64s, judgements: Judgements) -> None:
        """Replace what is said of a metric's stored points at these times, by silence too.

        `times` are ascending; those that are not stored are passed over.
        """
        if not len(times):
            return
        buckets = np.unique(_buckets(times))
        first, last = int(buckets[0]), int(buckets[-1])
        for month in self._database.months(first, last):
            wanted = buckets[self._database.months_of(buckets) == month]
            for some in _pieces(wanted):
                keys = _keys(metric_id, some)
                self._write_month(
                    month, partial(self._rejudge, keys=keys, times=times, judgements=judgements)
                )

    def drop_before(self, ms: int) -> None:
        """Forget what is wholly older than this time: whole months at once, then single chunks."""
        bucket = bucket_of(min(max(ms, OLDEST_MS), NEWEST_MS))
        for month in self._database.months_before(bucket):
            self._database.drop_month(month)
        for month in self._database.months(bucket, bucket):
            with self._or_without(month):
                if self._sweep(month, bucket):
                    self._database.give_back(month)
        self.shelf.drop_before(bucket * BUCKET_MS)

    def forget(self, metric_ids: Sequence[int]) -> None:
        """Forget all that is sealed of these metrics."""
        keys = [_keys_of_metric(metric_id) for metric_id in metric_ids]
        for month in self._database.parts():
            for some in batches(keys, MOST_METRICS_FORGOTTEN):
                self._write_month(month, partial(_delete_between, keys=some))
        self.shelf.forget_metrics(metric_ids)

    def pack_old_months(self, most: int) -> int:
        """Store up to so many old months together that have few chunks; return how many it did."""
        return self._database.pack_old_months(most)

    def check(self) -> Iterator[tuple[int, str | None]]:
        """Look at every chunk, changing nothing: give how many were looked at and what is wrong.

        A pair is a number of chunks, or a sentence about one that cannot be read.
        """
        for month in self._database.parts():
            after = -1
            try:
                while True:
                    with self._database.reading_chunks(month) as connection:
                        rows = [] if connection is None else _some_after(connection, after)
                    for key, _, blob in rows:
                        try:
                            _series_of(key, blob)
                        except Damaged as problem:
                            yield 0, f"{_named(key)}: {problem.message}"
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
            with self._or_without(month), self._database.reading_chunks(month) as connection:
                if connection is not None:
                    key = connection.execute(select(func.max(point_chunks.c.chunk_key))).scalar()
                    greatest = max(greatest, (key or 0) >> _BUCKET_BITS)
        return greatest

    def set_points_aside(self, points: Points, through_offset: int, reason: str) -> None:
        """Keep points of one metric that no chunk takes, as bytes that `decode_entry` reads."""
        self.shelf.add(
            Kind.POINTS,
            int(points.metric_ids[0]),
            encode_entry(points, Points.empty(), is_backfill=False),
            reason,
            metric_id=int(points.metric_ids[0]),
            span_ms=(int(points.times.min()), int(points.times.max()) + 1),
            through_offset=through_offset,
        )

    def _newest(self, month: int, connection: Connection, metric_id: int) -> Chunk | None:
        first, last = self._buckets_of(month)
        keys = {"first": _key(metric_id, first), "last": _key(metric_id, last)}
        while row := connection.execute(_NEWEST, keys).first():
            chunk = self._chunk(month, *row)
            if chunk is not None:
                return chunk
            keys["last"] = row[0] - 1
        return None

    def _chunk(self, month: int, key: int, through_offset: int, blob: bytes) -> Chunk | None:
        """Return a chunk as it is stored; None of one that is damaged, which is then set aside."""
        try:
            series = _series_of(key, blob)
        except Damaged as problem:
            try:
                self._take_out(month, key, problem)
            except (Unavailable, Damaged) as trouble:
                # It is left out all the same; whoever meets it next tries again.
                _logger.warning("%s cannot be set aside now: %s", _named(key), trouble)
            return None
        return Chunk(key >> _BUCKET_BITS, _bucket(key) * BUCKET_MS, through_offset, series)

    def _take_out(self, month: int, key: int, problem: Damaged) -> None:
        with self._database.writing_chunks(month) as connection:
            # It may have been written anew since it was read.
            for _, through, blob in connection.execute(_ONE, {"key": key}).all():
                if self._known(key, through, blob) is None:
                    connection.execute(delete(point_chunks).where(point_chunks.c.chunk_key == key))
                else:
                    _logger.warning("%s can be read after all: %s", _named(key), problem)

    def _known(self, key: int, through_offset: int, blob: bytes) -> Series | None:
        """Return what a chunk holds; a damaged one is kept elsewhere, and its row may go."""
        try:
            return _series_of(key, blob)
        except Damaged as problem:
            self.shelf.add(
                Kind.CHUNK,
                key,
                blob,
                problem.message,
                metric_id=key >> _BUCKET_BITS,
                span_ms=(_bucket(key) * BUCKET_MS, (_bucket(key) + 1) * BUCKET_MS),
                through_offset=through_offset,
            )
            return None

    def _rejudge(
        self, connection: Connection, keys: Int64s, times: Int64s, judgements: Judgements
    ) -> None:
        rows = []
        for key, (through, blob) in _stored(connection, keys).items():
            series = self._known(key, through, blob)
            if series is None:
                connection.execute(delete(point_chunks).where(point_chunks.c.chunk_key == key))
                continue
            inside = slice(
                *np.searchsorted(times, (series.times[0], series.times[-1] + 1)).tolist()
            )
            told = Judgements(
                judgements.scores[inside], judgements.lowers[inside], judgements.uppers[inside]
            )
            rejudged = judge_anew(series, times[inside], told)
            rows.append({"key": key, "new_blob": encode_series(rejudged)})
        if rows:
            connection.execute(_REPLACE, rows)

    @contextmanager
    def _or_without(self, month: int) -> Iterator[None]:
        """Go on without a month whose stored pages cannot be read; it is noted."""
        try:
            yield
        except Damaged as problem:
            self._note_month(month, problem.message)

    def _write_month(self, month: int, act: Callable[[Connection], object]) -> None:
        """Write a month in one transaction; a month that is damaged is begun anew for it."""
        try:
            with self._writing(month) as connection:
                act(connection)
        except Damaged as problem:
            part = self._database.part_of(month)
            kept = self._database.renew_month(part)
            self._note_month(part, f"{problem.message} {kept}")
            with self._writing(month) as connection:
                act(connection)

    def _note_month(self, month: int, reason: str) -> None:
        try:
            self.shelf.add(Kind.MONTH, month, b"", reason, span_ms=self._database.span_of(month))
        except (Unavailable, Damaged) as trouble:
            _logger.warning("the chunks of month %d cannot be read: %s %s", month, reason, trouble)

    def size_bytes(self) -> int:
        """Return how much disk chunks and log take together."""
        return self._database.size_bytes()

    @contextmanager
    def _writing(self, month: int) -> Iterator[Connection]:
        with self._database.writing_chunks(month) as connection:
            self._fence(connection)
            yield connection

    def _parts(self, keys: Int64s) -> Iterator[tuple[int, Int64s]]:
        """Give the positions of these keys month by month, as many as one transaction takes."""
        if not len(keys):
            return
        months = self._database.months_of((keys & (_BUCKETS - 1)) - _BUCKET_ZERO)
        for month in np.unique(months):
            for rows in _pieces(np.flatnonzero(months == month)):
                yield int(month), rows

    def _sweep(self, month: int, bucket: int) -> bool:
        """Delete each metric's chunks before the bucket: a few seeks instead of one long scan."""
        with self._database.reading_chunks(month) as connection:
            metric_ids = [] if connection is None else list_metrics(connection)
        is_swept = False
        for some in batches(metric_ids, MOST_METRICS_SWEPT):
            keys = [
                {"first": _key(each, -_BUCKET_ZERO), "last": _key(each, bucket) - 1}
                for each in some
            ]
            with self._database.writing_chunks(month) as connection:
                is_swept |= _delete_between(connection, keys)
        return is_swept


def bucket_of(ms: int) -> int:
    """Return the number of the bucket of four hours that holds this time."""
    return ms // BUCKET_MS


def chunk_keys(points: Points) -> Int64s:
    """Return for each point the key of the chunk it belongs to."""
    return (points.metric_ids << _BUCKET_BITS) | (_buckets(points.times) + _BUCKET_ZERO)


def _buckets(times: Int64s) -> Int64s:
    return times // BUCKET_MS


def _key(metric_id: int, bucket: int) -> int:
    return (metric_id << _BUCKET_BITS) | (bucket + _BUCKET_ZERO)


def _keys(metric_id: int, buckets: Int64s) -> Int64s:
    return (buckets + _BUCKET_ZERO) | (metric_id << _BUCKET_BITS)


def _keys_of_metric(metric_id: int) -> dict[str, int]:
    return {"first": _key(metric_id, -_BUCKET_ZERO), "last": _key(metric_id, _BUCKET_ZERO - 1)}


def _pieces(rows: Int64s) -> Iterator[Int64s]:
    for first in range(0, len(rows), MOST_CHUNKS_WRITTEN):
        yield rows[first : first + MOST_CHUNKS_WRITTEN]


def _bucket(key: int) -> int:
    return (key & (_BUCKETS - 1)) - _BUCKET_ZERO


def _named(key: int) -> str:
    since = np.datetime64(_bucket(key) * BUCKET_MS, "ms").astype("datetime64[m]")
    return f"the chunk of metric {key >> _BUCKET_BITS} from {since}Z"


def _series_of(key: int, blob: bytes) -> Series:
    """Return what the chunk of that key holds. Raises Damaged where it cannot be that chunk."""
    series = decode_series(blob)
    if not len(series):
        raise Damaged("A stored chunk is empty.")
    bucket = _bucket(key)
    first, last = int(series.times[0]), int(series.times[-1])
    if not bucket * BUCKET_MS <= first <= last < (bucket + 1) * BUCKET_MS:
        raise Damaged("A stored chunk holds points of another time.")
    return series


def _some_after(connection: Connection, key: int) -> Sequence[Any]:
    return connection.execute(_BETWEEN, {"first": key + 1, "last": (1 << 63) - 1}).all()


def _delete_between(connection: Connection, keys: Sequence[dict[str, int]]) -> bool:
    return connection.execute(_DELETE_BETWEEN, keys).rowcount != 0


def _row(key: int, through_offset: int, series: Series) -> dict[str, Any]:
    return {"chunk_key": key, "through_offset": through_offset, "blob": encode_series(series)}


def _merged(series: Series | None, points: Points, judgements: Judgements) -> Series:
    if series is None:
        return merge(points.times, points.values, judgements)
    return merge(
        np.concatenate([series.times, points.times]),
        np.concatenate([series.values, points.values]),
        joined([series.judgements, judgements]),
    )


def _stored(connection: Connection, keys: Int64s) -> dict[int, tuple[int, bytes]]:
    # In order of key and locked (where locks are of rows), so that two writers cannot deadlock.
    found = connection.execute(_of_keys(keys).with_for_update()).all()
    return {key: (through, blob) for key, through, blob in found}


def _of_keys(keys: Int64s) -> Select[Any, Any, Any]:
    wanted = point_chunks.c.chunk_key.in_(keys.tolist())
    return select(point_chunks).where(wanted).order_by(point_chunks.c.chunk_key)


def _upsert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    chunk = upsert(point_chunks, connection)
    connection.execute(
        chunk.on_conflict_do_update(
            index_elements=[point_chunks.c.chunk_key],
            set_={"through_offset": chunk.excluded.through_offset, "blob": chunk.excluded.blob},
            where=point_chunks.c.through_offset <= chunk.excluded.through_offset,
        ),
        rows,
    )

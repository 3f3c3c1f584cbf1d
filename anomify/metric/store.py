"""The store of datapoints: log, tail and chunks behind one interface."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from anomify.errors import AnomifyError, Invalid, Unavailable
from anomify.series import Float64s, Int64s, Judgements, Series
from anomify.storage.chunk_keys import BUCKET_MS, NEWEST_MS, OLDEST_MS
from anomify.storage.chunk_reader import Chunk
from anomify.storage.chunks import ChunkStore
from anomify.storage.codec import Judged, decode_judged
from anomify.storage.damaged_items import DamagedItemsCache, Kind
from anomify.storage.database import PointDatabase
from anomify.storage.errors import Damaged
from anomify.storage.log import Entry, PointLog
from anomify.storage.merging import joined, judge, merge
from anomify.storage.tail import ScoreTail, Tail

FOLLOW_SECONDS = 1.0
# About 250 MB of unsealed points in memory; beyond it new points are refused with a retry time.
MOST_UNSEALED = 10_000_000
RETRY_AFTER_SECONDS = 5

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommittedBatch:
    """One batch of judgements as the worker has committed it.

    `id` grows; `through_offset` is the log offset up to which its points are judged; `blob` is
    encoded by `anomify.storage.codec.encode_judged`.
    """

    id: int
    through_offset: int
    blob: bytes


# Returns some of the batches after an id, in order of id; none at the end.
JudgedAfter = Callable[[int], Sequence[CommittedBatch]]


class PointStore:
    """The datapoints of every metric, from the time they are accepted.

    May be shared by all threads of a process. Its own appends are visible at once; appends,
    judgements and seals of other processes after the next `follow`.
    """

    def __init__(self, database: PointDatabase, judged_after: JudgedAfter | None = None) -> None:
        """Combine log, tail and chunks of one database; call `follow` before the first read."""
        self.log = PointLog(database)
        self.chunks = ChunkStore(database)
        self.tail = Tail()
        self.score_tail = ScoreTail()
        self.damaged = DamagedItemsCache(self.chunks.damaged_items)
        self._database = database
        self._judged_after = judged_after
        self._sealed_through = 0
        self._is_closing = threading.Event()
        self._follower: threading.Thread | None = None
        self._also: Callable[[], None] = lambda: None

    def append(self, entry: Entry) -> int:
        """Store the entry durably, make it visible, and return its offset in the log.

        Raises Unavailable if it could not be stored or too many points are unsealed, and Invalid
        for times that no chunk can hold.
        """
        times = entry.points.times
        if len(self.tail) > MOST_UNSEALED:
            raise Unavailable(
                "The server is behind with judging and sealing; send the points again later.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        if len(times) and not OLDEST_MS <= times.min() <= times.max() <= NEWEST_MS:
            raise Invalid("A point's time is further away than can be stored.")
        offset = self.log.append(entry)
        self.tail.append(offset, entry.points)
        return offset

    def read(
        self, metric_id: int, from_ms: int, until_ms: int, *, most_points: int | None = None
    ) -> Series:
        """Return a metric's datapoints from `from_ms` up to but not including `until_ms`.

        Of a time that was written twice the later value counts; judgements are the latest ones.
        With `most_points`, a longer series may be incomplete, but has more points than that.
        """
        from_ms, until_ms = max(from_ms, OLDEST_MS), min(until_ms, NEWEST_MS + 1)
        # First the tail, then the chunks: points sealed in between are in both, which their offset
        # shows. In the other order they could be in neither.
        times, values, offsets = self.tail.read(metric_id, from_ms, until_ms)
        judged_times, judgements, through_offsets = self.score_tail.read(
            metric_id, from_ms, until_ms
        )
        chunks = self.chunks.read(metric_id, from_ms, until_ms, most_points=most_points)
        fresh = offsets > _sealed_offsets(chunks, times)
        series = _merged(chunks, times[fresh], values[fresh])
        # A score in a chunk may be newer than the one in the tail.
        fresh = through_offsets > _sealed_offsets(chunks, judged_times)
        series = judge(series, judged_times[fresh], judgements.of(fresh))
        first, end = np.searchsorted(series.times, (from_ms, until_ms))
        return series if end - first == len(series) else series.of(np.arange(first, end))

    def count(self, metric_id: int) -> int:
        """Return how many datapoints of a metric there are, each time once."""
        fresh, _, _ = self.tail.read(metric_id, OLDEST_MS, NEWEST_MS + 1)
        count = 0
        for chunks in self.chunks.read_parts(metric_id):
            for chunk in chunks:
                count += len(chunk.series)
                fresh = fresh[~np.isin(fresh, chunk.series.times)]
        return count + len(np.unique(fresh))

    def missing(self, metric_id: int, from_ms: int, until_ms: int) -> list[tuple[int, int]]:
        """Return the spans within this time whose stored points of the metric cannot be read."""
        return self.damaged.of(metric_id, from_ms, until_ms)

    def follow(self) -> None:
        """Read what other processes have appended, judged and sealed since the last call."""
        self.damaged.refresh()
        sealed = self.log.sealed_through()
        self.tail.follow(self.log)
        self._follow_judged()
        if sealed > self._sealed_through:
            # Chunks of everything up to there were committed before the mark was.
            self.tail.prune(sealed)
            self.score_tail.prune(sealed)
            self._sealed_through = sealed

    def start_following(self, also: Callable[[], None] = lambda: None) -> None:
        """Follow now, and then once a second in a thread of its own until `close`.

        `also` is called each time in that thread.
        """
        self._also = also
        self.follow()
        self._follower = threading.Thread(target=self._keep_following, name="follow", daemon=True)
        self._follower.start()

    @property
    def is_following(self) -> bool:
        """Return whether the thread is alive that follows the log, or none was started."""
        return self._follower is None or self._follower.is_alive()

    def drop_before(self, ms: int) -> None:
        """Delete the chunks that end before this time; a chunk holds four hours."""
        self.chunks.drop_before(ms)

    def close(self) -> None:
        """Stop following and close the database."""
        self._is_closing.set()
        if self._follower is not None:
            self._follower.join()
        self._database.close()

    def _follow_judged(self) -> None:
        if self._judged_after is None:
            return
        while batches := self._judged_after(self.score_tail.last_id):
            for batch in batches:
                self.score_tail.append(batch.id, batch.through_offset, self._judged(batch))
        self.score_tail.merge_runs()

    def _judged(self, batch: CommittedBatch) -> Judged:
        try:
            return decode_judged(batch.blob)
        except Damaged as problem:
            # The worker has them in memory and seals them; until then charts do not show them.
            self.chunks.damaged_items.add(Kind.SCORES, batch.id, batch.blob, problem.message)
            return Judged(np.empty(0, np.int64), np.empty(0, np.int64), Judgements.none(0))

    def _keep_following(self) -> None:
        while not self._is_closing.wait(FOLLOW_SECONDS):
            try:
                self.follow()
                self._also()
            except (AnomifyError, SQLAlchemyError) as problem:
                # The next call may succeed; until then charts lack points of other processes.
                _logger.warning("Following the log failed, trying again: %s", problem)
            except Exception:
                # The thread must not end, or charts would lack points of other processes.
                _logger.exception("Following the log failed, trying again")


def _sealed_offsets(chunks: list[Chunk], times: Int64s) -> Int64s:
    """Return for each time the offset through which its chunk is sealed, -1 without a chunk."""
    if not chunks or not len(times):
        return np.full(len(times), -1)
    starts = np.array([chunk.bucket_ms for chunk in chunks])
    through_offsets = np.array([chunk.through_offset for chunk in chunks])
    wanted = times // BUCKET_MS * BUCKET_MS
    at = np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)
    return np.where(starts[at] == wanted, through_offsets[at], -1)


def _merged(chunks: list[Chunk], times: Int64s, values: Float64s) -> Series:
    nothing = Judgements.none(len(times))
    if not chunks:
        return merge(times, values, nothing)
    parts = [chunk.series for chunk in chunks]
    return merge(
        np.concatenate([*(part.times for part in parts), times]),
        np.concatenate([*(part.values for part in parts), values]),
        joined([*(part.judgements for part in parts), nothing]),
    )

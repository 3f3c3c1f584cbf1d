"""Handles chunks and months that cannot be read: keeps them as damaged, and reads go on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import delete

from anomify.errors import Unavailable
from anomify.series import Points, Series
from anomify.storage.chunk_keys import BUCKET_MS, bucket_of_key, describe_key, metric_of_key
from anomify.storage.chunk_rows import ONE_CHUNK, decode_chunk
from anomify.storage.codec import encode_entry
from anomify.storage.damaged_items import DamagedItems, Kind
from anomify.storage.database import PointDatabase
from anomify.storage.errors import Damaged
from anomify.storage.tables import point_chunks

_logger = logging.getLogger(__name__)


class ChunkDamage:
    """Keeps damaged chunks of one database and removes them from use."""

    def __init__(self, database: PointDatabase) -> None:
        """Use this database; nothing is opened before the first call."""
        self._database = database
        self.items = DamagedItems(database)

    def read_or_remove(self, month: int, key: int, blob: bytes) -> Series | None:
        """Return the series of a chunk, None of a damaged one, which is then removed from use."""
        try:
            return decode_chunk(key, blob)
        except Damaged as problem:
            try:
                self._remove(month, key, problem)
            except (Unavailable, Damaged) as trouble:
                # It is left out of this read, and the next read of it tries again.
                _logger.warning("%s cannot be removed now: %s", describe_key(key), trouble)
            return None

    def _remove(self, month: int, key: int, problem: Damaged) -> None:
        with self._database.writing_chunks(month) as connection:
            # It may have been rewritten since it was read.
            for _, through, blob in connection.execute(ONE_CHUNK, {"key": key}).all():
                if self.read_or_keep(key, through, blob) is None:
                    connection.execute(delete(point_chunks).where(point_chunks.c.chunk_key == key))
                else:
                    _logger.warning("%s can be read after all: %s", describe_key(key), problem)

    def read_or_keep(self, key: int, through_offset: int, blob: bytes) -> Series | None:
        """Return the series of a chunk, None of a damaged one.

        The bytes of a damaged one are kept as an item, so that the caller may delete the row.
        """
        try:
            return decode_chunk(key, blob)
        except Damaged as problem:
            self.items.add(
                Kind.CHUNK,
                key,
                blob,
                problem.message,
                metric_id=metric_of_key(key),
                span_ms=(bucket_of_key(key) * BUCKET_MS, (bucket_of_key(key) + 1) * BUCKET_MS),
                through_offset=through_offset,
            )
            return None

    @contextmanager
    def leaving_out(self, month: int) -> Iterator[None]:
        """Catch `Damaged` of a month whose file cannot be read, and keep an item about it."""
        try:
            yield
        except Damaged as problem:
            self.note_month(month, problem.message)

    def note_month(self, month: int, reason: str) -> None:
        """Keep an item about a damaged month, without bytes; a failure is logged only."""
        try:
            self.items.add(Kind.MONTH, month, b"", reason, span_ms=self._database.span_of(month))
        except (Unavailable, Damaged) as trouble:
            _logger.warning("the chunks of month %d cannot be read: %s %s", month, reason, trouble)

    def keep_points(self, points: Points, through_offset: int, reason: str) -> None:
        """Keep points of one metric that cannot be sealed, as bytes that `decode_entry` reads."""
        self.items.add(
            Kind.POINTS,
            int(points.metric_ids[0]),
            encode_entry(points, Points.empty(), is_backfill=False),
            reason,
            metric_id=int(points.metric_ids[0]),
            span_ms=(int(points.times.min()), int(points.times.max()) + 1),
            through_offset=through_offset,
        )

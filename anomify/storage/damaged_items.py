"""Keeps stored bytes that cannot be read for the operator; reads leave them out."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from sqlalchemy import Connection, and_, delete, func, or_, select

from anomify.clock import now_ms
from anomify.db import batches, upsert
from anomify.errors import Unavailable
from anomify.storage.database import PointDatabase
from anomify.storage.tables import point_damaged

MOST_REASON_CHARACTERS = 1000
_logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """The kind of a damaged item. These words are stored and are labels of a metric."""

    CHUNK = "chunk"  # four hours of a metric
    MONTH = "month"  # a file with the chunks of a month
    ENTRY = "entry"  # one accepted request, in the log
    SCORES = "scores"  # judgements of points that are not sealed yet
    STATE = "state"  # a snapshot of the engine's state of some metrics
    POINTS = "points"  # points, readable, that could not be sealed


@dataclass(frozen=True, slots=True)
class DamagedItem:
    """One row of the table, without its bytes.

    `metric_id` is None for data of several metrics; `from_ms` and `until_ms`, unix milliseconds,
    are None for data without a known span of time.
    """

    id: int
    kind: Kind
    subject: int
    metric_id: int | None
    from_ms: int | None
    until_ms: int | None
    reason: str
    found_ms: int

    def concerns(self, metric_id: int, from_ms: int, until_ms: int) -> bool:
        """Return whether points of the metric in this window are missing because of it."""
        if self.kind not in {Kind.CHUNK, Kind.MONTH, Kind.POINTS}:
            return False
        if self.from_ms is None or self.until_ms is None:
            return False
        is_same = self.metric_id in {None, metric_id}
        return is_same and self.from_ms < until_ms and self.until_ms > from_ms

    def in_words(self) -> str:
        """Return its kind, metric, span of time and reason as one line of text."""
        what = f"{self.kind.value} {self.subject}" if self.metric_id is None else self.kind.value
        of_metric = "" if self.metric_id is None else f" of metric {self.metric_id}"
        if self.from_ms is None or self.until_ms is None:
            return f"{what}{of_metric}: {self.reason}"
        span = f"{_shown_time(self.from_ms)} to {_shown_time(self.until_ms)}"
        return f"{what}{of_metric}, {span}: {self.reason}"


_SHOWN = [column for column in point_damaged.c if column.name in DamagedItem.__dataclass_fields__]


class DamagedItems:
    """Reads and writes the table of damaged items in one database."""

    def __init__(self, database: PointDatabase) -> None:
        """Use this database; nothing is opened before the first call."""
        self._database = database
        # How many items were added through this object.
        self.additions = 0

    def add(
        self,
        kind: Kind,
        subject: int,
        blob: bytes,
        reason: str,
        *,
        metric_id: int | None = None,
        span_ms: tuple[int, int] | None = None,
        through_offset: int = 0,
    ) -> None:
        """Add a row durably; adding the same again changes nothing. Raises `Unavailable`."""
        with self._database.writing_log() as connection:
            keep_damaged(
                connection,
                kind,
                subject,
                blob,
                reason,
                metric_id=metric_id,
                span_ms=span_ms,
                through_offset=through_offset,
            )
        self.additions += 1

    def list(self) -> list[DamagedItem]:
        """Return all damaged items, oldest first."""
        with self._database.reading_log() as connection:
            rows = connection.execute(select(*_SHOWN).order_by(point_damaged.c.id)).all()
        return [DamagedItem(**{**row._mapping, "kind": Kind(row.kind)}) for row in rows]  # noqa: SLF001 -- its public name

    def newest(self) -> tuple[int, int]:
        """Return the greatest id and the number of rows; they differ after every change."""
        with self._database.reading_log() as connection:
            row = connection.execute(
                select(func.coalesce(func.max(point_damaged.c.id), 0), func.count()).select_from(
                    point_damaged
                )
            ).one()
        return int(row[0]), int(row[1])

    def blob(self, id_: int) -> bytes:
        """Return the bytes of one item as they were found."""
        with self._database.reading_log() as connection:
            blob = select(point_damaged.c.blob).where(point_damaged.c.id == id_)
            return bytes(connection.execute(blob).scalar_one())

    def forget(self, ids: Sequence[int]) -> None:
        """Delete these items with their bytes."""
        with self._database.writing_log() as connection:
            for some in batches(ids):
                connection.execute(delete(point_damaged).where(point_damaged.c.id.in_(some)))

    def forget_metrics(self, metric_ids: Sequence[int]) -> None:
        """Delete the items of these metrics."""
        if not self.newest()[1]:
            return
        with self._database.writing_log() as connection:
            for some in batches(metric_ids):
                connection.execute(delete(point_damaged).where(point_damaged.c.metric_id.in_(some)))

    def drop_before(self, ms: int) -> None:
        """Delete items whose span ends by this time; without a span, those found before it."""
        if not self.newest()[1]:
            return
        is_old = and_(point_damaged.c.until_ms.is_not(None), point_damaged.c.until_ms <= ms)
        is_undated = and_(point_damaged.c.until_ms.is_(None), point_damaged.c.found_ms <= ms)
        with self._database.writing_log() as connection:
            connection.execute(delete(point_damaged).where(or_(is_old, is_undated)))


def keep_damaged(
    connection: Connection,
    kind: Kind,
    subject: int,
    blob: object,
    reason: str,
    *,
    metric_id: int | None = None,
    span_ms: tuple[int, int] | None = None,
    through_offset: int = 0,
) -> None:
    """Add a row in the transaction of the caller, which removes the data, and log it."""
    kept = bytes(blob) if isinstance(blob, bytes | memoryview) else str(blob).encode()
    from_ms, until_ms = span_ms or (None, None)
    connection.execute(
        upsert(point_damaged, connection)
        .values(
            kind=kind.value,
            subject=subject,
            metric_id=metric_id,
            from_ms=from_ms,
            until_ms=until_ms,
            reason=reason[:MOST_REASON_CHARACTERS],
            found_ms=now_ms(),
            digest=hashlib.sha256(kept).hexdigest(),
            through_offset=through_offset,
            blob=kept,
        )
        .on_conflict_do_nothing()
    )
    item = DamagedItem(0, kind, subject, metric_id, from_ms, until_ms, reason, 0)
    _logger.error("kept as damaged: %s", item.in_words())


class DamagedItemsCache:
    """Caches the damaged items for reads of points; may be used by many threads."""

    def __init__(self, items: DamagedItems) -> None:
        """Begin empty; `refresh` fills the cache."""
        self._items = items
        self._seen = (0, 0)
        self._additions = 0
        self.all: tuple[DamagedItem, ...] = ()

    def refresh(self) -> None:
        """Read the rows again if they have changed since the last call; else one short query."""
        self._additions = self._items.additions
        try:
            seen = self._items.newest()
            if seen != self._seen:
                self.all, self._seen = tuple(self._items.list()), seen
        except Unavailable as problem:
            _logger.warning("the damaged items could not be looked up: %s", problem)

    def of(self, metric_id: int, from_ms: int, until_ms: int) -> list[tuple[int, int]]:
        """Return the spans of the window in which points of the metric are missing."""
        if self._additions != self._items.additions:
            # Damage that this read has found is reported in the same reply.
            self.refresh()
        if not self.all:
            return []
        spans = {
            (max(each.from_ms or 0, from_ms), min(each.until_ms or 0, until_ms))
            for each in self.all
            if each.concerns(metric_id, from_ms, until_ms)
        }
        return sorted(spans)


def _shown_time(ms: int) -> str:
    return f"{np.datetime64(ms, 'ms').astype('datetime64[m]')}Z"

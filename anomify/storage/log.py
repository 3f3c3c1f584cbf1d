"""The point log: accepted points in the order of their offsets, durable when `append` returns."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select
from sqlalchemy.dialects import sqlite

from anomify.clock import now_ms
from anomify.db import upsert
from anomify.errors import Unavailable
from anomify.series import Points
from anomify.storage.codec import decode_entry, encode_entry
from anomify.storage.damaged_items import Kind, keep_damaged
from anomify.storage.database import PointDatabase
from anomify.storage.errors import Damaged
from anomify.storage.tables import point_log, point_marks

# The limits of one group commit; further entries wait for the next transaction.
MOST_GROUP_ENTRIES = 256
MOST_GROUP_BYTES = 8 * 1024 * 1024
# While the database accepts no writes, at most so many threads wait for it, so that threads remain
# for reads. An append that cannot wait within this time raises Unavailable.
MOST_WAITING = 32
MOST_WAIT_SECONDS = 1.0

MOST_ROWS_READ = 256
MOST_BYTES_READ = 16 * 1024 * 1024
MOST_ROWS_LISTED = 4096
MOST_ROWS_PRUNED = 1024

_SEALED = "sealed"

_LIST = (
    select(point_log.c.log_offset, func.length(point_log.c.entry))
    .where(point_log.c.log_offset > bindparam("after"))
    .order_by(point_log.c.log_offset)
    .limit(bindparam("most"))
)
_FIRST_AFTER = (
    select(point_log.c.log_offset, point_log.c.accepted_ms)
    .where(point_log.c.log_offset > bindparam("after"))
    .order_by(point_log.c.log_offset)
    .limit(1)
)
_LAST = select(func.max(point_log.c.log_offset))
_SEALED_THROUGH = select(point_marks.c.log_offset).where(point_marks.c.name == _SEALED)
_OLDEST = (
    select(point_log.c.log_offset)
    .where(point_log.c.log_offset <= bindparam("through"))
    .order_by(point_log.c.log_offset)
    .limit(MOST_ROWS_PRUNED)
)


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of one append: accepted points, series that ended, and whether it is history.

    `points` are in the order of acceptance: a later row wins over an earlier one of the same
    metric and time. `ended` are stale markers; their values are not stored.
    """

    points: Points
    ended: Points
    is_backfill: bool = False


@dataclass(frozen=True, slots=True)
class LogRow:
    """One entry and its offset in the log."""

    offset: int
    entry: Entry


class _Waiting:
    """An entry that waits for a group commit, and its result."""

    __slots__ = ("blob", "error", "is_done", "offset")

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.offset = 0
        self.error: BaseException | None = None
        self.is_done = False


class PointLog:
    """The log of one database; many threads may append, and many processes.

    Threads that append at the same time share one transaction and so one wait for the disk.
    """

    def __init__(self, database: PointDatabase) -> None:
        """Use this database; nothing is opened before the first call."""
        self._database = database
        self._queue: deque[_Waiting] = deque()
        self._committing = threading.Lock()
        self._waiters = threading.BoundedSemaphore(MOST_WAITING)

    def append(self, entry: Entry) -> int:
        """Append the entry durably and return its offset.

        Offsets grow, and no smaller one becomes visible after a greater one. Raises `Unavailable`
        when the database refuses or too many threads wait already. The entry is not in the log
        then, unless the connection broke before the reply; appending it again is always correct.
        """
        if not self._waiters.acquire(timeout=MOST_WAIT_SECONDS):
            raise Unavailable("The store of points is busy; send them again.")
        try:
            return self._append(entry)
        finally:
            self._waiters.release()

    def _append(self, entry: Entry) -> int:
        mine = _Waiting(encode_entry(entry.points, entry.ended, is_backfill=entry.is_backfill))
        self._queue.append(mine)
        with self._committing:
            # The first thread commits the entries of all that wait; the others find theirs done.
            while not mine.is_done:
                self._commit_group()
        if mine.error is not None:
            raise Unavailable("The points could not be stored; send them again.") from mine.error
        return mine.offset

    def read(
        self, after: int, *, most_rows: int = MOST_ROWS_READ, most_bytes: int = MOST_BYTES_READ
    ) -> list[LogRow]:
        """Return the rows after this offset in order, as many as fit, and at least one if any.

        Rows that cannot be read are kept as damaged items and left out.
        """
        while True:
            offsets: list[int] = []
            size = 0
            for offset, length in self.list_offsets(after, most_rows=most_rows):
                size += length
                if offsets and size > most_bytes:
                    break
                offsets.append(offset)
            rows = self.read_rows(offsets)
            if rows or not offsets:
                return rows
            after = offsets[-1]

    def list_offsets(self, after: int, *, most_rows: int) -> list[tuple[int, int]]:
        """Return offset and size in bytes of the rows after this offset, without reading them."""
        with self._database.reading_log() as connection:
            found = connection.execute(_LIST, {"after": after, "most": most_rows})
            return [(offset, length) for offset, length in found]

    def read_rows(self, offsets: list[int]) -> list[LogRow]:
        """Return these rows in order, without those that have been pruned meanwhile.

        Those that cannot be read are kept as damaged items and left out.
        """
        if not offsets:
            return []
        wanted = set(offsets)
        between = (
            select(point_log.c.log_offset, point_log.c.entry)
            .where(point_log.c.log_offset >= bindparam("first"))
            .where(point_log.c.log_offset <= bindparam("last"))
            .order_by(point_log.c.log_offset)
        )
        if len(wanted) <= offsets[-1] - offsets[0]:
            between = between.where(point_log.c.log_offset.in_(sorted(wanted)))
        with self._database.reading_log() as connection:
            found = connection.execute(between, {"first": offsets[0], "last": offsets[-1]}).all()
        rows = []
        for offset, blob in found:
            try:
                rows.append(LogRow(offset, _entry(blob)))
            except Damaged as problem:
                self._keep_damaged(offset, blob, problem)
        return rows

    def greatest_metric(self) -> int:
        """Return the greatest id of a metric with points in the log, 0 without any."""
        greatest = after = 0
        while rows := self.read(after):
            after = rows[-1].offset
            for row in rows:
                greatest = max(greatest, int(row.entry.points.metric_ids.max(initial=0)))
        return greatest

    def greatest_offset(self) -> int:
        """Return the greatest offset that was ever assigned, also to deleted entries."""
        with self._database.reading_log() as connection:
            last = _last_offset(connection)
            if connection.dialect.name != "sqlite":
                return last
            given = connection.exec_driver_sql(
                "SELECT seq FROM sqlite_sequence WHERE name = 'point_log'"
            ).scalar()
            return max(last, int(given or 0))

    def check(self) -> list[tuple[int, str]]:
        """Return the offsets of the entries that cannot be read, and why, changing nothing."""
        problems = []
        after = 0
        while listed := self.list_offsets(after, most_rows=MOST_ROWS_READ):
            after = listed[-1][0]
            with self._database.reading_log() as connection:
                found = connection.execute(
                    select(point_log.c.log_offset, point_log.c.entry)
                    .where(point_log.c.log_offset.between(listed[0][0], listed[-1][0]))
                    .order_by(point_log.c.log_offset)
                )
                for offset, blob in found:
                    try:
                        _entry(blob)
                    except Damaged as problem:
                        problems.append((offset, problem.message))
        return problems

    def _keep_damaged(self, offset: int, blob: bytes, problem: Damaged) -> None:
        with self._database.writing_log() as connection:
            keep_damaged(connection, Kind.ENTRY, offset, blob, problem.message)
            connection.execute(delete(point_log).where(point_log.c.log_offset == offset))

    def first_after(self, offset: int) -> tuple[int, int | None] | None:
        """Return the next row after this offset and when it was accepted, in unix milliseconds.

        None where there is none. The moment is None in a row that an older version appended.
        """
        with self._database.reading_log() as connection:
            found = connection.execute(_FIRST_AFTER, {"after": offset}).first()
        return None if found is None else (int(found[0]), found[1])

    def last_offset(self) -> int:
        """Return the greatest offset there has been, 0 before the first; pruning keeps it."""
        with self._database.reading_log() as connection:
            return _last_offset(connection)

    def prune(self, through: int) -> None:
        """Delete the rows up to this offset and remember that they are sealed; may be repeated."""
        with self._database.writing_log() as connection:
            through = min(through, _last_offset(connection))
            _raise_mark(connection, through)
        while self._delete_some(through):
            pass

    def sealed_through(self) -> int:
        """Return the offset up to which the log has been pruned, 0 before the first time."""
        with self._database.reading_log() as connection:
            return int(connection.execute(_SEALED_THROUGH).scalar() or 0)

    def _commit_group(self) -> None:
        group = self._next_group()
        try:
            with self._database.appending_log() as connection:
                offsets = _insert(connection, [waiting.blob for waiting in group])
        except BaseException as problem:
            for waiting in group:
                waiting.error = problem
            if not isinstance(problem, Exception):
                raise
        else:
            for waiting, offset in zip(group, offsets, strict=True):
                waiting.offset = offset
        finally:
            for waiting in group:
                waiting.is_done = True

    def _next_group(self) -> list[_Waiting]:
        group = [self._queue.popleft()]
        size = len(group[0].blob)
        while self._queue and len(group) < MOST_GROUP_ENTRIES:
            size += len(self._queue[0].blob)
            if size > MOST_GROUP_BYTES:
                break
            group.append(self._queue.popleft())
        return group

    def _delete_some(self, through: int) -> bool:
        with self._database.writing_log() as connection:
            oldest = connection.execute(_OLDEST, {"through": through}).scalars().all()
            if oldest:
                connection.execute(delete(point_log).where(point_log.c.log_offset <= oldest[-1]))
        return len(oldest) == MOST_ROWS_PRUNED


def _entry(blob: bytes) -> Entry:
    points, ended, is_backfill = decode_entry(blob)
    return Entry(points, ended, is_backfill)


def _insert(connection: Connection, blobs: list[bytes]) -> list[int]:
    at_ms = now_ms()
    if connection.dialect.name == "sqlite":
        # The driver's own cursor, because this statement runs more often than any other.
        cursor: Any = connection.connection.cursor()
        return [cursor.execute(_SQLITE_INSERT, (blob, at_ms)).lastrowid for blob in blobs]
    rows = [{"entry": blob, "accepted_ms": at_ms} for blob in blobs]
    statement = insert(point_log).returning(point_log.c.log_offset, sort_by_parameter_order=True)
    return list(connection.execute(statement, rows).scalars())


_SQLITE_INSERT = str(
    insert(point_log).compile(dialect=sqlite.dialect(), column_keys=["entry", "accepted_ms"])
)


def _last_offset(connection: Connection) -> int:
    last = connection.execute(_LAST).scalar() or 0
    return max(int(last), int(connection.execute(_SEALED_THROUGH).scalar() or 0))


def _raise_mark(connection: Connection, through: int) -> None:
    mark = upsert(point_marks, connection).values(name=_SEALED, log_offset=through)
    connection.execute(
        mark.on_conflict_do_update(
            index_elements=[point_marks.c.name],
            set_={"log_offset": mark.excluded.log_offset},
            where=point_marks.c.log_offset < mark.excluded.log_offset,
        )
    )

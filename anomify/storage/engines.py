"""Where the tables of points lie: SQLite files of a folder, or one PostgreSQL database."""

import os
import re
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    NullPool,
    create_engine,
    event,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.clock import now_ms
from anomify.errors import AnomifyError, Unavailable
from anomify.series import Int64s
from anomify.storage.codec import Damaged
from anomify.storage.tables import (
    BUCKET_MASK,
    CHUNK_TABLES,
    LAYOUT,
    LOG_TABLES,
    OLD_CHUNK_TABLES,
    point_chunks,
)

# Four hours to a chunk: a day is read from six blobs, and rewriting one every fifteen minutes while
# it grows stays cheap (benchmarks/reading.py; two hours read a third slower, six seal slower).
BUCKET_MS = 4 * 3600 * 1000
# A key of a chunk is the metric and, in its low bits, the bucket; see `chunks`.
KEY_BUCKET_BITS = 21

# How long a writer waits for another one before the caller is told to come again.
BUSY_SECONDS = 5
# Of so many months or fewer nobody asks first whether they hold the metric.
MOST_MONTHS_TRIED = 3
# What a month holds is remembered of a file that has not changed for so long, and only where few
# metrics are in it: a month of more is opened.
UNCHANGED_SECONDS = 2.0
MOST_METRICS_KNOWN = 4096
MOST_OPEN_FILES = 24
MOST_CONNECTIONS = 64
# Larger pages hold several chunks each; smaller ones would spill every judged chunk.
PAGE_BYTES = 8192
CACHE_KIB = 4096
# What is left of a write-ahead log that a burst has made long.
WAL_KEPT_BYTES = 32 * 1024 * 1024

# The part that all old months share that have few chunks: one file instead of hundreds.
OLD_MONTHS = -(1 << 40)
# A month so many months before this one is old: what is sealed of it begins in the shared file.
OLD_AFTER_MONTHS = 3
# With more chunks than that an old month gets a file of its own; with no more than this, and
# unchanged for so long, it gives its own file up again. Larger files are not looked into for that.
MOST_CHUNKS_SHARED = 1024
MOST_CHUNKS_PACKED = 256
PACKED_AFTER_SECONDS = 3600
MOST_BYTES_PACKED = 1024 * 1024
# How often somebody may find that a month moved to another file just now.
MOST_MOVES = 10

# A number says that the file was begun anew beside a damaged one.
_MONTH_FILE = re.compile(r"points-(old|-?\d{4,}-\d\d)(?:\.(\d+))?\.db")
_BUCKET_ZERO = 1 << (KEY_BUCKET_BITS - 1)

# What SQLite says, and what PostgreSQL says, when stored pages are not what was written.
_SQLITE_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}
_POSTGRESQL_DAMAGED = {"XX001", "XX002"}

# The advisory locks of PostgreSQL: one for appending in order, one for making the tables.
_APPEND_LOCK = 0x616E_6F6D_6C6F_6701
_TABLES_LOCK = 0x616E_6F6D_6C6F_6702


class NewerLayout(AnomifyError):
    """The stored points were written by a newer Anomify than this one."""

    code = "newer_storage"


class PointDatabase(Protocol):
    """Where the log and the chunks are kept; each context is one transaction.

    What is wrong with the database itself comes out of every context as `Unavailable`, and what
    is wrong with the bytes it stored as `Damaged`.
    """

    def reading_log(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees what is committed in the log."""

    def writing_log(self) -> AbstractContextManager[Connection]:
        """Give a connection whose changes are durable once the context has ended well."""

    def appending_log(self) -> AbstractContextManager[Connection]:
        """Do as `writing_log`, alone: what is appended becomes visible in order of offset."""

    def months(self, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the parts that may hold chunks of these buckets, oldest first."""

    def months_with(self, metric_id: int, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the parts that may hold chunks of this metric and these buckets, oldest first."""

    def parts(self) -> list[int]:
        """Return all parts that are stored: months, and what several old months share."""

    def part_of(self, month: int) -> int:
        """Return the part that the chunks of a month are stored in now."""

    def name_of(self, part: int) -> str:
        """Say in words which chunks are in a part."""

    def months_of(self, buckets: Int64s) -> Int64s:
        """Return the part that each bucket belongs to."""

    def months_before(self, bucket: int) -> list[int]:
        """Return the parts of which every bucket is older than this one."""

    def reading_chunks(self, month: int) -> AbstractContextManager[Connection | None]:
        """Give a connection to one part, or None where it has never been written."""

    def writing_chunks(self, month: int) -> AbstractContextManager[Connection]:
        """Give a connection to one part, made where it is missing, that alone may write."""

    def drop_month(self, month: int) -> None:
        """Let go of one whole part and give its disk back."""

    def pack_old_months(self, most: int) -> int:
        """Store up to so many old months together that have few chunks; return how many it did."""

    def give_back(self, month: int) -> None:
        """Give the disk of deleted chunks of one part back, where that is cheap."""

    def span_of(self, month: int) -> tuple[int, int]:
        """Return when one part begins and ends, in unix milliseconds."""

    def renew_month(self, month: int) -> str:
        """Begin one damaged part anew with what can be read of it; the damaged one is kept.

        Returns what is kept where. Raises Unavailable where that cannot be done.
        """

    def size_bytes(self) -> int:
        """Return how much disk log and chunks take."""

    def close(self) -> None:
        """Close every connection."""


@contextmanager
def _reachable() -> Iterator[None]:
    """Turn what is wrong with the database, not with the question, into Unavailable."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as problem:
        if _is_damage(problem):
            raise Damaged(f"Stored pages cannot be read: {problem.args[0]}") from problem
        if isinstance(problem, OperationalError | sqlite3.OperationalError):
            raise Unavailable("The store of points cannot be used now; try again.") from problem
        if not isinstance(problem, DBAPIError) or not problem.connection_invalidated:
            raise
        raise Unavailable("The store of points went away; try again.") from problem
    except (InterfaceError, PoolTimeout) as problem:
        raise Unavailable("The store of points cannot be used now; try again.") from problem
    except DBAPIError as problem:
        if not problem.connection_invalidated:
            raise
        raise Unavailable("The store of points went away; try again.") from problem


def _is_damage(problem: DatabaseError | sqlite3.DatabaseError) -> bool:
    cause = problem.orig if isinstance(problem, DatabaseError) else problem
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code in _SQLITE_DAMAGED or code & 0xFF in _SQLITE_DAMAGED
    return getattr(cause, "sqlstate", None) in _POSTGRESQL_DAMAGED


# --- SQLite ---


@dataclass(slots=True)
class _OpenFile:
    engine: Engine
    writer: Engine
    inode: int
    users: int = 0
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class _KnownMetrics:
    """Which metrics a month's file holds, as long as the file has this signature."""

    signature: tuple[int, ...]
    seen_at: float
    # None where they are not listed, or too many.
    metric_ids: frozenset[int] | None = None
    is_large: bool = False


class PointFiles:
    """The points of one folder: `log.db`, and one `points-YYYY-MM.db` for each month.

    Old months with few chunks share `points-old.db`, so that one sender of a point a month makes
    one file and not hundreds. Where a month has a file of its own, that one counts, and what the
    shared file may still hold of the month does not: so a move from one to the other, which first
    writes the target and then deletes the source, may be cut short at any moment. Both moves
    happen in a writing transaction of the shared file.

    Safe for many threads, and for other processes with the same folder. At most `most_open`
    months stay open; one that somebody uses is never closed under them.
    """

    def __init__(self, folder: Path, *, most_open: int = MOST_OPEN_FILES) -> None:
        """Remember the folder; files are made and opened when they are first needed."""
        self._folder = folder
        self._most_open = most_open
        self._guard = threading.Lock()
        self._log: _OpenFile | None = None
        self._open: OrderedDict[int, _OpenFile] = OrderedDict()
        self._paths: dict[int, Path] = {}
        self._known_metrics: dict[int, _KnownMetrics] = {}
        # The signatures of old months' files that hold too much to be packed.
        self._large: dict[int, tuple[int, ...]] = {}

    @contextmanager
    def reading_log(self) -> Iterator[Connection]:
        """Give a connection that sees what is committed in the log."""
        with _reachable(), self._log_file().engine.connect() as connection:
            yield connection

    @contextmanager
    def writing_log(self) -> Iterator[Connection]:
        """Give the only connection that may write the log now."""
        with _reachable(), self._log_file().writer.begin() as connection:
            yield connection

    def appending_log(self) -> AbstractContextManager[Connection]:
        """Do as `writing_log`: on SQLite a writer is always alone."""
        return self.writing_log()

    def months(self, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the months between these buckets of which something is stored, oldest first."""
        first, last = self._months_at(first_bucket, last_bucket)
        own = [month for month in self._stored_months() if first <= month <= last]
        return sorted({*own, *self._shared_months(_keys_ordered_by_bucket(first, last))})

    def parts(self) -> list[int]:
        """Return the months that have a file, after the shared file where there is one."""
        shared = [OLD_MONTHS] if self._path(OLD_MONTHS).exists() else []
        return [*shared, *self._stored_months()]

    def part_of(self, month: int) -> int:
        """Return the month where it has a file of its own or will get one, else what is shared."""
        has_own = self._path(month).exists() or not self._path(OLD_MONTHS).exists()
        return month if has_own else OLD_MONTHS

    def name_of(self, part: int) -> str:
        """Say in words which chunks are in a part."""
        if part == OLD_MONTHS:
            return "the chunks of old months in the file that they share"
        return f"the chunks of the month from {np.datetime64(part, 'M').astype('datetime64[D]')}"

    def months_with(self, metric_id: int, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the months between these buckets that may hold chunks of the metric.

        A month of which few metrics have chunks is opened for those only: who sends one point a
        month for decades slows nobody else down.
        """
        first, last = self._months_at(first_bucket, last_bucket)
        own = [month for month in self._stored_months() if first <= month <= last]
        if len(own) > MOST_MONTHS_TRIED:
            own = [month for month in own if self._may_hold(month, metric_id)]
        if not _is_old(first):
            return own
        return sorted({*own, *self._shared_months(_keys_of_metric(metric_id, first, last))})

    def _months_at(self, first_bucket: int, last_bucket: int) -> tuple[int, int]:
        first, last = self.months_of(np.array([first_bucket, last_bucket])).tolist()
        return first, last

    def _shared_months(self, keys: "_Keys") -> list[int]:
        """Return the months of which the shared file holds such chunks.

        Where it is damaged it is given as a part itself: whoever reads that learns what is wrong.
        """
        months = []
        try:
            with self.reading_chunks(OLD_MONTHS) as connection:
                if connection is None:
                    return []
                driver: Any = connection.connection.driver_connection
                after = keys.first
                while row := driver.execute(keys.next_one, (after, keys.last)).fetchone():
                    bucket = (row[0] & BUCKET_MASK) - _BUCKET_ZERO
                    month = self._months_at(bucket, bucket)[0]
                    months.append(month)
                    after = (row[0] & ~BUCKET_MASK) + _low_bits(month + 1)[0]
        except Damaged:
            return [OLD_MONTHS]
        return months

    def _may_hold(self, month: int, metric_id: int) -> bool:
        signature = _signature(self._path(month))
        known = self._known_metrics.get(month)
        if known is None or known.signature != signature:
            # Times of files are coarse: only what has not changed for a while is looked into.
            self._known_metrics[month] = _KnownMetrics(signature, time.monotonic())
            return True
        if known.metric_ids is None:
            if known.is_large or time.monotonic() - known.seen_at < UNCHANGED_SECONDS:
                return True
            # Whatever is written after this signature was taken gives the file another one.
            known = self._list_metrics(month, known)
            if known.metric_ids is None:
                return True
        return metric_id in known.metric_ids

    def _list_metrics(self, month: int, known: "_KnownMetrics") -> "_KnownMetrics":
        try:
            with self.reading_chunks(month) as connection:
                found = [] if connection is None else list_metrics(connection, MOST_METRICS_KNOWN)
        except (Damaged, Unavailable):
            return known
        is_large = len(found) >= MOST_METRICS_KNOWN
        listed = _KnownMetrics(
            known.signature, known.seen_at, None if is_large else frozenset(found), is_large
        )
        self._known_metrics[month] = listed
        return listed

    def months_of(self, buckets: Int64s) -> Int64s:
        """Return the month of each bucket, counted from January 1970."""
        starts = (buckets * BUCKET_MS).astype("datetime64[ms]")
        return starts.astype("datetime64[M]").astype(np.int64)

    def months_before(self, bucket: int) -> list[int]:
        """Return the stored months that ended before this bucket."""
        month = int(self.months_of(np.array([bucket]))[0])
        every = _keys_ordered_by_bucket(*self._months_at(-_BUCKET_ZERO, bucket))
        stored = {*self._stored_months(), *self._shared_months(every)}
        return sorted(each for each in stored - {OLD_MONTHS} if each < month)

    @contextmanager
    def reading_chunks(self, month: int) -> Iterator[Connection | None]:
        """Give a connection to the file that holds the month's chunks, or None where none does.

        Of the shared file it sees one moment, and other months too.
        """
        for _ in range(MOST_MOVES):
            with self._leased(month, is_made=False) as own:
                if own is not None:
                    with _reachable(), own.engine.connect() as connection:
                        yield connection
                    return
            if month == OLD_MONTHS:
                yield None
                return
            with self._leased(OLD_MONTHS, is_made=False) as shared:
                if shared is None:
                    if self._path(month).exists():
                        continue
                    yield None
                    return
                with _reachable(), shared.engine.connect() as connection:
                    driver: Any = connection.connection.driver_connection
                    driver.execute("BEGIN")
                    # This question fixes the moment; a month without a file then was in here.
                    driver.execute("SELECT 1 FROM point_chunks LIMIT 1").fetchone()
                    if self._path(month).exists():
                        continue
                    yield connection
                    return
        raise Unavailable("The store of points is being changed; try again.")

    @contextmanager
    def writing_chunks(self, month: int) -> Iterator[Connection]:
        """Give the only connection that may write the file that holds the month's chunks.

        A new month gets a file of its own, an old one has it once it is large.
        """
        for _ in range(MOST_MOVES):
            part = self._part_to_write(month)
            with self._leased(part, is_made=part == OLD_MONTHS) as file:
                if file is None:
                    continue
                with _reachable(), file.writer.begin() as connection:
                    # Now that nobody else may write it, it cannot be moved any more.
                    has_own = part != month and self._path(month).exists()
                    if has_own or _inode(self._path(part)) != file.inode:
                        continue
                    yield connection
                    is_large = part != month and _is_large(connection, month)
            if is_large:
                self._give_own_file(month)
            return
        raise Unavailable("The store of points is being changed; try again.")

    def _part_to_write(self, month: int) -> int:
        if month == OLD_MONTHS or self._path(month).exists():
            return month
        if _is_old(month):
            return OLD_MONTHS
        self._give_own_file(month)
        return month

    def _give_own_file(self, month: int) -> None:
        """Make the month's own file, with all that the shared file holds of it."""
        path = self._path(month)
        with self._leased(OLD_MONTHS, is_made=False) as shared:
            if shared is None:
                _make_file(path, CHUNK_TABLES)
                return
            with _reachable(), shared.writer.begin() as connection:
                driver: Any = connection.connection.driver_connection
                if not path.exists():
                    rows = driver.execute(f"SELECT {_COLUMNS} {_FROM_MONTH}", _low_bits(month))
                    _make_file(path, CHUNK_TABLES, rows)
                driver.execute(f"DELETE {_FROM_MONTH}", _low_bits(month))

    def pack_old_months(self, most: int) -> int:
        """Move up to so many old months with few chunks from their own file to the shared one."""
        packed = 0
        for month in self._stored_months():
            if packed >= most or not _is_old(month):
                break
            signature = _signature(self._path(month))
            if self._large.get(month) == signature or len(self._generations(month)) != 1:
                continue
            if now_ms() - _changed_ms(self._path(month)) < PACKED_AFTER_SECONDS * 1000:
                continue
            try:
                is_small = self._is_small(month)
                packed += is_small and self._pack(month)
            except (Damaged, Unavailable):
                # Whoever reads it says what is wrong with it; and it is tried again.
                continue
            if not is_small:
                self._large[month] = signature
        return packed

    def _is_small(self, month: int) -> bool:
        path = self._path(month)
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        if status.st_size > MOST_BYTES_PACKED:
            return False
        with self.reading_chunks(month) as connection:
            return connection is not None and not _is_large(connection, month, MOST_CHUNKS_PACKED)

    def _pack(self, month: int) -> bool:
        """Move one month; False where another process has its file open, so that it must wait."""
        path = self._path(month)
        self._retire(month)
        engine = _sqlite_engine(path, pool=NullPool)
        with (
            self._leased(OLD_MONTHS, is_made=True) as shared,
            _reachable(),
            engine.connect() as own,
        ):
            if shared is None or not _leave_wal(own):
                return False
            # From here on nobody else can open the month's file until it is gone.
            source: Any = own.connection.driver_connection
            rows = source.execute(f"SELECT {_COLUMNS} FROM point_chunks").fetchall()
            with shared.writer.begin() as connection:
                if _inode(self._path(OLD_MONTHS)) != shared.inode:
                    return False
                target: Any = connection.connection.driver_connection
                target.execute(f"DELETE {_FROM_MONTH}", _low_bits(month))
                target.executemany(_INSERT_CHUNK, rows)
            path.unlink()
            _sync_folder(self._folder)
        return True

    def drop_month(self, month: int) -> None:
        """Remove the month's file, or only empty it while another process has it open.

        Removing a file that is open elsewhere could let that process, when it closes its own,
        delete the write-ahead log of a later file of the same name. Ask again later.
        """
        # The shared file first: what is left there would count again without the month's own.
        self._drop_shared(month)
        path = self._path(month)
        self._retire(month)
        if not path.exists():
            return
        for older in self._generations(month)[:-1]:
            _unlink(older)
        engine = _sqlite_engine(path, pool=NullPool)
        try:
            with _reachable(), engine.connect() as connection:
                if _leave_wal(connection):
                    path.unlink()
                    _sync_folder(self._folder)
                    return
        except Damaged:
            _unlink(path)
            return
        with self.writing_chunks(month) as connection:
            for table in CHUNK_TABLES.sorted_tables:
                connection.execute(table.delete())
        self.give_back(month)

    def _drop_shared(self, month: int) -> None:
        with self._leased(OLD_MONTHS, is_made=False) as shared:
            if shared is None:
                return
            with _reachable(), shared.writer.begin() as connection:
                driver: Any = connection.connection.driver_connection
                dropped = driver.execute(f"DELETE {_FROM_MONTH}", _low_bits(month)).rowcount
        if dropped:
            self.give_back(OLD_MONTHS)

    def give_back(self, month: int) -> None:
        """Shrink the file that holds the month by the pages that are no longer used."""
        with self._leased(self.part_of(month), is_made=False) as file:
            if file is None:
                return
            with _reachable(), file.engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                # Of this statement `execute` takes one step, which frees one page only.
                driver.executescript("PRAGMA incremental_vacuum")
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).all()

    def span_of(self, month: int) -> tuple[int, int]:
        """Return when the month begins and ends; what old months share ends with the newest."""
        if month == OLD_MONTHS:
            return -_BUCKET_ZERO * BUCKET_MS, self.span_of(_month_now() - OLD_AFTER_MONTHS)[1]
        first, end = (
            int(np.datetime64(each, "M").astype("datetime64[ms]").astype(np.int64))
            for each in (month, month + 1)
        )
        return first, end

    def renew_month(self, month: int) -> str:
        """Begin the month's file anew; the damaged one stays beside it, for the operator.

        It keeps its name and the new one has another: a process that has the damaged one open may,
        when it closes it, delete the write-ahead log of whatever bears its name.
        """
        with self._guard:
            damaged = self._path(month)
            fresh = self._folder / _file_name(month, _generation_of(damaged.name) + 1)
            saved = _make_file(fresh, _tables_of(month), _readable_chunks(damaged))
            self._paths[month] = fresh
            if month in self._open:
                self._forget(month)
        return f"{damaged.name} is kept as it is; {saved} chunks of it go on in {fresh.name}"

    def size_bytes(self) -> int:
        """Return the sizes of the log's and the months' files, write-ahead logs included."""
        if not self._folder.exists():
            return 0
        sizes = 0
        for kind in ("log.db", "log.db-wal", "points-*.db", "points-*.db-wal"):
            sizes += sum(path.stat().st_size for path in self._folder.glob(kind))
        return sizes

    def close(self) -> None:
        """Close every file; those in use close when their reader is done."""
        with self._guard:
            if self._log is not None:
                self._log.engine.dispose()
                self._log = None
            for month in list(self._open):
                self._forget(month)

    def _path(self, month: int) -> Path:
        path = self._paths.get(month)
        if path is None:
            generations = self._generations(month)
            path = generations[-1] if generations else self._folder / _file_name(month, 0)
            self._paths[month] = path
        return path

    def _generations(self, month: int) -> list[Path]:
        """Return the month's files, those that are damaged first."""
        found = self._folder.glob(f"points-{_label(month)}*.db")
        named = [path for path in found if _month_of(path.name) == month]
        return sorted(named, key=lambda path: _generation_of(path.name))

    def _stored_months(self) -> list[int]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - at each read: names, not objects
        except FileNotFoundError:
            return []
        months = set()
        for name in names:
            month = _month_of(name)
            if month is None:
                continue
            months.add(month)
            if (generation := _generation_of(name)) and generation > _generation_of(
                self._path(month).name
            ):
                # Another process has begun the month's file anew.
                self._paths[month] = self._folder / name
        months.discard(OLD_MONTHS)
        return sorted(months)

    def _log_file(self) -> _OpenFile:
        if self._log is None:
            with self._guard:
                if self._log is None:
                    path = self._folder / "log.db"
                    _make_file(path, LOG_TABLES)
                    opened = _open_file(path)
                    _add_missing_tables(opened, LOG_TABLES)
                    with _reachable():
                        _add_missing_columns(opened.engine, opened.writer)
                    self._log = opened
        return self._log

    @contextmanager
    def _leased(self, month: int, *, is_made: bool) -> Iterator[_OpenFile | None]:
        with self._guard:
            file = self._opened(month, is_made=is_made)
            if file is not None:
                file.users += 1
        try:
            yield file
        finally:
            if file is not None:
                with self._guard:
                    file.users -= 1
                    if file.is_retired and not file.users:
                        file.engine.dispose()

    def _opened(self, month: int, *, is_made: bool) -> _OpenFile | None:
        path = self._path(month)
        inode = _inode(path)
        file = self._open.get(month)
        if file is not None and file.inode != inode:
            # Another process dropped the month, and perhaps began it again.
            self._forget(month)
            file = None
        if file is None:
            if inode is None:
                if not is_made:
                    return None
                _make_file(path, _tables_of(month))
            try:
                file = self._open[month] = _open_file(path)
            except FileNotFoundError:
                # It was removed a moment ago.
                return None
        self._open.move_to_end(month)
        for other in list(self._open)[: max(0, len(self._open) - self._most_open)]:
            if not self._open[other].users and other != month:
                self._forget(other)
        return file

    def _retire(self, month: int) -> None:
        with self._guard:
            if month in self._open:
                self._forget(month)

    def _forget(self, month: int) -> None:
        file = self._open.pop(month)
        file.is_retired = True
        if not file.users:
            file.engine.dispose()


@lru_cache(maxsize=10_000)
def _month_of(name: str) -> int | None:
    """Return the month that a file of this name holds, None of any other file."""
    named = _MONTH_FILE.fullmatch(name)
    if named is None:
        return None
    return OLD_MONTHS if named[1] == "old" else int(np.datetime64(named[1], "M").astype(np.int64))


@lru_cache(maxsize=10_000)
def _generation_of(name: str) -> int:
    """Return how often the month of this file was begun anew."""
    named = _MONTH_FILE.fullmatch(name)
    return int(named[2]) if named and named[2] else 0


def _signature(path: Path) -> tuple[int, ...]:
    """Return what changes whenever something is written to a file or its write-ahead log."""
    name = str(path)
    signature: tuple[int, ...] = ()
    for each in (name, f"{name}-wal"):
        try:
            status = os.stat(each)  # noqa: PTH116 - hundreds of times in one reading
        except FileNotFoundError:
            continue
        # Readers make an empty log and remove it again.
        if status.st_size:
            signature += (status.st_ino, status.st_size, status.st_mtime_ns)
    return signature


def list_metrics(connection: Connection, most: int | None = None) -> list[int]:
    """Return the metrics of one part, jumping from each to the next over all its chunks."""
    key = point_chunks.c.chunk_key
    least = select(func.min(key).op(">>")(literal(KEY_BUCKET_BITS)).label("metric_id"))
    found = least.cte("found", recursive=True)
    beyond = (found.c.metric_id + 1).op("<<")(literal(KEY_BUCKET_BITS))
    following = least.where(key >= beyond).scalar_subquery()
    found = found.union_all(select(following).where(found.c.metric_id.is_not(None)))
    wanted = select(found.c.metric_id).where(found.c.metric_id.is_not(None)).limit(most)
    return [int(metric_id) for metric_id in connection.execute(wanted).scalars()]


def _file_name(month: int, generation: int) -> str:
    suffix = f".{generation}" if generation else ""
    return f"points-{_label(month)}{suffix}.db"


def _label(month: int) -> str:
    return "old" if month == OLD_MONTHS else str(np.datetime64(month, "M"))


def _tables_of(month: int) -> MetaData:
    return OLD_CHUNK_TABLES if month == OLD_MONTHS else CHUNK_TABLES


def _month_now() -> int:
    return int(np.datetime64(now_ms(), "ms").astype("datetime64[M]").astype(np.int64))


def _is_old(month: int) -> bool:
    return month <= _month_now() - OLD_AFTER_MONTHS


def _changed_ms(path: Path) -> float:
    """Return when a file or its write-ahead log was last written to, 0 where it is gone."""
    try:
        times = [each.stat().st_mtime for each in (path, path.with_name(f"{path.name}-wal"))]
    except FileNotFoundError:
        times = [path.stat().st_mtime] if path.exists() else [0.0]
    return max(times) * 1000


# --- what of the shared file is of a month ---

_COLUMNS = "chunk_key, through_offset, blob"
_FROM_MONTH = f"FROM point_chunks WHERE chunk_key & {BUCKET_MASK} BETWEEN ? AND ?"
_NEXT_BUCKET = (
    f"SELECT chunk_key & {BUCKET_MASK} {_FROM_MONTH} ORDER BY chunk_key & {BUCKET_MASK} LIMIT 1"
)
_NEXT_KEY = (
    "SELECT chunk_key FROM point_chunks WHERE chunk_key BETWEEN ? AND ? ORDER BY chunk_key LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class _Keys:
    """Where to look for months, and what finds the next chunk between two numbers."""

    next_one: str
    first: int
    last: int


def _keys_ordered_by_bucket(first_month: int, last_month: int) -> _Keys:
    return _Keys(_NEXT_BUCKET, _low_bits(first_month)[0], _low_bits(last_month)[1])


def _keys_of_metric(metric_id: int, first_month: int, last_month: int) -> _Keys:
    metric = metric_id << KEY_BUCKET_BITS
    first, last = _low_bits(first_month)[0], _low_bits(last_month)[1]
    return _Keys(_NEXT_KEY, metric | first, metric | last)


def _low_bits(month: int) -> tuple[int, int]:
    """Return what the keys of a month's first and last bucket end with."""
    first, beyond = (
        int(np.datetime64(each, "M").astype("datetime64[ms]").astype(np.int64)) // BUCKET_MS
        for each in (month, month + 1)
    )
    return max(first + _BUCKET_ZERO, 0), min(beyond - 1 + _BUCKET_ZERO, BUCKET_MASK)


def _is_large(connection: Connection, month: int, most: int = MOST_CHUNKS_SHARED) -> bool:
    driver: Any = connection.connection.driver_connection
    counted = f"SELECT count(*) FROM (SELECT 1 {_FROM_MONTH} LIMIT ?)"
    (count,) = driver.execute(counted, (*_low_bits(month), most + 1)).fetchone()
    return bool(count > most)


def _unlink(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        each.unlink(missing_ok=True)


def _readable_chunks(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Give the rows of a damaged file that can be read, from both of its ends, each once."""
    seen: set[int] = set()
    for order in ("ASC", "DESC"):
        try:
            connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            with closing(connection):
                rows = connection.execute(
                    f"SELECT chunk_key, through_offset, blob FROM point_chunks"
                    f" ORDER BY chunk_key {order}"
                )
                for key, through, blob in rows:
                    if type(key) is type(through) is int and isinstance(blob, bytes):
                        if key in seen:
                            break
                        seen.add(key)
                        yield key, through, blob
                else:
                    return
        except sqlite3.Error:
            continue


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _sqlite_engine(path: Path, *, pool: Any = None, is_new: bool = False) -> Engine:
    sizes = {} if pool is NullPool else {"max_overflow": MOST_CONNECTIONS}
    # Opening must not make a file: whoever reads a month that is being dropped would.
    query = {"mode": "rwc" if is_new else "rw", "uri": "true"}
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    engine = create_engine(url, poolclass=pool, connect_args={"timeout": BUSY_SECONDS}, **sizes)
    event.listen(engine, "connect", _prepare_new if is_new else _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _open_file(path: Path) -> _OpenFile:
    engine = _sqlite_engine(path)
    return _OpenFile(engine, engine.execution_options(point_writer=True), path.stat().st_ino)


def _prepare(connection: Any, record: object) -> None:
    _prepare_new(connection, record)
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if not layout:
        connection.close()
        raise Damaged("A file of points is empty.")


def _prepare_new(connection: Any, _record: object) -> None:
    # The driver's own implicit BEGIN is switched off: _begin says where one is wanted.
    connection.isolation_level = None
    cursor = connection.cursor()
    (layout,) = cursor.execute("PRAGMA user_version").fetchone()
    if layout > LAYOUT:
        connection.close()
        raise NewerLayout("These points were stored by a newer Anomify; start that one.")
    for pragma in (
        "synchronous=FULL",
        "trusted_schema=OFF",
        f"cache_size=-{CACHE_KIB}",
        f"journal_size_limit={WAL_KEPT_BYTES}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A single SELECT is a transaction of its own, so only a writer opens one, and at once for
    # writing: one that read first could not become a writer after another has written.
    if connection.get_execution_options().get("point_writer"):
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as problem:
            if _is_damage(problem):
                raise
            raise Unavailable("The store of points is busy; try again.") from problem


def _add_missing_tables(file: _OpenFile, tables: MetaData) -> None:
    """Make the tables that a file of an older version has not."""
    with _reachable():
        with file.engine.connect() as connection:
            named = set(inspect(connection).get_table_names())
        if not {table.name for table in tables.sorted_tables} <= named:
            with file.writer.begin() as connection:
                tables.create_all(connection)


def _make_file(path: Path, tables: MetaData, chunks: Iterable[tuple[int, int, bytes]] = ()) -> int:
    """Make the file whole and elsewhere, then give it its name: nobody sees it half made.

    Returns how many chunks it has from the start.
    """
    saved = 0
    if path.exists():
        return saved
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    engine = _sqlite_engine(draft, pool=NullPool, is_new=True)
    try:
        with _reachable(), engine.connect() as connection:
            connection.execute(text(f"PRAGMA page_size={PAGE_BYTES}"))
            connection.execute(text("PRAGMA auto_vacuum=INCREMENTAL"))
            tables.create_all(connection)
            driver: Any = connection.connection.driver_connection
            driver.execute("BEGIN IMMEDIATE")
            for row in chunks:
                saved += driver.execute(_INSERT_CHUNK, row).rowcount
            driver.execute("COMMIT")
            connection.execute(text(f"PRAGMA user_version={LAYOUT}"))
            connection.execute(text("PRAGMA journal_mode=WAL"))
        try:
            os.link(draft, path)
        except FileExistsError:
            return saved
        _sync_folder(path.parent)
        return saved
    finally:
        draft.unlink(missing_ok=True)


_INSERT_CHUNK = str(insert(point_chunks).compile(dialect=sqlite.dialect()))


def _add_missing_columns(reader: Engine, writer: Engine) -> None:
    """Give tables of the log that an older version made the columns that came later.

    All of them may be empty, so that the older version goes on working with the same tables.
    """
    with reader.connect() as connection:
        if not list(_missing_columns(connection)):
            return
    with writer.begin() as connection:
        if connection.dialect.name != "sqlite":
            # On SQLite a writer is alone already.
            connection.execute(select(func.pg_advisory_xact_lock(_TABLES_LOCK)))
        for column in list(_missing_columns(connection)):
            kind = column.type.compile(connection.dialect)
            connection.execute(
                text(f"ALTER TABLE {column.table.name} ADD COLUMN {column.name} {kind}")
            )


def _missing_columns(connection: Connection) -> Iterator[Column[Any]]:
    for table in LOG_TABLES.sorted_tables:
        present = {column["name"] for column in inspect(connection).get_columns(table.name)}
        yield from (column for column in table.columns if column.name not in present)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _leave_wal(connection: Connection) -> bool:
    """Return whether nobody else has the file open: only then may it leave its write-ahead log."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout=0")
    # Once it has the file, this connection keeps it until it closes.
    driver.execute("PRAGMA locking_mode=EXCLUSIVE")
    try:
        (mode,) = driver.execute("PRAGMA journal_mode=DELETE").fetchone()
    except connection.dialect.loaded_dbapi.OperationalError:
        return False
    return bool(mode == "delete")


# --- PostgreSQL ---


class PointTables:
    """The points of one PostgreSQL database, beside whatever else that database holds."""

    def __init__(self, engine: Engine) -> None:
        """Take this engine over, and make the missing tables, one process at a time."""
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        with _reachable(), engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_TABLES_LOCK)))
            LOG_TABLES.create_all(connection)
            CHUNK_TABLES.create_all(connection)
        with _reachable():
            _add_missing_columns(engine, engine)

    @contextmanager
    def reading_log(self) -> Iterator[Connection]:
        """Give a connection that sees what is committed."""
        with _reachable(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing_log(self) -> Iterator[Connection]:
        """Give a transaction."""
        with _reachable(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def appending_log(self) -> Iterator[Connection]:
        """Give a transaction that holds the lock of appending until it has committed."""
        with self.writing_log() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_APPEND_LOCK)))
            yield connection

    def months(self, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the one part there is."""
        del first_bucket, last_bucket
        return [0]

    def months_with(self, metric_id: int, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the one part there is."""
        del metric_id, first_bucket, last_bucket
        return [0]

    def parts(self) -> list[int]:
        """Return the one part there is."""
        return [0]

    def part_of(self, month: int) -> int:
        """Return the one part there is."""
        return month

    def name_of(self, part: int) -> str:
        """Say that it is all."""
        del part
        return "the chunks"

    def months_of(self, buckets: Int64s) -> Int64s:
        """Return the one part there is for each bucket."""
        return np.zeros_like(buckets)

    def months_before(self, bucket: int) -> list[int]:
        """Return nothing: the one part never ends."""
        del bucket
        return []

    def reading_chunks(self, month: int) -> AbstractContextManager[Connection | None]:
        """Give a connection that sees what is committed."""
        del month
        return self.reading_log()

    def writing_chunks(self, month: int) -> AbstractContextManager[Connection]:
        """Give a transaction."""
        del month
        return self.writing_log()

    def drop_month(self, month: int) -> None:
        """Delete every chunk."""
        with self.writing_chunks(month) as connection:
            for table in CHUNK_TABLES.sorted_tables:
                connection.execute(table.delete())

    def pack_old_months(self, most: int) -> int:
        """Do nothing: all months are in one table already."""
        del most
        return 0

    def give_back(self, month: int) -> None:
        """Leave it to autovacuum."""

    def span_of(self, month: int) -> tuple[int, int]:
        """Return all times there are."""
        del month
        return -(2**62), 2**62

    def renew_month(self, month: int) -> str:
        """Say that only the server's own tools can."""
        del month
        raise Unavailable("PostgreSQL cannot read its own pages; restore them from a backup.")

    def size_bytes(self) -> int:
        """Return what the tables take with their indexes and overflow."""
        tables = [*LOG_TABLES.sorted_tables, *CHUNK_TABLES.sorted_tables]
        sizes = [func.pg_total_relation_size(table.name) for table in tables]
        with self.reading_log() as connection:
            return sum(int(size) for size in connection.execute(select(*sizes)).one())

    def close(self) -> None:
        """Close the engine's connections."""
        self._engine.dispose()

"""The points of one folder, in SQLite files: the log, and the chunks of each month."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, NullPool, text

from anomify.errors import Unavailable
from anomify.series import Int64s
from anomify.storage.chunk_keys import BUCKET_ZERO, OLDEST_MS
from anomify.storage.database_errors import translate_errors
from anomify.storage.errors import Damaged
from anomify.storage.log_upgrade import add_missing_columns, add_missing_tables
from anomify.storage.month_folder import MonthFolder
from anomify.storage.month_metrics import MonthMetrics
from anomify.storage.months import (
    OLD_MONTHS,
    is_old,
    key_endings,
    months_of,
    newest_old_month,
    span_of,
)
from anomify.storage.old_month_moves import OldMonthMoves
from anomify.storage.old_months import (
    FROM_MONTH,
    ChunkSearch,
    has_more_chunks,
    list_months,
    search_by_bucket,
    search_by_metric,
)
from anomify.storage.open_files import OpenFiles, tables_of
from anomify.storage.sqlite_file import (
    OpenFile,
    inode_of,
    leave_wal_mode,
    make_file,
    open_file,
    readable_chunks,
    remove_with_wal,
    sqlite_engine,
    sync_folder,
)
from anomify.storage.tables import CHUNK_TABLES, LOG_TABLES

MOST_OPEN_FILES = 24
# A read of so many months or fewer opens them without checking first whether they have the metric.
MOST_MONTHS_TRIED = 3
# An old month with more chunks than this gets its own file.
MOST_CHUNKS_SHARED = 1024
# How often a read or write starts again because another process has just moved the month.
MOST_MOVES = 10


class PointFiles:
    """The points of one folder: `log.db`, and one `points-YYYY-MM.db` for each month.

    Old months with few chunks share `points-old.db`, so that a metric with one point a month makes
    one file and not hundreds. Where a month has its own file, chunks of the month that the shared
    file may still have are ignored; see `old_month_moves`.

    Safe for many threads, and for other processes with the same folder. At most `most_open`
    months stay open; a file in use is not closed.
    """

    def __init__(self, folder: Path, *, most_open: int = MOST_OPEN_FILES) -> None:
        """Use this folder; files are created and opened when they are first needed."""
        self._folder = MonthFolder(folder)
        self._open_files = OpenFiles(self._folder, most_open)
        self._moves = OldMonthMoves(self._folder, self._open_files)
        self._metrics = MonthMetrics(self._folder, self.reading_chunks)
        # Taken to open the log, and to replace the file of a month.
        self._guard = threading.Lock()
        self._log: OpenFile | None = None

    @contextmanager
    def reading_log(self) -> Iterator[Connection]:
        """Yield a connection that reads what is committed in the log."""
        with translate_errors(), self._log_file().engine.connect() as connection:
            yield connection

    @contextmanager
    def writing_log(self) -> Iterator[Connection]:
        """Yield the only connection that may write the log now."""
        with translate_errors(), self._log_file().writer.begin() as connection:
            yield connection

    def appending_log(self) -> AbstractContextManager[Connection]:
        """Yield as `writing_log`: SQLite has one writer at a time anyway."""
        return self.writing_log()

    def months(self, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the months from one bucket to another that have chunks, oldest first."""
        first, last = months_of(np.array([first_bucket, last_bucket])).tolist()
        own = [month for month in self._folder.stored_months() if first <= month <= last]
        return sorted({*own, *self._shared_months(search_by_bucket(first, last))})

    def parts(self) -> list[int]:
        """Return the shared file, if it exists, and the months that have their own file."""
        shared = [OLD_MONTHS] if self._folder.path(OLD_MONTHS).exists() else []
        return [*shared, *self._folder.stored_months()]

    def part_of(self, month: int) -> int:
        """Return the month if it has its own file or will get one, else the shared part."""
        has_own = self._folder.path(month).exists() or not self._folder.path(OLD_MONTHS).exists()
        return month if has_own else OLD_MONTHS

    def name_of(self, part: int) -> str:
        """Return text for people about which chunks are in a part."""
        if part == OLD_MONTHS:
            return "the chunks of old months in the file that they share"
        return f"the chunks of the month from {np.datetime64(part, 'M').astype('datetime64[D]')}"

    def months_with(self, metric_id: int, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the months between these buckets that may hold chunks of the metric.

        A month with few metrics is opened only for reads of these, so that a metric with one
        point a month for decades does not slow down reads of others.
        """
        first, last = months_of(np.array([first_bucket, last_bucket])).tolist()
        own = [month for month in self._folder.stored_months() if first <= month <= last]
        if len(own) > MOST_MONTHS_TRIED:
            own = [month for month in own if self._metrics.may_have(month, metric_id)]
        if not is_old(first):
            return own
        return sorted({*own, *self._shared_months(search_by_metric(metric_id, first, last))})

    def _shared_months(self, search: ChunkSearch) -> list[int]:
        """Return the months of which the shared file has such chunks.

        A damaged shared file is returned as a part itself, so that reading it reports the damage.
        """
        try:
            with self.reading_chunks(OLD_MONTHS) as connection:
                return [] if connection is None else list_months(connection, search)
        except Damaged:
            return [OLD_MONTHS]

    def months_of(self, buckets: Int64s) -> Int64s:
        """Return the month of each bucket, counted from January 1970."""
        return months_of(buckets)

    def months_before(self, bucket: int) -> list[int]:
        """Return the stored months that ended before this bucket."""
        first, month = months_of(np.array([-BUCKET_ZERO, bucket])).tolist()
        every = search_by_bucket(first, month)
        stored = {*self._folder.stored_months(), *self._shared_months(every)}
        return sorted(each for each in stored - {OLD_MONTHS} if each < month)

    @contextmanager
    def reading_chunks(self, month: int) -> Iterator[Connection | None]:
        """Yield a connection to the file with the month's chunks, or None where there is none.

        The connection to the shared file reads one snapshot, which has chunks of other months too.
        """
        for _ in range(MOST_MOVES):
            with self._open_files.leased(month, is_made=False) as own:
                if own is not None:
                    with translate_errors(), own.engine.connect() as connection:
                        yield connection
                    return
            if month == OLD_MONTHS:
                yield None
                return
            with self._open_files.leased(OLD_MONTHS, is_made=False) as shared:
                if shared is None:
                    if self._folder.path(month).exists():
                        continue
                    yield None
                    return
                with translate_errors(), shared.engine.connect() as connection:
                    driver: Any = connection.connection.driver_connection
                    driver.execute("BEGIN")
                    # This query fixes the snapshot: a month without its own file after it is in it.
                    driver.execute("SELECT 1 FROM point_chunks LIMIT 1").fetchone()
                    if self._folder.path(month).exists():
                        continue
                    yield connection
                    return
        raise Unavailable("The store of points is being changed; try again.")

    @contextmanager
    def writing_chunks(self, month: int) -> Iterator[Connection]:
        """Yield the only connection that may write the file with the month's chunks.

        A new month gets its own file, an old one gets it when it has many chunks.
        """
        for _ in range(MOST_MOVES):
            part = self._part_to_write(month)
            with self._open_files.leased(part, is_made=part == OLD_MONTHS) as file:
                if file is None:
                    continue
                with translate_errors(), file.writer.begin() as connection:
                    # From here on no other process can write the file, so the month cannot move.
                    has_own = part != month and self._folder.path(month).exists()
                    if has_own or inode_of(self._folder.path(part)) != file.inode:
                        continue
                    yield connection
                    is_large = part != month and has_more_chunks(
                        connection, month, MOST_CHUNKS_SHARED
                    )
            if is_large:
                self._moves.give_own_file(month)
            return
        raise Unavailable("The store of points is being changed; try again.")

    def _part_to_write(self, month: int) -> int:
        if month == OLD_MONTHS or self._folder.path(month).exists():
            return month
        if is_old(month):
            return OLD_MONTHS
        self._moves.give_own_file(month)
        return month

    def pack_old_months(self, most: int) -> int:
        """Move up to `most` old months with few chunks to the shared file; return how many."""
        return self._moves.pack_old_months(most)

    def drop_month(self, month: int) -> None:
        """Remove the month's file, or only empty it while another process has it open.

        If a file were removed while another process has it open, that process could, when it closes
        the file, delete the write-ahead log of a later file of the same name. A later call removes
        the emptied file.
        """
        # The shared file first: its chunks of the month would be read again without the own file.
        self._drop_shared(month)
        path = self._folder.path(month)
        self._open_files.retire(month)
        if not path.exists():
            return
        for older in self._folder.generations(month)[:-1]:
            remove_with_wal(older)
        engine = sqlite_engine(path, pool=NullPool)
        try:
            with translate_errors(), engine.connect() as connection:
                if leave_wal_mode(connection):
                    path.unlink()
                    sync_folder(path.parent)
                    return
        except Damaged:
            remove_with_wal(path)
            return
        with self.writing_chunks(month) as connection:
            for table in CHUNK_TABLES.sorted_tables:
                connection.execute(table.delete())
        self.free_space(month)

    def _drop_shared(self, month: int) -> None:
        with self._open_files.leased(OLD_MONTHS, is_made=False) as shared:
            if shared is None:
                return
            with translate_errors(), shared.writer.begin() as connection:
                driver: Any = connection.connection.driver_connection
                dropped = driver.execute(f"DELETE {FROM_MONTH}", key_endings(month)).rowcount
        if dropped:
            self.free_space(OLD_MONTHS)

    def free_space(self, month: int) -> None:
        """Shrink the file with the month's chunks by its unused pages."""
        with self._open_files.leased(self.part_of(month), is_made=False) as file:
            if file is None:
                return
            with translate_errors(), file.engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                # `execute` would run one step of this statement, which frees one page.
                driver.executescript("PRAGMA incremental_vacuum")
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).all()

    def span_of(self, month: int) -> tuple[int, int]:
        """Return when a month begins and ends; the shared part ends with the newest old month."""
        if month == OLD_MONTHS:
            return OLDEST_MS, span_of(newest_old_month())[1]
        return span_of(month)

    def renew_month(self, month: int) -> str:
        """Replace the month's damaged file by a new one; the damaged one stays beside it.

        The damaged one keeps its name, because a process that has it open may, when it closes it,
        delete the write-ahead log of a file with that name.
        """
        with self._guard:
            damaged = self._folder.path(month)
            fresh = self._folder.next_path(month)
            saved = make_file(fresh, tables_of(month), readable_chunks(damaged))
            self._folder.use(month, fresh)
            self._open_files.retire(month)
        return f"{damaged.name} is kept as it is; {saved} chunks of it go on in {fresh.name}"

    def size_bytes(self) -> int:
        """Return the sizes of the log's and the months' files, write-ahead logs included."""
        folder = self._folder.folder
        if not folder.exists():
            return 0
        sizes = 0
        for kind in ("log.db", "log.db-wal", "points-*.db", "points-*.db-wal"):
            sizes += sum(path.stat().st_size for path in folder.glob(kind))
        return sizes

    def close(self) -> None:
        """Close every file, those in use after their last user."""
        with self._guard:
            if self._log is not None:
                self._log.engine.dispose()
                self._log = None
        self._open_files.close()

    def _log_file(self) -> OpenFile:
        if self._log is None:
            with self._guard:
                if self._log is None:
                    path = self._folder.folder / "log.db"
                    make_file(path, LOG_TABLES)
                    opened = open_file(path)
                    add_missing_tables(opened.engine, opened.writer, LOG_TABLES)
                    with translate_errors():
                        add_missing_columns(opened.engine, opened.writer)
                    self._log = opened
        return self._log

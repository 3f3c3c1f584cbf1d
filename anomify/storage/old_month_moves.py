"""Moves the chunks of a month between its own file and the file that old months share.

Each move first writes the target and then deletes the source, in a writing transaction of the
shared file. A month's own file, where it exists, is the one that counts, so a move may be
interrupted at any moment.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import NullPool

from anomify.clock import now_ms
from anomify.errors import Unavailable
from anomify.storage.database_errors import translate_errors
from anomify.storage.errors import Damaged
from anomify.storage.month_folder import MonthFolder
from anomify.storage.months import OLD_MONTHS, is_old, key_endings
from anomify.storage.old_months import COLUMNS, FROM_MONTH, has_more_chunks
from anomify.storage.open_files import OpenFiles
from anomify.storage.sqlite_file import (
    INSERT_CHUNK,
    changed_ms,
    file_signature,
    inode_of,
    leave_wal_mode,
    make_file,
    sqlite_engine,
    sync_folder,
)
from anomify.storage.tables import CHUNK_TABLES

# An old month with no more chunks than this, unchanged for so long, moves to the shared file. The
# chunks of larger files are not counted.
MOST_CHUNKS_PACKED = 256
PACKED_AFTER_SECONDS = 3600
MOST_BYTES_PACKED = 1024 * 1024


class OldMonthMoves:
    """The moves in one folder."""

    def __init__(self, folder: MonthFolder, open_files: OpenFiles) -> None:
        """Use this folder and its open files."""
        self._folder = folder
        self._open_files = open_files
        # The signatures of old months' files that have too many chunks to be packed.
        self._large: dict[int, tuple[int, ...]] = {}

    def give_own_file(self, month: int) -> None:
        """Create the month's own file, with all its chunks from the shared file."""
        path = self._folder.path(month)
        with self._open_files.leased(OLD_MONTHS, is_made=False) as shared:
            if shared is None:
                make_file(path, CHUNK_TABLES)
                return
            with translate_errors(), shared.writer.begin() as connection:
                driver: Any = connection.connection.driver_connection
                if not path.exists():
                    rows = driver.execute(f"SELECT {COLUMNS} {FROM_MONTH}", key_endings(month))
                    make_file(path, CHUNK_TABLES, rows)
                driver.execute(f"DELETE {FROM_MONTH}", key_endings(month))

    def pack_old_months(self, most: int) -> int:
        """Move up to `most` old months with few chunks to the shared file; return how many."""
        packed = 0
        for month in self._folder.stored_months():
            if packed >= most or not is_old(month):
                break
            path = self._folder.path(month)
            signature = file_signature(path)
            if self._large.get(month) == signature or len(self._folder.generations(month)) != 1:
                continue
            if now_ms() - changed_ms(path) < PACKED_AFTER_SECONDS * 1000:
                continue
            try:
                is_small = self._is_small(month, path)
                packed += is_small and self._pack(month, path)
            except (Damaged, Unavailable):
                # The next read reports what is wrong with it, and the next call tries again.
                continue
            if not is_small:
                self._large[month] = signature
        return packed

    def _is_small(self, month: int, path: Path) -> bool:
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        if status.st_size > MOST_BYTES_PACKED:
            return False
        with self._open_files.leased(month, is_made=False) as file:
            if file is None:
                return False
            with translate_errors(), file.engine.connect() as connection:
                return not has_more_chunks(connection, month, MOST_CHUNKS_PACKED)

    def _pack(self, month: int, path: Path) -> bool:
        """Move one month; return False, without a move, while another process has its file open."""
        self._open_files.retire(month)
        engine = sqlite_engine(path, pool=NullPool)
        with (
            self._open_files.leased(OLD_MONTHS, is_made=True) as shared,
            translate_errors(),
            engine.connect() as own,
        ):
            if shared is None or not leave_wal_mode(own):
                return False
            # From here on no other process can open the month's file until it is removed.
            source: Any = own.connection.driver_connection
            rows = source.execute(f"SELECT {COLUMNS} FROM point_chunks").fetchall()
            with shared.writer.begin() as connection:
                if inode_of(self._folder.path(OLD_MONTHS)) != shared.inode:
                    return False
                target: Any = connection.connection.driver_connection
                target.execute(f"DELETE {FROM_MONTH}", key_endings(month))
                target.executemany(INSERT_CHUNK, rows)
            path.unlink()
            sync_folder(path.parent)
        return True

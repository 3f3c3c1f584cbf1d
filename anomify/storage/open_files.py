"""Keeps a limited number of the files of months open."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import MetaData

from anomify.storage.month_folder import MonthFolder
from anomify.storage.months import OLD_MONTHS
from anomify.storage.sqlite_file import OpenFile, inode_of, make_file, open_file
from anomify.storage.tables import CHUNK_TABLES, OLD_CHUNK_TABLES


class OpenFiles:
    """The open files of one folder's months; safe for many threads.

    At most `most_open` stay open, and a file that is in use is closed only after its last user.
    """

    def __init__(self, folder: MonthFolder, most_open: int) -> None:
        """Begin without open files."""
        self._folder = folder
        self._most_open = most_open
        self._guard = threading.Lock()
        # The least recently used first.
        self.by_month: OrderedDict[int, OpenFile] = OrderedDict()

    @contextmanager
    def leased(self, month: int, *, is_made: bool) -> Iterator[OpenFile | None]:
        """Yield a month's file, which stays open meanwhile; None where it does not exist.

        Where `is_made`, a missing file is created.
        """
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

    def retire(self, month: int) -> None:
        """Close a month's file, after its last user if it is in use; the next lease opens anew."""
        with self._guard:
            if month in self.by_month:
                self._close(month)

    def close(self) -> None:
        """Close every file, those in use after their last user."""
        with self._guard:
            for month in list(self.by_month):
                self._close(month)

    def _opened(self, month: int, *, is_made: bool) -> OpenFile | None:
        path = self._folder.path(month)
        inode = inode_of(path)
        file = self.by_month.get(month)
        if file is not None and file.inode != inode:
            # Another process has removed the month's file, and perhaps created it again.
            self._close(month)
            file = None
        if file is None:
            if inode is None:
                if not is_made:
                    return None
                make_file(path, tables_of(month))
            try:
                file = self.by_month[month] = open_file(path)
            except FileNotFoundError:
                # It was removed a moment ago.
                return None
        self.by_month.move_to_end(month)
        for other in list(self.by_month)[: max(0, len(self.by_month) - self._most_open)]:
            if not self.by_month[other].users and other != month:
                self._close(other)
        return file

    def _close(self, month: int) -> None:
        file = self.by_month.pop(month)
        file.is_retired = True
        if not file.users:
            file.engine.dispose()


def tables_of(month: int) -> MetaData:
    """Return the tables of a month's file."""
    return OLD_CHUNK_TABLES if month == OLD_MONTHS else CHUNK_TABLES

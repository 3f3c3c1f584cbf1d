"""Who judges: one worker at a time owns the partitions; another one stands by and takes over."""

import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from anomify.db import Database

log = logging.getLogger(__name__)

# Any number will do that no other program uses on the same database.
ADVISORY_LOCK = 0x616E6F6D
LOCK_FILE = "worker.lock"
STANDBY_SECONDS = 0.5


class OwnershipLost(Exception):
    """The database has let go of our lock: another worker may be judging already."""


class Ownership:
    """A lock that ends with the process, or with its connection to the database."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        """Hold nothing yet."""
        self._database = database
        self._path = data_dir / LOCK_FILE
        self._connection: Connection | None = None
        self._file: IO[str] | None = None

    @contextmanager
    def held(self, stopping: threading.Event) -> Iterator[bool]:
        """Wait for the lock and hold it; give False where we were asked to stop before."""
        is_waiting = False
        while not stopping.is_set():
            if self._take():
                try:
                    yield True
                finally:
                    self._let_go()
                return
            if not is_waiting:
                log.info("another worker is judging; standing by to take over")
                is_waiting = True
            stopping.wait(STANDBY_SECONDS)
        yield False

    def check(self) -> None:
        """Raise OwnershipLost if the lock is not ours any more."""
        if self._connection is None:
            return
        try:
            self._connection.execute(text("SELECT 1"))
            self._connection.rollback()
        except SQLAlchemyError as problem:
            raise OwnershipLost("the connection that held the lock is gone") from problem

    def _take(self) -> bool:
        if self._database.is_sqlite:
            return self._take_file()
        connection = self._database.engine.connect()
        has_lock = connection.execute(select(func.pg_try_advisory_lock(ADVISORY_LOCK))).scalar()
        connection.rollback()
        if has_lock:
            self._connection = connection
        else:
            connection.close()
        return bool(has_lock)

    def _take_file(self) -> bool:
        file = self._path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def _let_go(self) -> None:
        if self._connection is not None:
            # Closed for good, not handed back to the pool: the lock lives in the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        if self._file is not None:
            self._file.close()
            self._file = None

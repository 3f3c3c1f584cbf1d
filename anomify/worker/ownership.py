"""Ensure that one worker at a time judges; another one waits and takes over.

A worker judges only while it holds a lock. The worker that takes the lock begins a new epoch, and
every transaction that judges compares the epoch: a worker that was paused, and whose lock another
one holds by now, writes nothing.
"""

import fcntl
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from anomify.clock import now
from anomify.db import Database
from anomify.errors import Unavailable
from anomify.metric.epoch import current_epoch, lock_epoch, take_epoch

log = logging.getLogger(__name__)

# Any number will do that no other program uses on the same database.
ADVISORY_LOCK = 0x616E6F6D
LOCK_FILE = "worker.lock"
STANDBY_SECONDS = 0.5


class OwnershipLost(Unavailable):
    """Another worker judges, or may do so, because our lock in the database ended."""


class Ownership:
    """A lock that ends with the process, or with its connection to the database, and its epoch."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        """Start without the lock."""
        self._database = database
        self._path = data_dir / LOCK_FILE
        self._connection: Connection | None = None
        self._file: IO[str] | None = None
        # 0 while the lock is not held.
        self.epoch = 0

    @contextmanager
    def held(self, stopping: threading.Event) -> Iterator[bool]:
        """Wait for the lock and hold it; yield False if `stopping` was set before."""
        is_waiting = False
        while not stopping.is_set():
            if self._take():
                try:
                    with self._database.unit_of_work():
                        self.epoch = take_epoch(worker_name(), now())
                    yield True
                finally:
                    self._release()
                return
            if not is_waiting:
                log.info("another worker is judging; waiting to take over")
                is_waiting = True
            stopping.wait(STANDBY_SECONDS)
        yield False

    def check(self) -> None:
        """Raise OwnershipLost if this process does not hold the lock any more."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
                self._connection.rollback()
            except SQLAlchemyError as problem:
                raise OwnershipLost("the connection that held the lock is gone") from problem
        with self._database.unit_of_work(write=False):
            self._compare(current_epoch())

    def fence(self, opened: Session) -> None:
        """Raise OwnershipLost unless we are the owner until this transaction ends."""
        self._compare(lock_epoch(opened.connection()))

    def fence_points(self, connection: Connection) -> None:
        """Raise OwnershipLost unless we are the owner; for a transaction of the chunk store.

        On PostgreSQL that is so until it ends. SQLite keeps chunks in files of their own, so there
        it is so at this moment; but there the lock ends with the process only, paused or not.
        """
        if connection.dialect.name != "sqlite":
            self._compare(lock_epoch(connection))
            return
        with self._database.unit_of_work(write=False):
            self._compare(current_epoch())

    def _compare(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise OwnershipLost(
                f"another worker has taken over: it is epoch {epoch}, and ours was {self.epoch}"
            )

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

    def _release(self) -> None:
        self.epoch = 0
        if self._connection is not None:
            # Otherwise the lock ends only when the server notices the closed connection.
            with suppress(SQLAlchemyError):
                self._connection.execute(select(func.pg_advisory_unlock(ADVISORY_LOCK)))
            # Closed, not returned to the pool: the lock belongs to the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        if self._file is not None:
            self._file.close()
            self._file = None


def worker_name() -> str:
    """Return the name of this process: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"

"""Engines of the meta database: connection pools, time-outs, and one SQLite writer at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import TimeoutError as PoolTimeout

# How long a writer waits for another one before it gives up and the caller answers 503.
SQLITE_BUSY_SECONDS = 5
# SQLite has one writer at a time. Threads of this process that wait to write hold no connection,
# because readers need those, and only so many wait at once, so that threads are left to read.
WRITERS_WAITING_MAX = 16
WAITING_SLOT_SECONDS = 1
# Beyond the five that stay open, so that every web thread can read at once.
SQLITE_MORE_CONNECTIONS = 64
POSTGRES_POOL_SIZE = 16
POSTGRES_POOL_SIZE_BESIDE = 8
POOL_SECONDS = 2
STATEMENT_TIMEOUT_MS = 30_000


def meta_url(url: str) -> URL:
    """Return the URL with the driver that this project ships for it."""
    parsed = make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def make_engine(url: URL, pool_size: int = POSTGRES_POOL_SIZE) -> Engine:
    """Return an engine for the meta database; `pool_size` is used on PostgreSQL only."""
    # Errors are logged with their statement, but without its parameters, which may be secret.
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            connect_args={"timeout": SQLITE_BUSY_SECONDS},
            hide_parameters=True,
            max_overflow=SQLITE_MORE_CONNECTIONS,
            pool_timeout=POOL_SECONDS,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        hide_parameters=True,
        pool_timeout=POOL_SECONDS,
        connect_args={
            "connect_timeout": 5,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c synchronous_commit=on",
        },
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Switches off the driver's implicit BEGIN; _begin_sqlite sends the right one.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once: upgrading a read transaction later can only fail.
    options = connection.get_execution_options()
    if not options.get("anomify_write", True):
        connection.exec_driver_sql("BEGIN")
        return
    wait_seconds = options.get("anomify_wait_seconds")
    if wait_seconds is None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout={int(wait_seconds * 1000)}")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")


class WriterQueue:
    """Lets one thread of this process write at a time; the others wait without a connection."""

    def __init__(self) -> None:
        """Start without a writer."""
        self._waiting_slots = threading.BoundedSemaphore(WRITERS_WAITING_MAX)
        self._turn = threading.Lock()

    @contextmanager
    def turn(self, wait_seconds: float | None) -> Iterator[None]:
        """Wait for the turn of this thread, and hold it inside.

        Raises SQLAlchemy's TimeoutError when it does not come within `wait_seconds`, by default
        SQLITE_BUSY_SECONDS, or when too many threads wait already.
        """
        wait_seconds = SQLITE_BUSY_SECONDS if wait_seconds is None else wait_seconds
        if not self._waiting_slots.acquire(timeout=min(WAITING_SLOT_SECONDS, wait_seconds)):
            raise PoolTimeout("too many wait to write")
        try:
            if not self._turn.acquire(timeout=wait_seconds):
                raise PoolTimeout("others write for too long")
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._waiting_slots.release()

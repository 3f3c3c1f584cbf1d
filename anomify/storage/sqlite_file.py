"""Creates, opens and salvages one SQLite file of points."""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    NullPool,
    create_engine,
    event,
    insert,
    text,
)
from sqlalchemy.dialects import sqlite

from anomify.errors import Unavailable
from anomify.storage.database_errors import is_damage, translate_errors
from anomify.storage.errors import Damaged, NewerLayout
from anomify.storage.tables import LAYOUT, point_chunks

# How long a writer waits for another one before `Unavailable` is raised.
BUSY_SECONDS = 5
MOST_CONNECTIONS = 64
# Larger pages hold several chunks each; smaller ones would spill every judged chunk.
PAGE_BYTES = 8192
CACHE_KIB = 4096
# The size to which a write-ahead log is cut after many writes at once.
WAL_KEPT_BYTES = 32 * 1024 * 1024

INSERT_CHUNK = str(insert(point_chunks).compile(dialect=sqlite.dialect()))


@dataclass(slots=True)
class OpenFile:
    """An open file: engines for reading and writing, and how many use it now."""

    engine: Engine
    writer: Engine
    inode: int
    users: int = 0
    is_retired: bool = False


def make_file(path: Path, tables: MetaData, chunks: Iterable[tuple[int, int, bytes]] = ()) -> int:
    """Create a file with these tables and chunks unless it exists; return how many chunks it got.

    It is written under another name and then linked, so that no process opens an incomplete file.
    """
    saved = 0
    if path.exists():
        return saved
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    engine = sqlite_engine(draft, pool=NullPool, is_new=True)
    try:
        with translate_errors(), engine.connect() as connection:
            connection.execute(text(f"PRAGMA page_size={PAGE_BYTES}"))
            connection.execute(text("PRAGMA auto_vacuum=INCREMENTAL"))
            tables.create_all(connection)
            driver: Any = connection.connection.driver_connection
            driver.execute("BEGIN IMMEDIATE")
            for row in chunks:
                saved += driver.execute(INSERT_CHUNK, row).rowcount
            driver.execute("COMMIT")
            connection.execute(text(f"PRAGMA user_version={LAYOUT}"))
            connection.execute(text("PRAGMA journal_mode=WAL"))
        try:
            os.link(draft, path)
        except FileExistsError:
            return saved
        sync_folder(path.parent)
        return saved
    finally:
        draft.unlink(missing_ok=True)


def open_file(path: Path) -> OpenFile:
    """Open an existing file. Raises FileNotFoundError."""
    engine = sqlite_engine(path)
    return OpenFile(engine, engine.execution_options(point_writer=True), path.stat().st_ino)


def sqlite_engine(path: Path, *, pool: Any = None, is_new: bool = False) -> Engine:
    """Return an engine for one file, which is created where `is_new`."""
    sizes = {} if pool is NullPool else {"max_overflow": MOST_CONNECTIONS}
    # Opening must not create a file: a reader of a month that is being dropped would.
    query = {"mode": "rwc" if is_new else "rw", "uri": "true"}
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    engine = create_engine(url, poolclass=pool, connect_args={"timeout": BUSY_SECONDS}, **sizes)
    event.listen(engine, "connect", _prepare_new if is_new else _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, record: object) -> None:
    _prepare_new(connection, record)
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if not layout:
        connection.close()
        raise Damaged("A file of points is empty.")


def _prepare_new(connection: Any, _record: object) -> None:
    # The driver's own implicit BEGIN is switched off: _begin opens transactions.
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
    # A single SELECT is a transaction of its own, so only a writer opens one, and opens it for
    # writing: a transaction that read first cannot write after another one has written.
    if connection.get_execution_options().get("point_writer"):
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as problem:
            if is_damage(problem):
                raise
            raise Unavailable("The store of points is busy; try again.") from problem


def leave_wal_mode(connection: Connection) -> bool:
    """Switch a file's write-ahead log off; return False where another process has the file open.

    After True the connection has the file alone until it closes.
    """
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout=0")
    driver.execute("PRAGMA locking_mode=EXCLUSIVE")
    try:
        (mode,) = driver.execute("PRAGMA journal_mode=DELETE").fetchone()
    except connection.dialect.loaded_dbapi.OperationalError:
        return False
    return bool(mode == "delete")


def readable_chunks(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield the rows of a damaged file that can be read: key, through-offset and blob.

    The file is read from both ends, because a damaged page ends each read; no row comes twice.
    """
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


def sync_folder(folder: Path) -> None:
    """Make the names of files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_with_wal(path: Path) -> None:
    """Remove a file and its write-ahead log."""
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        each.unlink(missing_ok=True)


def inode_of(path: Path) -> int | None:
    """Return the inode of a file, None where it is missing."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def file_signature(path: Path) -> tuple[int, ...]:
    """Return numbers that change with every write to a file or its write-ahead log."""
    name = str(path)
    signature: tuple[int, ...] = ()
    for each in (name, f"{name}-wal"):
        try:
            status = os.stat(each)  # noqa: PTH116 - hundreds of times in one reading
        except FileNotFoundError:
            continue
        # Readers create an empty log and remove it again.
        if status.st_size:
            signature += (status.st_ino, status.st_size, status.st_mtime_ns)
    return signature


def changed_ms(path: Path) -> float:
    """Return when a file or its write-ahead log was last written, in unix ms, 0 if missing."""
    try:
        times = [each.stat().st_mtime for each in (path, path.with_name(f"{path.name}-wal"))]
    except FileNotFoundError:
        times = [path.stat().st_mtime] if path.exists() else [0.0]
    return max(times) * 1000

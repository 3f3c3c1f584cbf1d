"""The declarative Base, small SQL tools and unit_of_work(), the only caller of commit."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    MetaData,
    Select,
    Table,
    any_,
    func,
    inspect,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session
from sqlalchemy.orm.attributes import instance_dict
from sqlalchemy.types import TypeDecorator

from anomify.db_engine import POSTGRES_POOL_SIZE_BESIDE, WriterQueue, make_engine, meta_url

# The most values in one statement; databases limit the number.
STATEMENT_VALUES = 500


class Base(DeclarativeBase):
    """The base class of all rows of the meta database, with fixed names of constraints."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# The `info` of a column with a JSON list of user ids, from which deleted users are removed.
LISTS_USERS = {"lists": "users"}

Item = TypeVar("Item")


class Page(Generic[Item]):
    """A page of a list, and the number of items of the whole list."""

    def __init__(self, items: list[Item], total: int | Select[int]) -> None:
        """Take the items, and the total or the statement that counts it when `total` is read."""
        self.items = items
        self._counted = total

    @cached_property
    def total(self) -> int:
        """Return the number of items of the whole list.

        Counts it on the first call, which needs the unit of work in which the page was read.
        """
        if isinstance(self._counted, int):
            return self._counted
        return session().scalar(self._counted) or 0


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored in UTC; SQLite drops the zone, so it is added again when reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC. Raises ValueError for a naive one."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored moment as aware UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_session: ContextVar[Session | None] = ContextVar("anomify_session", default=None)


def session() -> Session:
    """Return the session of the open unit of work. Raises RuntimeError if none is open."""
    current = _session.get()
    if current is None:
        raise RuntimeError("no unit of work is open here")
    return current


def read_pairs(query: Select[int, int]) -> dict[int, int]:
    """Return what a query of two columns finds: the second one by the first one."""
    return {row[0]: row[1] for row in session().execute(query)}


def among(
    column: InstrumentedAttribute[int] | InstrumentedAttribute[int | None], ids: Iterable[int]
) -> ColumnElement[bool]:
    """Return the condition that an id is one of these, with a single parameter for all of them.

    Needs an open unit of work, because the condition depends on the database.
    """
    listed = list(ids)
    if session().get_bind().dialect.name == "sqlite":
        each = func.json_each(json.dumps(listed)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(literal(listed, ARRAY(BigInteger)))


def upsert(
    table: type[DeclarativeBase] | Table, connection: Connection | None = None
) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT into the table that takes `on_conflict_do_update` or `_do_nothing`.

    It is for the database of the connection, or of the open unit of work where none is given.
    """
    bind = session().get_bind() if connection is None else connection
    return sqlite.insert(table) if bind.dialect.name == "sqlite" else postgresql.insert(table)


def insert_once(row: type[DeclarativeBase], **values: Any) -> bool:
    """Insert a row unless there is one with its key; return whether it was inserted.

    Another insert of the same key waits for our commit. Needs a unit of work that writes.
    """
    key = inspect(row).primary_key
    inserted = session().execute(
        upsert(row).values(**values).on_conflict_do_nothing(index_elements=key).returning(*key)
    )
    return inserted.first() is not None


def batches(items: Sequence[Item], size: int = STATEMENT_VALUES) -> Iterator[Sequence[Item]]:
    """Return the items in order, in slices of at most `size`, for one statement each.

    >>> list(batches([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    for first in range(0, len(items), size):
        yield items[first : first + size]


def sealing_key() -> bytes:
    """Return the key with which secrets in rows of this database are encrypted.

    Raises RuntimeError where the database was opened without one.
    """
    key: bytes | None = session().info["sealing_key"]
    if key is None:
        raise RuntimeError("this database was opened without a key to seal with")
    return key


@contextmanager
def overwriting_deleted() -> Iterator[None]:
    """Have SQLite overwrite the rows deleted inside with zeros, not only free their pages.

    For data that must be erased on request; it costs more writing. Needs a unit of work that
    writes. On PostgreSQL vacuuming does this.
    """
    connection = session().connection()
    if connection.dialect.name != "sqlite":
        yield
        return
    connection.exec_driver_sql("PRAGMA secure_delete=ON")
    try:
        yield
        session().flush()
    finally:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")


def publish(notice: object) -> None:
    """Send a notice to the subscribers of the database when the open unit of work is committed.

    Nothing is published when the unit of work is rolled back. Subscribers are in this process;
    other processes see the change when they read the rows again.
    """
    session().info["notices"].append(notice)


def if_undone(call: Callable[[], None]) -> None:
    """Call this if the open unit of work is rolled back; the one registered last is called first.

    For changes in memory that belong to changes of rows. Does nothing if none is open.
    """
    current = _session.get()
    if current is not None:
        current.info["undo"].append(call)


Row = TypeVar("Row", bound=Base)


def plain(row: Row) -> Row:
    """Return a copy of a row that belongs to no unit of work.

    It stays readable after the unit of work in which the row was read. Related rows are not copied.
    """
    copied = type(row)()
    # Written directly, as loading does, without change tracking: this runs in every request.
    values = instance_dict(copied)
    for attribute in inspect(type(row)).column_attrs:
        values[attribute.key] = getattr(row, attribute.key)
    return copied


class Database:
    """The meta database, for all data that needs transactions (spec/storage.md 10.2)."""

    def __init__(self, url: str) -> None:
        """Create the engine; the first connection is opened by the first unit of work."""
        self.url = meta_url(url)
        # Set by the processes of the product when they open the database; see sealing_key().
        self.sealing_key: bytes | None = None
        self.engine: Engine = make_engine(self.url)
        self._writer_queue = WriterQueue() if self.is_sqlite else None
        self._fence: Callable[[Session], None] | None = None
        self._subscribers: list[Callable[[object], None]] = []

    def subscribe(self, subscriber: Callable[[object], None]) -> None:
        """Call the subscriber with each published notice; it must be quick and not raise."""
        self._subscribers.append(subscriber)

    @property
    def is_sqlite(self) -> bool:
        """Return whether this is the embedded SQLite database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def unit_of_work(
        self, *, write: bool = True, wait_seconds: float | None = None
    ) -> Iterator[Session]:
        """Open one transaction: committed at the end, rolled back when anything is raised.

        With `write=False` nothing may be changed and nothing is locked. A unit opened inside
        another one of the same kind joins it. Raises SQLAlchemy's errors if the database does not
        answer, also if others write for longer than `wait_seconds`, by default
        SQLITE_BUSY_SECONDS.
        """
        outer = _session.get()
        if outer is not None:
            if write and not outer.info["write"]:
                raise RuntimeError("a unit of work that writes cannot open inside one that reads")
            yield outer
            return
        engine = self.engine.execution_options(
            anomify_write=write, anomify_wait_seconds=wait_seconds
        )
        fence = self._fence if write else None
        with (
            self._writer_turn(write=write, wait_seconds=wait_seconds),
            Session(
                engine,
                expire_on_commit=False,
                info={"write": write, "sealing_key": self.sealing_key, "notices": [], "undo": []},
            ) as opened,
        ):
            token = _session.set(opened)
            try:
                if fence is not None:
                    fence(opened)
                yield opened
                if write:
                    opened.commit()
                # Without a commit, closing rolls back and keeps loaded rows readable; rollback()
                # would expire them.
            except BaseException:
                opened.rollback()
                for call in reversed(opened.info["undo"]):
                    call()
                raise
            finally:
                _session.reset(token)
            self._notify_subscribers(opened.info["notices"])

    def _notify_subscribers(self, notices: list[object]) -> None:
        for notice in notices:
            for subscriber in self._subscribers:
                subscriber(notice)

    def fenced(self, fence: Callable[[Session], None]) -> Self:
        """Return the same database for a caller that may lose the right to write.

        Every unit of work that writes begins with a call of `fence`, which raises when another
        process has that right, so that nothing is changed.
        """
        fenced = copy.copy(self)
        fenced._fence = fence  # noqa: SLF001 -- a copy of ourselves
        return fenced

    def _writer_turn(
        self, *, write: bool, wait_seconds: float | None
    ) -> AbstractContextManager[None]:
        if self._writer_queue is None or not write:
            return nullcontext()
        return self._writer_queue.turn(wait_seconds)

    def engine_beside(self) -> Engine:
        """Return an engine for the same database with a few connections of its own.

        For queries while a unit of work is open: with one engine, all threads that hold a
        connection could wait for a second one. The caller has to dispose of it.
        """
        return make_engine(self.url, POSTGRES_POOL_SIZE_BESIDE)

    def empty_log(self) -> None:
        """Truncate SQLite's write-ahead log, which still contains deleted rows.

        Does nothing while another connection reads; SQLite truncates the log later itself.
        """
        if self.is_sqlite:
            with self.engine.connect() as connection:
                # On the driver's connection, because it would do nothing inside a transaction.
                driver = connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr] # SQLite's own

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()

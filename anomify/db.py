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

# Databases bound the number of values in one statement.
STATEMENT_VALUES = 500


class Base(DeclarativeBase):
    """The parent of every row of the meta database; constraint names are fixed for migrations."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# In the `info` of a column that holds a JSON list of ids of users: who is removed is taken off it.
LISTS_USERS = {"lists": "users"}

Item = TypeVar("Item")


class Page(Generic[Item]):
    """A page of a list, and how many items the whole list holds."""

    def __init__(self, items: list[Item], total: int | Select[int]) -> None:
        """Take the items and the total, or the statement that counts it when it is asked for."""
        self.items = items
        self._counted = total

    @cached_property
    def total(self) -> int:
        """Return how many items the whole list holds.

        May need the unit of work in which the page was read: a list is not counted before this.
        """
        if isinstance(self._counted, int):
            return self._counted
        return session().scalar(self._counted) or 0


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept in UTC; SQLite forgets zones, so they are put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments and store the others in UTC."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every moment back as aware UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_session: ContextVar[Session | None] = ContextVar("anomify_session", default=None)


def session() -> Session:
    """Return the session of the unit of work that is open around the caller."""
    current = _session.get()
    if current is None:
        raise RuntimeError("no unit of work is open here")
    return current


def among(column: InstrumentedAttribute[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """Return the condition that an id is one of these, in one parameter however many they are.

    Needs an open unit of work: each database takes a list in its own way.
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

    Who inserts the same one at the same moment waits for us. Needs a unit of work that writes.
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
    """Return the key with which rows of this database seal what only we may read again.

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
    """Hand a notice to the subscribers of the database once the open unit of work is committed.

    Nothing is published when the unit of work is rolled back. Subscribers are in this process;
    other processes see the change when they read the rows again.
    """
    session().info["notices"].append(notice)


def if_undone(call: Callable[[], None]) -> None:
    """Call this if the open unit of work is rolled back; the one registered last is called first.

    For what was changed in memory along with rows. Where none is open nothing can be undone.
    """
    current = _session.get()
    if current is not None:
        current.info["undo"].append(call)


Row = TypeVar("Row", bound=Base)


def plain(row: Row) -> Row:
    """Return a copy of a row that belongs to no unit of work, and never will.

    It is readable whatever becomes of the unit of work that the row was read in. What the row
    refers to is not copied.
    """
    copied = type(row)()
    # As loading does it: past what notes each value as a change. It is done for every request.
    values = instance_dict(copied)
    for attribute in inspect(type(row)).column_attrs:
        values[attribute.key] = getattr(row, attribute.key)
    return copied


class Database:
    """The meta database: what must be atomic lives here (spec/storage.md 10.2)."""

    def __init__(self, url: str) -> None:
        """Make the engine; no connection is opened before the first unit of work."""
        self.url = meta_url(url)
        # Set by whoever opens the database to do the product's work; see sealing_key().
        self.sealing_key: bytes | None = None
        self.engine: Engine = make_engine(self.url)
        self._writer_queue = WriterQueue() if self.is_sqlite else None
        self._fence: Callable[[Session], None] | None = None
        self._subscribers: list[Callable[[object], None]] = []

    def subscribe(self, subscriber: Callable[[object], None]) -> None:
        """Call this with each notice that `publish` is given; it must be quick and not raise."""
        self._subscribers.append(subscriber)

    @property
    def is_sqlite(self) -> bool:
        """Return whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def unit_of_work(
        self, *, write: bool = True, wait_seconds: float | None = None
    ) -> Iterator[Session]:
        """Open one transaction: committed at the end, rolled back when anything is raised.

        With `write=False` nothing may be changed and nothing is locked. A unit opened inside
        another one of the same kind joins it. Raises what SQLAlchemy has for a database that
        cannot answer, also when others write for too long; `wait_seconds` says how long that
        is for what is not worth waiting for.
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
                # Else closing rolls back, and leaves what was read readable; rollback() would not.
            except BaseException:
                opened.rollback()
                for call in reversed(opened.info["undo"]):
                    call()
                raise
            finally:
                _session.reset(token)
            self._hand_out(opened.info["notices"])

    def _hand_out(self, notices: list[object]) -> None:
        for notice in notices:
            for subscriber in self._subscribers:
                subscriber(notice)

    def fenced(self, fence: Callable[[Session], None]) -> Self:
        """Return the same database for a caller who may lose the right to write.

        Every unit of work that it opens to write begins with `fence`, which raises, and so keeps
        everything as it is, once that right is somebody else's.
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
        """Return an engine for the same database that has a few connections of its own.

        It is for what is asked while a unit of work is open: were it the same engine, those who
        hold a connection could all wait for a second one. The caller disposes of it.
        """
        return make_engine(self.url, POSTGRES_POOL_SIZE_BESIDE)

    def empty_log(self) -> None:
        """Truncate SQLite's write-ahead log, which still holds former rows, unless somebody reads.

        SQLite does so itself sooner or later.
        """
        if self.is_sqlite:
            with self.engine.connect() as connection:
                # Past the driver's wrapper: inside a transaction it would do nothing.
                driver = connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr] # SQLite's own

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()

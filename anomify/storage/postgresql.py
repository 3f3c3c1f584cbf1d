"""The points of one PostgreSQL database, in tables."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from anomify.errors import Unavailable
from anomify.series import Int64s
from anomify.storage.database_errors import translate_errors
from anomify.storage.log_upgrade import TABLES_LOCK, add_missing_columns
from anomify.storage.tables import CHUNK_TABLES, LOG_TABLES

# The advisory lock of PostgreSQL for appending in order.
_APPEND_LOCK = 0x616E_6F6D_6C6F_6701


class PointTables:
    """The points of one PostgreSQL database, which may hold other tables too."""

    def __init__(self, engine: Engine) -> None:
        """Create missing tables, one process at a time. `close` disposes of the engine."""
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        with translate_errors(), engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(TABLES_LOCK)))
            LOG_TABLES.create_all(connection)
            CHUNK_TABLES.create_all(connection)
        with translate_errors():
            add_missing_columns(engine, engine)

    @contextmanager
    def reading_log(self) -> Iterator[Connection]:
        """Yield a connection that reads what is committed."""
        with translate_errors(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing_log(self) -> Iterator[Connection]:
        """Yield a connection in a transaction."""
        with translate_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def appending_log(self) -> Iterator[Connection]:
        """Yield a transaction that holds the lock of appending until it has committed."""
        with self.writing_log() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_APPEND_LOCK)))
            yield connection

    def months(self, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the only part."""
        del first_bucket, last_bucket
        return [0]

    def months_with(self, metric_id: int, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the only part."""
        del metric_id, first_bucket, last_bucket
        return [0]

    def parts(self) -> list[int]:
        """Return the only part."""
        return [0]

    def part_of(self, month: int) -> int:
        """Return the only part."""
        return month

    def name_of(self, part: int) -> str:
        """Return text for people: the only part has all chunks."""
        del part
        return "the chunks"

    def months_of(self, buckets: Int64s) -> Int64s:
        """Return the number of the only part for each bucket."""
        return np.zeros_like(buckets)

    def months_before(self, bucket: int) -> list[int]:
        """Return nothing: the only part has no end."""
        del bucket
        return []

    def reading_chunks(self, month: int) -> AbstractContextManager[Connection | None]:
        """Yield a connection that reads what is committed."""
        del month
        return self.reading_log()

    def writing_chunks(self, month: int) -> AbstractContextManager[Connection]:
        """Yield a connection in a transaction."""
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

    def free_space(self, month: int) -> None:
        """Do nothing: autovacuum frees the space."""

    def span_of(self, month: int) -> tuple[int, int]:
        """Return a span that contains all times."""
        del month
        return -(2**62), 2**62

    def renew_month(self, month: int) -> str:
        """Raise Unavailable: only the server's own tools can repair pages."""
        del month
        raise Unavailable("PostgreSQL cannot read its own pages; restore them from a backup.")

    def size_bytes(self) -> int:
        """Return the size of the tables with indexes and overflow."""
        tables = [*LOG_TABLES.sorted_tables, *CHUNK_TABLES.sorted_tables]
        sizes = [func.pg_total_relation_size(table.name) for table in tables]
        with self.reading_log() as connection:
            return sum(int(size) for size in connection.execute(select(*sizes)).one())

    def close(self) -> None:
        """Close the engine's connections."""
        self._engine.dispose()

"""Adds tables and columns that a log of an older version does not have."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, Engine, MetaData, func, inspect, select, text

from anomify.storage.database_errors import translate_errors
from anomify.storage.tables import LOG_TABLES

# The advisory lock of PostgreSQL for creating and changing the tables.
TABLES_LOCK = 0x616E_6F6D_6C6F_6702


def add_missing_tables(reader: Engine, writer: Engine, tables: MetaData) -> None:
    """Create the tables that a file of an older version does not have."""
    with translate_errors():
        with reader.connect() as connection:
            named = set(inspect(connection).get_table_names())
        if not {table.name for table in tables.sorted_tables} <= named:
            with writer.begin() as connection:
                tables.create_all(connection)


def add_missing_columns(reader: Engine, writer: Engine) -> None:
    """Add the columns that tables of an older version do not have.

    All of them are nullable, so that the older version can still write the same tables.
    """
    with reader.connect() as connection:
        if not list(_missing_columns(connection)):
            return
    with writer.begin() as connection:
        if connection.dialect.name != "sqlite":
            # On SQLite there is one writer at a time anyway.
            connection.execute(select(func.pg_advisory_xact_lock(TABLES_LOCK)))
        for column in list(_missing_columns(connection)):
            kind = column.type.compile(connection.dialect)
            connection.execute(
                text(f"ALTER TABLE {column.table.name} ADD COLUMN {column.name} {kind}")
            )


def _missing_columns(connection: Connection) -> Iterator[Column[Any]]:
    for table in LOG_TABLES.sorted_tables:
        present = {column["name"] for column in inspect(connection).get_columns(table.name)}
        yield from (column for column in table.columns if column.name not in present)

"""No id that a database makes ever returns, and no list keeps a user who was removed."""

from datetime import UTC, date, datetime

from sqlalchemy import JSON, Integer, LargeBinary, insert, text
from sqlalchemy.dialects import sqlite

from anomify.db import LISTS_USERS, Base, UtcDateTime
from anomify.factory import create_app
from anomify.storage.tables import CHUNK_TABLES, LOG_TABLES
from anomify.user.delete_user import list_columns

assert create_app  # it imports every model there is
ALL_METADATA = (Base.metadata, LOG_TABLES, CHUNK_TABLES)
# Whole numbers by which rows are found and which the program gives, because they count nothing
# that comes and goes: parts of the engine, ids of metrics that were deleted, places of chunks.
GIVEN = {
    ("checkpoints", "partition"),
    ("deleted_metrics", "metric_id"),
    ("point_chunks", "chunk_key"),
}
# Columns that name users without being a reference: deliveries keep to whom they once went, and
# look the user up again before they go there.
HISTORY = {("deliveries", "recipient")}


def tables():
    return [table for metadata in ALL_METADATA for table in metadata.sorted_tables]


def makes_ids(table):
    """Whether the database makes the ids of this table."""
    keys = list(table.primary_key.columns)
    return (
        len(keys) == 1
        and isinstance(keys[0].type.dialect_impl(sqlite.dialect()), Integer)
        and not keys[0].foreign_keys
        and (table.name, keys[0].name) not in GIVEN
    )


def any_value(column, number):
    """A value of the column's type that nothing else has."""
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return datetime(2026, 1, 1, tzinfo=UTC)
    if isinstance(kind, JSON):
        return []
    if isinstance(kind, LargeBinary):
        return number.to_bytes(8, "big")
    return {str: f"{number}", int: number, bool: False, float: 0.5, date: None}[kind.python_type]


def any_row(table, number):
    return {
        column.name: any_value(column, number)
        for column in table.columns
        if not column.primary_key and not column.nullable
    }


class TestEveryTable:
    def test_is_known_to_make_its_ids_or_to_be_given_them(self):
        found = {table.name for table in tables() if makes_ids(table)}
        assert {"orgs", "users", "tokens", "metrics", "watchers", "anomalies"} <= found
        assert {"audit_entries", "judged_batches", "point_log"} <= found
        for table in tables():
            if makes_ids(table):
                assert table.dialect_options["sqlite"]["autoincrement"], (
                    f'{table.name} needs {{"sqlite_autoincrement": True}} in __table_args__: '
                    "without it SQLite gives the id of a deleted row to the next one"
                )

    def test_stands_in_the_embedded_database_as_it_is_declared(self, database):
        if not database.is_sqlite:
            return
        with database.unit_of_work(write=False) as session:
            found = session.execute(text("SELECT name, sql FROM sqlite_master"))
            made = {row.name: row.sql for row in found}
        for table in Base.metadata.sorted_tables:
            if makes_ids(table):
                assert "AUTOINCREMENT" in made[table.name], f"a revision has lost it: {table.name}"

    def test_gives_no_id_twice_however_rows_go(self, database):
        with database.unit_of_work() as session:
            # What rows refer to does not matter here.
            if database.is_sqlite:
                session.connection().connection.driver_connection.execute("ROLLBACK")
                session.connection().connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
                session.connection().connection.driver_connection.execute("BEGIN IMMEDIATE")
            else:
                session.execute(text("SET session_replication_role = replica"))
            for table in filter(makes_ids, Base.metadata.sorted_tables):
                (key,) = table.primary_key.columns
                seen = []
                for number in (1, 2, 3):
                    made = session.execute(insert(table).values(any_row(table, number)))
                    seen.append(made.inserted_primary_key[0])
                    session.execute(table.delete().where(key == seen[-1]))
                assert seen == sorted(set(seen)), table.name


class TestEveryListOfUsers:
    def test_is_declared_as_one(self):
        listed = {(table.name, column.name) for table, column in list_columns()}
        assert ("watchers", "email_user_ids") in listed
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                if column.foreign_keys or (table.name, column.name) in HISTORY:
                    continue
                is_suspect = any(
                    word in column.name for word in ("user_id", "users", "assign", "recipient_id")
                )
                assert not is_suspect or (table.name, column.name) in listed, (
                    f"{table.name}.{column.name} seems to hold users: make it a reference, or say "
                    "info=LISTS_USERS"
                )

    def test_goes_with_the_user_where_it_is_a_reference(self):
        for table in Base.metadata.sorted_tables:
            for reference in table.foreign_keys:
                if reference.column.table.name == "users":
                    assert reference.ondelete in {"CASCADE", "SET NULL"}, table.name

    def test_is_json_of_whole_numbers_in_a_table_of_an_org(self):
        for table, column in list_columns():
            assert isinstance(column.type, JSON)
            assert column.info == LISTS_USERS
            assert "org_id" in table.columns

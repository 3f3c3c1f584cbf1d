"""Where Alembic learns of every row and of the database it works on."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

import anomify.admin_alert.model
import anomify.anomaly.model
import anomify.audit.model
import anomify.billing.model
import anomify.contact_point.model
import anomify.delivery.model
import anomify.exclusion.model
import anomify.incident.model
import anomify.match.model
import anomify.metric.model
import anomify.org.model
import anomify.page_event.model
import anomify.pattern.model
import anomify.silence.model
import anomify.triage.model
import anomify.user.model
import anomify.watcher.model  # noqa: F401 -- these imports fill Base.metadata
from anomify import config
from anomify.db import Base, Database, UtcDateTime

# The point log and the chunk store keep their own tables, outside Alembic.
POINT_TABLES = "point_"
LOCK = 4_208_117


def is_ours(_row: object, name: str | None, kind: str, _reflected: object, _other: object) -> bool:
    return not (kind == "table" and (name or "").startswith(POINT_TABLES))


def render_item(kind: str, item: object, _context: Any) -> str | Literal[False]:
    # A revision is history: it must not change when our own type's code does.
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def let_tables_be_rebuilt(connection: Connection) -> None:
    """Let SQLite drop a table that others refer to, and put its new form in its place.

    Otherwise everything that belongs to its rows would be deleted by cascade. These pragmas work
    only outside a transaction, so they bypass the driver's wrapper, which would begin one.
    """
    driver = connection.connection.driver_connection
    for pragma in ("foreign_keys=OFF", "legacy_alter_table=ON"):
        driver.execute(f"PRAGMA {pragma}")


def check_references(connection: Connection) -> None:
    """Raise, before anything is committed, if a row refers to one that is not there."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise RuntimeError(f"a row of {broken[0]} refers to a row of {broken[2]} that is gone")


def sequences_of(connection: Connection) -> dict[str, int]:
    """Return the greatest id that SQLite has ever given in each table."""
    names = "SELECT name FROM sqlite_master WHERE name = 'sqlite_sequence'"
    if connection.exec_driver_sql(names).first() is None:
        return {}
    found = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
    return {name: seq for name, seq in found}  # noqa: C416 -- rows are no pairs to the type checker


def keep_sequences(connection: Connection, before: dict[str, int]) -> None:
    """Restore the id sequences of rebuilt tables, which SQLite derives from their rows only."""
    there = sequences_of(connection)
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    for name in connection.exec_driver_sql(tables).scalars().all():
        if name not in before or there.get(name, -1) >= before[name]:
            continue
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        connection.exec_driver_sql(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, before[name])
        )


def run() -> None:
    database = Database(context.config.attributes.get("url") or config.load().meta_url)
    try:
        with database.engine.connect() as connection:
            if database.is_sqlite:
                let_tables_be_rebuilt(connection)
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                render_as_batch=database.is_sqlite,
                include_object=is_ours,
                render_item=render_item,
                compare_type=True,
            )
            with context.begin_transaction():
                if not database.is_sqlite:
                    # Two that start at once: the second waits and finds nothing left to do.
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
                sequences = sequences_of(connection) if database.is_sqlite else {}
                context.run_migrations()
                if database.is_sqlite:
                    keep_sequences(connection, sequences)
                    check_references(connection)
            connection.commit()
    finally:
        database.dispose()


run()

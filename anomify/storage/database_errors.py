"""Translates errors of the database that stores points to those of this program."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.errors import Unavailable
from anomify.storage.errors import Damaged

# The codes with which SQLite and PostgreSQL report that stored pages are not what was written.
_SQLITE_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}
_POSTGRESQL_DAMAGED = {"XX001", "XX002"}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise `Damaged` for unreadable pages and `Unavailable` for a database that cannot be used.

    Errors of the statement itself are raised as they are.
    """
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as problem:
        if is_damage(problem):
            raise Damaged(f"Stored pages cannot be read: {problem.args[0]}") from problem
        if isinstance(problem, OperationalError | sqlite3.OperationalError):
            raise Unavailable("The store of points cannot be used now; try again.") from problem
        if not isinstance(problem, DBAPIError) or not problem.connection_invalidated:
            raise
        raise Unavailable("The store of points went away; try again.") from problem
    except (InterfaceError, PoolTimeout) as problem:
        raise Unavailable("The store of points cannot be used now; try again.") from problem
    except DBAPIError as problem:
        if not problem.connection_invalidated:
            raise
        raise Unavailable("The store of points went away; try again.") from problem


def is_damage(problem: DatabaseError | sqlite3.DatabaseError) -> bool:
    """Return whether the database reports that stored pages cannot be read."""
    cause = problem.orig if isinstance(problem, DatabaseError) else problem
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code in _SQLITE_DAMAGED or code & 0xFF in _SQLITE_DAMAGED
    return getattr(cause, "sqlstate", None) in _POSTGRESQL_DAMAGED

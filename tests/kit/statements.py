"""Statements compiled once for all tests of a process, though each has an engine of its own."""

from collections.abc import MutableMapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.util import LRUCache

_STATEMENTS_MAX = 5_000
# By the dialect's name and driver.
_dialects: dict[tuple[str, str], Dialect] = {}
_statements: MutableMapping[Any, Compiled] = LRUCache(_STATEMENTS_MAX)


def share_compiled_statements() -> None:
    """Let every engine of this process use the statements that others compiled before."""
    event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    # The pool has connected by now, so the dialect has read what the server can do.
    dialect = connection.dialect
    connection.dialect = _dialects.setdefault((dialect.name, dialect.driver), dialect)
    connection.engine.dialect = connection.dialect
    connection.engine._compiled_cache = _statements

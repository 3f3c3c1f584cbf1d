"""Rows that two may want to make at the same moment, made once."""

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite

from anomify.db import Base, session


def make_once(row: type[Base], **values: Any) -> bool:
    """Make a row unless there is one of its key; tell whether it was made.

    Who makes the same one at the same moment waits for us. Needs a unit of work that writes.
    """
    dialect = session().get_bind().dialect.name
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    key = inspect(row).primary_key
    made = session().execute(
        insert(row).values(**values).on_conflict_do_nothing(index_elements=key).returning(*key)
    )
    return made.first() is not None

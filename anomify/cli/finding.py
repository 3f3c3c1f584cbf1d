"""The result of one check of the installation, and what the checks have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from anomify.config import Settings
from anomify.db import Database

Result = TypeVar("Result")


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    is_well: bool
    sentence: str


def read_if_there(settings: Settings, read: Callable[[], Result]) -> Result | None:
    """Return what a query finds in the database, None where the database has not been made yet.

    Raises SQLAlchemyError where it cannot be read.
    """
    if settings.database_url is None and not (settings.data_dir / "meta.db").exists():
        return None
    database = Database(settings.meta_url)
    try:
        with database.unit_of_work(write=False):
            return read()
    finally:
        database.dispose()


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).splitlines()[0]

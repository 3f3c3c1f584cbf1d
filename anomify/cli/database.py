"""The database and the org lookup of the commands about orgs, users and tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anomify.cli.db import current_revision, head_revision
from anomify.cli.settings import read_settings
from anomify.config import Settings
from anomify.db import Database
from anomify.errors import Conflict, NotFound
from anomify.org.model import Org
from anomify.org.queries import find_org, list_orgs_named
from anomify.org.sealing import ROWS_PURPOSE

# The largest value of the id column.
LARGEST_ID = 2**31 - 1


@contextmanager
def unit_of_work(data_dir: Path | None, *, write: bool) -> Iterator[None]:
    """Open a unit of work on the installation's database; a server may be running meanwhile.

    Raises `Conflict` if there is no database or it does not match this version.
    """
    with opened_database(data_dir) as (_, database), database.unit_of_work(write=write):
        yield


@contextmanager
def opened_database(data_dir: Path | None) -> Iterator[tuple[Settings, Database]]:
    """Open the installation's database, for commands with several units of work.

    Raises `Conflict` like `unit_of_work`.
    """
    settings = read_settings(data_dir=data_dir)
    current = current_revision(settings)
    if current is None:
        raise Conflict(
            f"There is no database in {settings.data_dir} yet; start Anomify with "
            "`anomify up`, or run `anomify db upgrade`, with the same --data."
        )
    if current != head_revision():
        raise Conflict(
            "The database does not match this version of Anomify; run `anomify db upgrade`."
        )
    settings = settings.with_secret_key()
    database = Database(settings.meta_url)
    database.sealing_key = settings.key_for(ROWS_PURPOSE)
    try:
        yield settings, database
    finally:
        database.dispose()


def the_org(name_or_id: str) -> Org:
    """Return the org of this name or id. Raises `NotFound`, or `Conflict` if there are several."""
    named = list_orgs_named(name_or_id)
    if len(named) > 1:
        ids = ", ".join(str(org.id) for org in named)
        raise Conflict(
            f"There are several orgs named {name_or_id}; give one of their ids instead: {ids}."
        )
    if named:
        return named[0]
    is_id = name_or_id.isdecimal() and int(name_or_id) <= LARGEST_ID
    by_id = find_org(int(name_or_id)) if is_id else None
    if by_id is None:
        raise NotFound(f"There is no org {name_or_id}; `anomify org list` shows them.")
    return by_id

"""The unit of work of a request."""

from contextlib import AbstractContextManager

from sqlalchemy.orm import Session

from anomify.edge.app_state import app_state


def transaction(*, write: bool) -> AbstractContextManager[Session]:
    """Open the unit of work of the current request on the app's database."""
    return app_state().database.unit_of_work(write=write)

"""A transaction of the worker, done again where what it builds on is deleted meanwhile.

People delete metrics, watchers, users and orgs while the worker judges. On PostgreSQL a row can go
between the statement that reads it and the one that refers to it; that must cost a second attempt,
never all that the worker has in memory.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError, NoResultFound
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from anomify.db import Database
from anomify.metric.deleting import hold_metrics

log = logging.getLogger(__name__)

Result = TypeVar("Result")

MOST_ATTEMPTS: Final = 6
# From this attempt on nobody may delete the metrics it is about; before, that is not worth locks.
HOLDING_FROM: Final = 2
# A row that was read or loaded is not there any more when it is used.
_GONE = (IntegrityError, NoResultFound, StaleDataError, ObjectDeletedError)
# PostgreSQL's codes for a deadlock and for a conflict with a concurrent change.
_CONFLICTS = {"40P01", "40001"}


def write(database: Database, act: Callable[[], Result], metric_ids: Iterable[int] = ()) -> Result:
    """Do `act` in a transaction of its own and return what it returns.

    Where a row vanished under it, it is rolled back and done again: `act` has to look anew for what
    was deleted, and must change nothing but the database before it succeeds. `metric_ids` are the
    metrics that it is about. Raises what it raised at the last attempt, or for any other reason.
    """
    for attempt in range(MOST_ATTEMPTS):
        try:
            with database.unit_of_work():
                if attempt >= HOLDING_FROM:
                    hold_metrics(metric_ids)
                return act()
        except (*_GONE, DBAPIError) as problem:
            if attempt == MOST_ATTEMPTS - 1 or not _is_worth_repeating(problem):
                raise
            log.info("done again, for something was deleted meanwhile: %s", problem)
    raise AssertionError("the last attempt returns or raises")


def _is_worth_repeating(problem: Exception) -> bool:
    if isinstance(problem, _GONE):
        return True
    return getattr(getattr(problem, "orig", None), "sqlstate", None) in _CONFLICTS

"""Run a transaction of the worker, and repeat it if rows that it uses are deleted meanwhile.

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
# From this attempt on the metrics are locked against deletion; earlier that is not worth the locks.
HOLDING_FROM: Final = 2
# Raised when a row was deleted after it was read.
_GONE = (IntegrityError, NoResultFound, StaleDataError, ObjectDeletedError)
# PostgreSQL's codes for a deadlock and for a conflict with a concurrent change.
_CONFLICTS = {"40P01", "40001"}


def write(database: Database, act: Callable[[], Result], metric_ids: Iterable[int] = ()) -> Result:
    """Call `act` in a transaction of its own and return its result.

    Where a row was deleted meanwhile, it is rolled back and repeated: `act` has to read again what
    was deleted, and must change nothing but the database until it succeeds. `metric_ids` are the
    metrics that it writes about. Raises what `act` raises for another reason, or the last time.
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
            log.info("repeating a transaction because a row was deleted meanwhile: %s", problem)
    raise AssertionError("the last attempt returns or raises")


def _is_worth_repeating(problem: Exception) -> bool:
    if isinstance(problem, _GONE):
        return True
    return getattr(getattr(problem, "orig", None), "sqlstate", None) in _CONFLICTS

"""Count failures of single metrics, and isolate those that keep failing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from anomify.db import session
from anomify.errors import Unavailable, encodable
from anomify.metric.model import FailingMetric, Metric
from anomify.metric.progress import request_rebuild

MOST_FAILURES: Final = 3
# An isolated metric is retried after this time, because a new version may succeed.
TRIED_AGAIN_AFTER: Final = timedelta(days=1)
SOUND_AFTER: Final = timedelta(hours=1)
MOST_PROBLEM_CHARACTERS: Final = 1000
# Errors that are not caused by the metric being processed.
NOT_OF_ONE_METRIC: Final = (Unavailable, SQLAlchemyError)
# Exceptions from this rule: the database refuses the row, each time until the row changes.
_REFUSED_ROW: Final = (DataError, IntegrityError)


def is_of_one_metric(problem: Exception) -> bool:
    """Return whether a failure may be caused by one metric, and not by an unavailable database."""
    return isinstance(problem, _REFUSED_ROW) or not isinstance(problem, NOT_OF_ONE_METRIC)


def record_failure(metric_id: int, doing: str, problem: Exception, at: datetime) -> bool:
    """Count a failure to judge, seal or rebuild a metric; return whether it is now isolated.

    A failure to judge requests a rebuild, after which the metric is judged again.
    """
    if session().get(Metric, metric_id) is None:
        # The metric was deleted meanwhile.
        return True
    failing = session().get(FailingMetric, metric_id)
    if failing is None:
        failing = FailingMetric(metric_id=metric_id, failures=0)
        session().add(failing)
    failing.failures += 1
    failing.doing = doing
    # PostgreSQL stores no NUL characters.
    text = encodable(f"{type(problem).__name__}: {problem}").replace("\0", "\\0")
    failing.problem = text[:MOST_PROBLEM_CHARACTERS]
    failing.failed_at = at
    is_isolated = failing.failures >= MOST_FAILURES
    if is_isolated and failing.isolated_at is None:
        failing.isolated_at = at
    elif not is_isolated and doing == "judging":
        request_rebuild(metric_id, "judging failed", at)
    session().flush()
    return is_isolated


def forget_failures(metric_id: int, at: datetime) -> None:
    """Delete the failures of a metric that was rebuilt, unless new points failed since."""
    failing = session().get(FailingMetric, metric_id)
    if failing is not None and (
        failing.doing == "rebuilding" or failing.failed_at < at - SOUND_AFTER
    ):
        session().delete(failing)


def isolated_ids() -> frozenset[int]:
    """Return the isolated metrics of every org."""
    return frozenset(
        session().scalars(
            select(FailingMetric.metric_id).where(FailingMetric.isolated_at.is_not(None))
        )
    )


def isolated_among(metric_ids: Sequence[int]) -> set[int]:
    """Return which of these metrics are isolated."""
    isolated = isolated_ids()
    return {metric_id for metric_id in metric_ids if metric_id in isolated}


def count_isolated() -> int:
    """Return how many metrics of any org are isolated."""
    isolated = FailingMetric.isolated_at.is_not(None)
    return session().scalar(select(func.count()).select_from(FailingMetric).where(isolated)) or 0


def list_failing() -> list[FailingMetric]:
    """Return every metric with recent failures, for the operator."""
    return list(session().scalars(select(FailingMetric).order_by(FailingMetric.metric_id)))


def try_isolated_again(at: datetime) -> None:
    """Request a rebuild of metrics isolated for a day, and delete old single failures."""
    session().execute(
        delete(FailingMetric).where(
            FailingMetric.isolated_at.is_(None), FailingMetric.failed_at < at - TRIED_AGAIN_AFTER
        )
    )
    waited = session().scalars(
        select(FailingMetric).where(FailingMetric.isolated_at < at - TRIED_AGAIN_AFTER)
    )
    for failing in waited:
        failing.isolated_at = at
        request_rebuild(failing.metric_id, "isolated", at)

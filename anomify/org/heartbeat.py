"""Heartbeats of the workers, for /status and for operators."""

from datetime import datetime, timedelta

from sqlalchemy import delete

from anomify.db import session
from anomify.org.model import WorkerHeartbeat

# The row of a worker without a heartbeat for this long is deleted.
FORGOTTEN_AFTER = timedelta(days=1)
# A worker writes a heartbeat every few seconds; after this time without one it is not working.
HEARTBEAT_MISSING = timedelta(seconds=60)


def record_heartbeat(
    worker: str,
    at: datetime,
    *,
    log_offset: int,
    lag_seconds: float,
    learnt_again: int = 0,
    to_learn_again: int = 0,
) -> None:
    """Record that this worker runs, how far behind the log it is, and what it has learnt again."""
    session().merge(
        WorkerHeartbeat(
            worker=worker,
            beaten_at=at,
            log_offset=log_offset,
            lag_seconds=lag_seconds,
            learnt_again=learnt_again,
            to_learn_again=to_learn_again,
        )
    )
    session().execute(
        delete(WorkerHeartbeat).where(WorkerHeartbeat.beaten_at < at - FORGOTTEN_AFTER)
    )


def learning_again_in_words(heartbeat: WorkerHeartbeat) -> str | None:
    """Return how many metrics the worker has learnt again of how many, None while it does not.

    >>> learning_again_in_words(WorkerHeartbeat(learnt_again=3400, to_learn_again=10_000))
    'learning the metrics again: 3,400 of 10,000'
    """
    done, total = heartbeat.learnt_again, heartbeat.to_learn_again
    return f"learning the metrics again: {done:,} of {total:,}" if total else None

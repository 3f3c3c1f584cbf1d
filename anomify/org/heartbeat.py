"""Heartbeats of the workers, for /status and for operators."""

from datetime import datetime, timedelta

from sqlalchemy import delete

from anomify.db import session
from anomify.org.model import WorkerHeartbeat

# The row of a worker without a heartbeat for this long is deleted.
FORGOTTEN_AFTER = timedelta(days=1)


def record_heartbeat(worker: str, at: datetime, *, log_offset: int, lag_seconds: float) -> None:
    """Record that this worker runs, and how far behind the log it is."""
    session().merge(
        WorkerHeartbeat(worker=worker, beaten_at=at, log_offset=log_offset, lag_seconds=lag_seconds)
    )
    session().execute(
        delete(WorkerHeartbeat).where(WorkerHeartbeat.beaten_at < at - FORGOTTEN_AFTER)
    )

"""How long datapoints are kept, by the time they are of and not by when they came."""

from anomify.metric.store import PointStore

DAY_MS = 24 * 3600 * 1000


def retain(store: PointStore, retention_days: int | None, now_ms: int) -> None:
    """Forget datapoints older than so many days; None keeps everything for ever.

    They go in pieces of four hours, so a point may stay up to four hours longer. May be repeated.
    """
    if retention_days is not None:
        store.drop_before(now_ms - retention_days * DAY_MS)

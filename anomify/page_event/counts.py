"""Counts of page events by metric and minute, until each minute is stored as a datapoint."""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import and_, delete, or_, update

from anomify.db import session, upsert
from anomify.page_event.minutes import minute_of
from anomify.page_event.model import CountedMinute
from anomify.page_event.queries import ZEROS_BACK_MS, ZEROS_FOR_MS
from anomify.series import Points


def add_counts(counts: Mapping[int, int], at_ms: int) -> None:
    """Add these counts, by metric id, to the minute that holds `at_ms`."""
    statement = upsert(CountedMinute)
    session().connection().execute(
        statement.on_conflict_do_update(
            index_elements=["metric_id", "minute_ms"],
            set_={"count": CountedMinute.count + statement.excluded.count},
        ),
        # Sorted, so that simultaneous requests lock rows in one order and cannot deadlock.
        [
            {"metric_id": metric_id, "minute_ms": minute_of(at_ms), "count": count}
            for metric_id, count in sorted(counts.items())
        ],
    )


def add_zeros(minutes: Collection[tuple[int, int]]) -> None:
    """Insert a count of 0 for each metric id and minute that has no count."""
    session().connection().execute(
        upsert(CountedMinute).on_conflict_do_nothing(),
        [
            {"metric_id": metric_id, "minute_ms": minute_ms, "count": 0}
            for metric_id, minute_ms in sorted(minutes)
        ],
    )


def mark_stored(points: Points) -> None:
    """Record the count with which each of these minutes was stored; it may have grown since."""
    rows: Iterable[tuple[int, int, float]] = zip(
        points.metric_ids.tolist(), points.times.tolist(), points.values.tolist(), strict=True
    )
    for metric_id, minute_ms, count in rows:
        session().execute(
            update(CountedMinute)
            .where(CountedMinute.metric_id == metric_id, CountedMinute.minute_ms == minute_ms)
            .values(stored_count=int(count))
            .execution_options(synchronize_session=False)
        )


def delete_old_counts(at_ms: int) -> None:
    """Delete the counts of minutes that are stored and too old to be needed for adding zeros."""
    session().execute(
        delete(CountedMinute).where(
            CountedMinute.stored_count == CountedMinute.count,
            or_(
                CountedMinute.minute_ms < at_ms - ZEROS_FOR_MS - ZEROS_BACK_MS,
                and_(CountedMinute.count == 0, CountedMinute.minute_ms < at_ms - 2 * ZEROS_BACK_MS),
            ),
        )
    )

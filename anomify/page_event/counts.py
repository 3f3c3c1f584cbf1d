"""Counts of what happens on web pages, minute by minute, until each minute is a datapoint."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import numpy as np
from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from anomify.db import session
from anomify.metric.model import Metric
from anomify.page_event.model import CountedMinute
from anomify.series import Points

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
# Every such metric begins with this word, and a key for pages makes no other ones.
NAMESPACE: Final = "events"
# Anybody who reads a page has its key, so there is an end to the names that it makes.
NAMES_MAX: Final = 500
# A request that began in a minute may still be writing when it is over.
SETTLES_AFTER_MS: Final = 5_000
# A minute in which nothing happened is a count of nought, for a day after the last event.
SILENT_FOR_MS: Final = DAY_MS
# After a pause of ours longer than this, the minutes in between stay empty.
FILLED_MS: Final = 3_600_000
ROWS_AT_ONCE: Final = 5_000


def names_with_room(org_id: int, names: Collection[str]) -> set[str]:
    """Return those of the names that may be counted: known ones, and new ones while there is room.

    Two requests that ask at the same moment may together go a little past the limit.
    """
    begun = f"{NAMESPACE}."
    ours = (Metric.org_id == org_id, Metric.name.startswith(begun, autoescape=True))
    known = set(session().scalars(select(Metric.name).where(*ours, Metric.name.in_(names))))
    new = [name for name in names if name not in known]
    if not new:
        return known
    count = session().scalar(select(func.count()).select_from(Metric).where(*ours)) or 0
    return known | set(new[: max(NAMES_MAX - count, 0)])


def add_counts(counts: Mapping[int, int], at_ms: int) -> None:
    """Add counts to the minute of that moment, by metric; kept when the unit of work is."""
    dialect = sqlite if session().get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(CountedMinute)
    session().connection().execute(
        statement.on_conflict_do_update(
            index_elements=["metric_id", "minute_ms"],
            set_={"count": CountedMinute.count + statement.excluded.count},
        ),
        # In one order for everybody: two requests wait for each other, and lock no circle.
        [
            {"metric_id": metric_id, "minute_ms": _minute(at_ms), "count": count}
            for metric_id, count in sorted(counts.items())
        ],
    )


def missing_minutes(at_ms: int) -> list[tuple[int, int]]:
    """Return metric and minute of what is over, of the last hour, and was never counted in.

    That is asked of metrics that had an event within a day; a minute counts from the first on.
    """
    end_ms = _last_over(at_ms)
    had_events = (
        select(CountedMinute.metric_id)
        .where(CountedMinute.minute_ms > end_ms - SILENT_FOR_MS, CountedMinute.count > 0)
        .distinct()
    )
    rows = session().execute(
        select(CountedMinute.metric_id, CountedMinute.minute_ms).where(
            CountedMinute.minute_ms.between(end_ms - FILLED_MS, end_ms),
            CountedMinute.metric_id.in_(had_events),
        )
    )
    known: dict[int, set[int]] = {}
    for metric_id, minute_ms in rows:
        known.setdefault(metric_id, set()).add(minute_ms)
    return [
        (metric_id, minute_ms)
        for metric_id, minutes in known.items()
        for minute_ms in range(min(minutes), end_ms + 1, MINUTE_MS)
        if minute_ms not in minutes
    ]


def add_noughts(minutes: Collection[tuple[int, int]]) -> None:
    """Write down that nothing happened in these minutes, where nothing has been counted since."""
    dialect = sqlite if session().get_bind().dialect.name == "sqlite" else postgresql
    session().connection().execute(
        dialect.insert(CountedMinute).on_conflict_do_nothing(),
        [
            {"metric_id": metric_id, "minute_ms": minute_ms, "count": 0}
            for metric_id, minute_ms in sorted(minutes)
        ],
    )


def list_unstored(at_ms: int) -> Points:
    """Return minutes that are over and not stored with their present count, as datapoints."""
    rows = session().execute(
        select(CountedMinute.metric_id, CountedMinute.minute_ms, CountedMinute.count)
        .where(
            CountedMinute.minute_ms <= _last_over(at_ms),
            or_(
                CountedMinute.stored_count.is_(None),
                CountedMinute.stored_count != CountedMinute.count,
            ),
        )
        .order_by(CountedMinute.minute_ms, CountedMinute.metric_id)
        .limit(ROWS_AT_ONCE)
    )
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return Points(
        np.array(columns[0], np.int64),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.float64),
    )


def mark_stored(points: Points) -> None:
    """Remember with which count each of these minutes was stored, whatever it is by now."""
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


def forget_counted(at_ms: int) -> None:
    """Let go of minutes that are stored and that nothing can be added to any more."""
    session().execute(
        delete(CountedMinute).where(
            CountedMinute.stored_count == CountedMinute.count,
            or_(
                CountedMinute.minute_ms < at_ms - SILENT_FOR_MS - FILLED_MS,
                and_(CountedMinute.count == 0, CountedMinute.minute_ms < at_ms - 2 * FILLED_MS),
            ),
        )
    )


def _minute(at_ms: int) -> int:
    return at_ms // MINUTE_MS * MINUTE_MS


def _last_over(at_ms: int) -> int:
    """Return the last minute that is over and has settled."""
    return _minute(at_ms - SETTLES_AFTER_MS) - MINUTE_MS

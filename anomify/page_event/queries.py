"""Every SELECT about counts of page events."""

from collections.abc import Collection
from typing import Final

import numpy as np
from sqlalchemy import func, or_, select

from anomify.db import session
from anomify.metric.model import Metric
from anomify.page_event.minutes import MINUTE_MS, last_complete_minute
from anomify.page_event.model import CountedMinute
from anomify.series import Points

# The first part of the name of every metric that is counted from page events. A key for page
# events can create no other metrics.
NAMESPACE: Final = "events"
# A key for page events is readable in the page, so the number of names it can create is limited.
NAMES_MAX: Final = 500
# For this long after its last event a metric has a count of 0 for minutes without an event.
ZEROS_FOR_MS: Final = 86_400_000
# Minutes further back than this are not given a count of 0: the worker did not run, and events may
# not have been accepted.
ZEROS_BACK_MS: Final = 3_600_000
ROWS_AT_ONCE: Final = 5_000


def countable_names(org_id: int, names: Collection[str]) -> set[str]:
    """Return the names that exist already, and new ones as long as the org has fewer than the most.

    Simultaneous requests may together exceed `NAMES_MAX` slightly.
    """
    prefix = f"{NAMESPACE}."
    counted = (Metric.org_id == org_id, Metric.name.startswith(prefix, autoescape=True))
    known = set(session().scalars(select(Metric.name).where(*counted, Metric.name.in_(names))))
    new = [name for name in names if name not in known]
    if not new:
        return known
    count = session().scalar(select(func.count()).select_from(Metric).where(*counted)) or 0
    return known | set(new[: max(NAMES_MAX - count, 0)])


def minutes_without_count(at_ms: int) -> list[tuple[int, int]]:
    """Return metric id and minute of every complete minute of the last hour without a count.

    Considers metrics with an event in the last day, from their first counted minute of the hour.
    """
    end_ms = last_complete_minute(at_ms)
    had_events = (
        select(CountedMinute.metric_id)
        .where(CountedMinute.minute_ms > end_ms - ZEROS_FOR_MS, CountedMinute.count > 0)
        .distinct()
    )
    rows = session().execute(
        select(CountedMinute.metric_id, CountedMinute.minute_ms).where(
            CountedMinute.minute_ms.between(end_ms - ZEROS_BACK_MS, end_ms),
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


def list_unstored(at_ms: int) -> Points:
    """Return as datapoints the complete minutes whose present count is not stored yet."""
    rows = session().execute(
        select(CountedMinute.metric_id, CountedMinute.minute_ms, CountedMinute.count)
        .where(
            CountedMinute.minute_ms <= last_complete_minute(at_ms),
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

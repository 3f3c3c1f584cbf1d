"""How many points were judged, by org and by the hour that they are of: cheap to ask for."""

from typing import Final

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from anomify.db import session
from anomify.metric.model import JudgedHour, Metric
from anomify.series import Int64s, lengthened

HOUR_MS: Final = 3_600_000
# Databases bound the number of values in one statement.
MOST_IDS: Final = 500
UNKNOWN: Final = 0


class Tally:
    """Counts judged points in the unit of work of what was found in them; the worker's own."""

    def __init__(self) -> None:
        """Know of no metric yet whose it is."""
        self._orgs = np.zeros(0, np.int64)

    def count(self, metric_ids: Int64s, times: Int64s, *, step: int = 1) -> None:
        """Count one judged point for each row, or with `step=-1` take one back.

        Points of metrics that are no more are counted nowhere.
        """
        orgs = self._orgs_of(metric_ids)
        is_known = orgs != UNKNOWN
        hours = times[is_known] // HOUR_MS * HOUR_MS
        places, counts = np.unique(
            np.column_stack((orgs[is_known], hours)), axis=0, return_counts=True
        )
        if not len(places):
            return
        dialect = sqlite if session().get_bind().dialect.name == "sqlite" else postgresql
        statement = dialect.insert(JudgedHour)
        session().connection().execute(
            statement.on_conflict_do_update(
                index_elements=["org_id", "hour_ms"],
                set_={"points": JudgedHour.points + statement.excluded.points},
            ),
            [
                {"org_id": org_id, "hour_ms": hour_ms, "points": step * count}
                for (org_id, hour_ms), count in zip(places.tolist(), counts.tolist(), strict=True)
            ],
        )

    def _orgs_of(self, metric_ids: Int64s) -> Int64s:
        self._orgs = lengthened(self._orgs, int(metric_ids.max(initial=0)) + 1, UNKNOWN)
        asked = np.unique(metric_ids)
        missing = asked[self._orgs[asked] == UNKNOWN].tolist()
        for first in range(0, len(missing), MOST_IDS):
            rows = session().execute(
                select(Metric.id, Metric.org_id).where(
                    Metric.id.in_(missing[first : first + MOST_IDS])
                )
            )
            for metric_id, org_id in rows:
                self._orgs[metric_id] = org_id
        orgs: Int64s = self._orgs[metric_ids]
        return orgs


def judged_by_hour(org_id: int, from_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """Return each hour that begins in the window and has judged points, and how many."""
    rows = session().execute(
        select(JudgedHour.hour_ms, JudgedHour.points).where(
            JudgedHour.org_id == org_id,
            JudgedHour.hour_ms >= from_ms,
            JudgedHour.hour_ms < until_ms,
        )
    )
    return [(int(hour_ms), int(points)) for hour_ms, points in rows]


def judged_points(org_id: int, from_ms: int, until_ms: int) -> int:
    """Return how many points of the hours that begin in the window were judged."""
    counted = session().scalar(
        select(func.sum(JudgedHour.points)).where(
            JudgedHour.org_id == org_id,
            JudgedHour.hour_ms >= from_ms,
            JudgedHour.hour_ms < until_ms,
        )
    )
    return int(counted or 0)

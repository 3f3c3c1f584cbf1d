"""The number of judged points by org and hour of their timestamps."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import delete, func, select

from anomify.db import batches, session, upsert
from anomify.metric.model import JudgedBeforeRebuild, JudgedHour, Metric
from anomify.series import Int64s, Series, lengthened

HOUR_MS: Final = 3_600_000
UNKNOWN: Final = 0
# By hour in unix ms, how many points of it there are.
HourCounts = Counter[int]


class JudgedCounter:
    """Counts judged points in the unit of work that records their anomalies."""

    def __init__(self) -> None:
        """Start with an empty cache of the metrics' orgs."""
        self._orgs = np.zeros(0, np.int64)

    def count(self, metric_ids: Int64s, times: Int64s) -> None:
        """Count one judged point for each row; rows of deleted metrics are ignored."""
        orgs = self.orgs_of(metric_ids)
        is_known = orgs != UNKNOWN
        hours = times[is_known] // HOUR_MS * HOUR_MS
        places, counts = np.unique(
            np.column_stack((orgs[is_known], hours)), axis=0, return_counts=True
        )
        if not len(places):
            return
        _add(
            {"org_id": org_id, "hour_ms": hour_ms, "points": count}
            for (org_id, hour_ms), count in zip(places.tolist(), counts.tolist(), strict=True)
        )

    def correct(self, metric_id: int, before: HourCounts, after: HourCounts) -> None:
        """Replace a metric's counts by hour: add `after` and subtract `before`."""
        [org_id] = self.orgs_of(np.array([metric_id], np.int64)).tolist()
        changed = {hour: after[hour] - before[hour] for hour in before.keys() | after.keys()}
        rows = [
            {"org_id": org_id, "hour_ms": hour_ms, "points": change}
            for hour_ms, change in sorted(changed.items())
            if change
        ]
        if org_id != UNKNOWN and rows:
            _add(rows)

    def orgs_of(self, metric_ids: Int64s) -> Int64s:
        """Return the org of each metric, `UNKNOWN` where there is no such metric."""
        self._orgs = lengthened(self._orgs, int(metric_ids.max(initial=0)) + 1, UNKNOWN)
        distinct = np.unique(metric_ids)
        missing = distinct[self._orgs[distinct] == UNKNOWN].tolist()
        for some in batches(missing):
            rows = session().execute(select(Metric.id, Metric.org_id).where(Metric.id.in_(some)))
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


def hours_of(times: Int64s) -> HourCounts:
    """Return how many of these times are in each hour."""
    hours, counts = np.unique(times // HOUR_MS * HOUR_MS, return_counts=True)
    return Counter(dict(zip(hours.tolist(), counts.tolist(), strict=True)))


@dataclass(frozen=True, slots=True)
class Counted:
    """How many points of a metric are counted as judged, of those up to a time."""

    through_ms: int
    hours: HourCounts


def find_before_rebuild(metric_id: int) -> Counted | None:
    """Return the counts that an interrupted rebuild of the metric stored, None without one."""
    kept = session().get(JudgedBeforeRebuild, metric_id)
    return None if kept is None else Counted(kept.through_ms, _unpacked(kept.hours))


def counted_before_rebuild(parts: Iterable[Series], kept: Counted | None) -> Counted | None:
    """Return how many of a metric's stored points are counted as judged; None without points.

    `parts` are its points in order of time. Points with a score are counted. If a rebuild was
    interrupted, scores up to a time may be rewritten already; `kept`, the counts that it stored
    before, are then used up to that time.
    """
    hours: HourCounts = Counter()
    first_ms = through_ms = None
    for part in parts:
        if not len(part):
            continue
        first_ms = int(part.times[0]) if first_ms is None else first_ms
        through_ms = int(part.times[-1])
        is_judged = ~np.isnan(part.judgements.scores)
        if kept is not None:
            is_judged &= part.times > kept.through_ms
        hours += hours_of(part.times[is_judged])
    if first_ms is None or through_ms is None:
        return None
    if kept is not None:
        # Points that were deleted by retention meanwhile stay counted.
        first_hour_ms = first_ms // HOUR_MS * HOUR_MS
        hours += Counter({each: n for each, n in kept.hours.items() if each >= first_hour_ms})
    return Counted(through_ms, hours)


def keep_before_rebuild(metric_id: int, counted: Counted) -> None:
    """Store the counts before the first score of the metric is rewritten.

    Afterwards the stored scores no longer give these counts, which a repeated rebuild needs.
    """
    session().merge(
        JudgedBeforeRebuild(
            metric_id=metric_id, through_ms=counted.through_ms, hours=_packed(counted.hours)
        )
    )


def forget_before_rebuild(metric_id: int) -> None:
    """Delete the stored counts, in the unit of work that corrects the counts."""
    session().execute(delete(JudgedBeforeRebuild).where(JudgedBeforeRebuild.metric_id == metric_id))


def _add(rows: Iterable[dict[str, int]]) -> None:
    statement = upsert(JudgedHour)
    session().connection().execute(
        statement.on_conflict_do_update(
            index_elements=["org_id", "hour_ms"],
            set_={"points": JudgedHour.points + statement.excluded.points},
        ),
        list(rows),
    )


def _packed(counts: HourCounts) -> bytes:
    return np.array(sorted(counts.items()), "<i8").tobytes()


def _unpacked(packed: bytes) -> HourCounts:
    return Counter(dict(np.frombuffer(packed, "<i8").reshape(-1, 2).tolist()))


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

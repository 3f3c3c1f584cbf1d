"""The index of how unusual metrics were, by five minutes, and the question which ones moved."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from sqlalchemy import case, delete, func, select

from anomify.db import among, session, upsert
from anomify.metric.model import Metric, MovedInterval
from anomify.metric.moved_order import first_of_each, moves_of, order_of_moves
from anomify.series import Bools, Float64s, Int64s

INTERVAL_MS: Final = 300_000
LEAST_STRENGTH: Final = 5.25
"""A point is in the index from this strength on, somewhat below the lowest threshold: clean metrics
reach it in one of a thousand intervals, a tenth lower in one of fifty."""

# How often a metric is unusual is counted over so long before the window.
USUAL_MS: Final = 7 * 86_400_000
USUAL_INTERVALS: Final = USUAL_MS / INTERVAL_MS
# The most rows that are read for a window, and the most moves of which the order is computed: the
# strongest ones.
MOST_ROWS: Final = 10_000
MOST_COMPARED: Final = 500
MOST_MOVED: Final = 100


@dataclass(frozen=True, slots=True)
class UnusualPoints:
    """Points that were unusual, a row each.

    `began_ms` is since when a point's value has been unusual, which is found later for a shift.
    """

    metric_ids: Int64s
    times: Int64s
    began_ms: Int64s
    strengths: Float64s
    values: Float64s
    lowers: Float64s
    uppers: Float64s

    def of(self, rows: Int64s | Bools) -> "UnusualPoints":
        """Return some of the rows: their numbers or a mask."""
        return UnusualPoints(
            self.metric_ids[rows],
            self.times[rows],
            self.began_ms[rows],
            self.strengths[rows],
            self.values[rows],
            self.lowers[rows],
            self.uppers[rows],
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """A metric that was unusual in a window: how much, since when, and what was measured.

    `started_ms` is its first unusual point in the window, the rest is of the most unusual one.
    """

    metric_id: int
    name: str
    strength: float
    started_ms: int
    peak_ms: int
    value: float
    lower: float | None
    upper: float | None
    # In how many intervals of five minutes of the week before the window it was unusual.
    usual_intervals: int


def record_moved(points: UnusualPoints, org_ids: Int64s) -> None:
    """Add unusual points to the index; `org_ids` has the org of each row. Repeating is harmless."""
    rows = interval_rows(points, org_ids)
    if not rows:
        return
    statement = upsert(MovedInterval)
    new = statement.excluded
    is_higher = new.strength > MovedInterval.strength

    def better(column: str) -> Any:
        known = getattr(MovedInterval, column)
        return case((is_higher, getattr(new, column)), else_=known)

    first, last = MovedInterval.first_ms, MovedInterval.last_ms
    changed = {
        "first_ms": case((new.first_ms < first, new.first_ms), else_=first),
        "last_ms": case((new.last_ms > last, new.last_ms), else_=last),
        **{each: better(each) for each in ("peak_ms", "strength", "value", "lower", "upper")},
    }
    session().connection().execute(
        statement.on_conflict_do_update(index_elements=["metric_id", "interval"], set_=changed),
        rows,
    )


def replace_moved(
    metric_id: int, org_id: int, from_ms: int, parts: Iterable[UnusualPoints]
) -> None:
    """Replace what the index holds of a metric from a time on by these points of it."""
    session().execute(
        delete(MovedInterval).where(
            MovedInterval.metric_id == metric_id, MovedInterval.interval >= from_ms // INTERVAL_MS
        )
    )
    for part in parts:
        ids = np.full(len(part.times), metric_id, np.int64)
        record_moved(replace(part, metric_ids=ids), np.full(len(ids), org_id, np.int64))


def forget_moved_before(time_ms: int) -> None:
    """Delete the intervals that end before a time."""
    session().execute(delete(MovedInterval).where(MovedInterval.interval < time_ms // INTERVAL_MS))


def list_moved(
    org_id: int, from_ms: int, until_ms: int, *, but_metric_id: int | None = None, limit: int = 20
) -> list[Moved]:
    """Return the metrics that were unusual in a window, the most probable first mover first.

    They are ordered by how unusual they were then, compared with how often they are, and by which
    moved before the others (`order_of_moves`).
    """
    rows = _in_window(org_id, from_ms, until_ms, but_metric_id)
    if not rows:
        return []
    ids, first_ms, last_ms, strengths = (np.array([row[at] for row in rows]) for at in range(4))
    in_order = np.lexsort((first_ms, ids))
    moves = moves_of(ids[in_order], first_ms[in_order], last_ms[in_order], strengths[in_order])
    if len(moves.strengths) > MOST_COMPARED:
        # Each is compared with each.
        strongest = np.argsort(-moves.strengths, kind="stable")[:MOST_COMPARED]
        moves = moves.of(np.sort(strongest))
    usual = _usual_counts(set(moves.metric_ids.tolist()), from_ms)
    counts = np.array([usual.get(metric_id, 0) for metric_id in moves.metric_ids.tolist()], float)
    order = order_of_moves(moves.started_ms, moves.strengths, counts / USUAL_INTERVALS)
    chosen = first_of_each(moves.metric_ids, order)[:limit]
    names = _names(moves.metric_ids[chosen].tolist())
    found = []
    for place in chosen.tolist():
        row = rows[in_order[moves.peaks[place]]]
        metric_id, _, _, strength, peak_ms, value, lower, upper = row
        if metric_id not in names:
            continue
        started_ms = max(int(moves.started_ms[place]), from_ms)
        found.append(
            Moved(
                metric_id,
                names[metric_id],
                strength,
                started_ms,
                peak_ms,
                value,
                lower,
                upper,
                usual.get(metric_id, 0),
            )
        )
    return found


def _in_window(org_id: int, from_ms: int, until_ms: int, but_metric_id: int | None) -> list[Any]:
    """Return the rows of the index that lie in a window, the strongest ones."""
    wanted = [
        MovedInterval.org_id == org_id,
        MovedInterval.interval >= from_ms // INTERVAL_MS,
        MovedInterval.interval <= (until_ms - 1) // INTERVAL_MS,
        MovedInterval.first_ms < until_ms,
        MovedInterval.last_ms >= from_ms,
    ]
    if but_metric_id is not None:
        wanted.append(MovedInterval.metric_id != but_metric_id)
    return list(
        session()
        # On the connection, because mapped objects would be slow.
        .connection()
        .execute(
            select(
                MovedInterval.metric_id,
                MovedInterval.first_ms,
                MovedInterval.last_ms,
                MovedInterval.strength,
                MovedInterval.peak_ms,
                MovedInterval.value,
                MovedInterval.lower,
                MovedInterval.upper,
            )
            .where(*wanted)
            .order_by(MovedInterval.strength.desc())
            .limit(MOST_ROWS)
        )
        .all()
    )


def _usual_counts(metric_ids: Iterable[int], before_ms: int) -> dict[int, int]:
    """Return in how many intervals of the week before a time each metric was unusual."""
    rows = session().execute(
        select(MovedInterval.metric_id, func.count().label("intervals"))
        .where(
            among(MovedInterval.metric_id, metric_ids),
            MovedInterval.interval >= (before_ms - USUAL_MS) // INTERVAL_MS,
            MovedInterval.interval < before_ms // INTERVAL_MS,
        )
        .group_by(MovedInterval.metric_id)
    )
    return {row.metric_id: row.intervals for row in rows}


def _names(metric_ids: Iterable[int]) -> dict[int, str]:
    rows = session().execute(select(Metric.id, Metric.name).where(among(Metric.id, metric_ids)))
    return {row.id: row.name for row in rows}


def interval_rows(points: UnusualPoints, org_ids: Int64s) -> list[dict[str, Any]]:
    """Return one row of the table for each metric and interval."""
    if not len(points.times):
        return []
    intervals = points.times // INTERVAL_MS
    # The most unusual point of each metric and interval comes first, the earliest of equal ones.
    order = np.lexsort((points.times, -points.strengths, intervals, points.metric_ids))
    ids, within = points.metric_ids[order], intervals[order]
    is_first = np.append(True, (np.diff(ids) != 0) | (np.diff(within) != 0))
    starts = np.flatnonzero(is_first)
    times = points.times[order]
    firsts = np.minimum.reduceat(points.began_ms[order], starts)
    lasts = np.maximum.reduceat(times, starts)
    peaks = order[starts]
    columns = {
        "metric_id": ids[starts],
        "interval": within[starts],
        "org_id": org_ids[peaks],
        "first_ms": firsts,
        "last_ms": lasts,
        "peak_ms": points.times[peaks],
        "strength": points.strengths[peaks],
        "value": points.values[peaks],
        "lower": points.lowers[peaks],
        "upper": points.uppers[peaks],
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    for row in found:
        for end in ("lower", "upper"):
            row[end] = row[end] if math.isfinite(row[end]) else None
    return found

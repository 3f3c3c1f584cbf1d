"""The index of how unusual metrics were, by five minutes, and the question which ones moved."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from sqlalchemy import case, delete, func, select

from anomify.db import among, session, upsert
from anomify.metric.model import Metric, MovedInterval, Progress
from anomify.metric.moved_onset import LATER_MS, SEARCHED_BEFORE_MS, onset_of
from anomify.metric.moved_order import (
    LEAST_STRENGTH,
    Moves,
    first_of_each,
    moves_of,
    odds_of,
    order_of_moves,
)
from anomify.metric.reading import rate_of
from anomify.series import Bools, Float64s, Int64s, Series

INTERVAL_MS: Final = 300_000
# How often a metric is unusual is counted over so long before the window.
USUAL_MS: Final = 7 * 86_400_000
USUAL_INTERVALS: Final = USUAL_MS / INTERVAL_MS
# The most rows that are read for a window, the most moves whose metrics' past is read: the
# strongest ones; the most that are compared with each other: the least probable to be chance; and
# of how many of those, the probable first movers, the points are read.
MOST_ROWS: Final = 6_000
MOST_JUDGED: Final = 500
MOST_COMPARED: Final = 250
MOST_READ: Final = 24
MOST_MOVED: Final = 100
# A metric that stops reporting counts as unusual as this.
SILENCE_STRENGTH: Final = 9.0

# The columns that are of the most unusual point.
MEASURED: Final = ("peak_ms", "strength", "value", "lower", "upper", "is_silence")

# From so many minutes on a length is said in hours.
HOURS_FROM_MINUTES: Final = 120

Direction = Literal["above", "below", "within", "silent"]
# Returns the points of a metric from a time up to another.
ReadPoints = Callable[[int, int, int], Series]


@dataclass(frozen=True, slots=True)
class UnusualPoints:
    """Points that were unusual, a row each.

    `began_ms` is since when a point's value has been unusual, which is found later for a shift. Of
    a silence, which is found when it is over, it is when the first missing point was due.
    """

    metric_ids: Int64s
    times: Int64s
    began_ms: Int64s
    strengths: Float64s
    values: Float64s
    lowers: Float64s
    uppers: Float64s
    is_silence: Bools

    def of(self, rows: Int64s | Bools) -> "UnusualPoints":
        """Return some of the rows: their numbers or a mask."""
        return UnusualPoints(*(getattr(self, each.name)[rows] for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Moved:
    """A metric that was unusual in a window: how much, since when, and what was measured.

    `started_ms` is when it began to move, or the begin of the window if that is later; the rest is
    of the most unusual point. Of a metric that stopped reporting no value is known.
    """

    metric_id: int
    name: str
    strength: float
    started_ms: int
    peak_ms: int
    value: float | None
    lower: float | None
    upper: float | None
    is_silence: bool
    # In how many intervals of five minutes of the week before the window it was unusual.
    usual_intervals: int

    @property
    def direction(self) -> Direction:
        """Return where the value was, seen from the expected range."""
        if self.value is None:
            return "silent"
        if self.upper is not None and self.value > self.upper:
            return "above"
        return "below" if self.lower is not None and self.value < self.lower else "within"

    @property
    def usual_words(self) -> str:
        """Return in words how often the metric was unusual in the week before.

        >>> Moved(1, "m", 9.0, 0, 0, 1.0, None, None, False, 1).usual_words
        'for five minutes of the week before'
        """
        minutes = self.usual_intervals * INTERVAL_MS // 60_000
        if not minutes:
            return "not once in the week before"
        if minutes == INTERVAL_MS // 60_000:
            return "for five minutes of the week before"
        if minutes < HOURS_FROM_MINUTES:
            return f"for {minutes} minutes of the week before"
        return f"for {round(minutes / 60)} hours of the week before"


class _Row(NamedTuple):
    """A row of the index, and of a metric that is silent."""

    metric_id: int
    first_ms: int
    last_ms: int
    peak_ms: int
    strength: float
    value: float
    lower: float | None
    upper: float | None
    is_silence: bool


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
        **{each: better(each) for each in MEASURED},
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
    org_id: int,
    from_ms: int,
    until_ms: int,
    *,
    read: ReadPoints | None = None,
    but_metric_id: int | None = None,
    limit: int = 20,
) -> list[Moved]:
    """Return the metrics that were unusual in a window, the most probable first mover first.

    They are ordered by how unusual they were then, compared with how often they are, and by which
    moved before the others (`order_of_moves`). With `read` the points of the most unusual ones are
    read, which shows more exactly when they began to move. Excluded metrics are left out.
    """
    rows = _in_window(org_id, from_ms, until_ms, but_metric_id)
    silent = _silent_since(org_id, from_ms, until_ms)
    rows += [row for row in silent if row.metric_id != but_metric_id]
    if not rows:
        return []
    # By column, because a loop over rows and names is slow; the first three are whole numbers.
    columns = list(zip(*rows, strict=True))
    ids, first_ms, last_ms = (np.array(column, np.int64) for column in columns[:3])
    strengths = np.array(columns[_Row._fields.index("strength")])
    is_silence = np.array(columns[_Row._fields.index("is_silence")], bool)
    by_time = np.lexsort((first_ms, ids))
    moves = moves_of(
        ids[by_time], first_ms[by_time], last_ms[by_time], strengths[by_time], is_silence[by_time]
    )
    strongest = np.argsort(-(moves.strengths + 2.0 * moves.lengths), kind="stable")
    names = _names(np.unique(moves.metric_ids[strongest[:MOST_JUDGED]]).tolist())
    is_judged = np.isin(moves.metric_ids[strongest[:MOST_JUDGED]], list(names))
    moves = moves.of(np.sort(strongest[:MOST_JUDGED][is_judged]))
    usual = _usual(names, from_ms)
    reader = None if read is None else _reader(read, names, until_ms)
    order, moves = ranked_moves(moves, usual, from_ms, until_ms, reader)
    found = []
    for place in order[:limit].tolist():
        row = rows[by_time[moves.peaks[place]]]
        metric_id = row.metric_id
        found.append(
            Moved(
                metric_id,
                names[metric_id],
                row.strength,
                max(int(moves.started_ms[place]), from_ms),
                row.peak_ms,
                None if row.is_silence else row.value,
                row.lower,
                row.upper,
                bool(row.is_silence),
                usual.get(metric_id, NEVER).intervals,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Usual:
    """How unusual a metric was before: in how many intervals, and by how much over the least."""

    intervals: int
    excess: float


NEVER: Final = Usual(0, 0.0)
# Returns the times and values of a metric's points around a time.
Around = Callable[[int, int], tuple[Int64s, Float64s]]


def ranked_moves(
    moves: Moves, usual: Mapping[int, Usual], from_ms: int, until_ms: int, around: Around | None
) -> tuple[Int64s, Moves]:
    """Return the order of the moves, one of each metric, and the moves with their exact begins."""
    past = [usual.get(metric_id, NEVER) for metric_id in moves.metric_ids.tolist()]
    counts = np.array([each.intervals for each in past], float)
    excesses = np.array([each.excess for each in past])
    window = (until_ms - from_ms) / INTERVAL_MS

    def odds() -> Float64s:
        return odds_of(moves, counts, excesses, USUAL_INTERVALS, window)

    best = np.argsort(-odds(), kind="stable")[:MOST_COMPARED]
    moves, counts, excesses = moves.of(best), counts[best], excesses[best]
    if around is not None:
        started, proofs = moves.started_ms.copy(), moves.proofs.copy()
        first = order_of_moves(moves.started_ms, odds(), window * INTERVAL_MS / 60_000)
        for place in first[~moves.is_silence[first]][:MOST_READ].tolist():
            first_ms = int(started[place])
            points = around(int(moves.metric_ids[place]), first_ms)
            started[place], proofs[place] = onset_of(*points, first_ms)
        moves = moves.found_at(started, proofs)
    order = order_of_moves(moves.started_ms, odds(), window * INTERVAL_MS / 60_000)
    return first_of_each(moves.metric_ids, order), moves


def _reader(read: ReadPoints, names: Iterable[int], until_ms: int) -> Around:
    """Return what reads the points that show a begin: rates of a counter, none after the window."""
    counters = set(
        session().scalars(
            select(Progress.metric_id).where(
                among(Progress.metric_id, names), Progress.is_counter.is_(True)
            )
        )
    )

    def around(metric_id: int, first_ms: int) -> tuple[Int64s, Float64s]:
        from_ms, end_ms = first_ms - SEARCHED_BEFORE_MS, first_ms + LATER_MS + 1
        series = read(metric_id, from_ms, min(end_ms, max(until_ms, first_ms + 1)))
        if metric_id in counters:
            series = rate_of(series)
        return series.times, series.values

    return around


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
    columns = (getattr(MovedInterval, each) for each in _Row._fields)
    return list(
        session()
        # On the connection, because mapped objects would be slow.
        .connection()
        .execute(
            select(*columns).where(*wanted).order_by(MovedInterval.strength.desc()).limit(MOST_ROWS)
        )
        .all()
    )


def _silent_since(org_id: int, from_ms: int, until_ms: int) -> list[Any]:
    """Return a row for each metric that stopped reporting in a window and has not come back.

    It is silent for longer than its gaps usually are, while other metrics of the org report.
    """
    newest = session().scalar(
        select(func.max(Progress.judged_until_ms))
        .join(Metric, Metric.id == Progress.metric_id)
        .where(Metric.org_id == org_id)
    )
    if newest is None:
        return []
    due_ms = Progress.judged_until_ms + Progress.resolution_ms
    silent = session().execute(
        select(Progress.metric_id, due_ms)
        .join(Metric, Metric.id == Progress.metric_id)
        .where(
            Metric.org_id == org_id,
            due_ms >= from_ms,
            Progress.judged_until_ms + Progress.stale_after_ms < min(until_ms, newest),
            Progress.points_seen >= Progress.learning_points,
            Progress.has_ended.is_(False),
            Progress.may_be_silent.is_(False),
        )
        .limit(MOST_ROWS)
    )
    return [
        _Row(metric_id, at, at, at, SILENCE_STRENGTH, 0.0, None, None, True)
        for metric_id, at in silent
    ]


def _usual(metric_ids: Iterable[int], before_ms: int) -> dict[int, Usual]:
    """Return how unusual each metric was in the week before a time."""
    rows = session().execute(
        select(MovedInterval.metric_id, func.count(), func.sum(MovedInterval.strength))
        .where(
            among(MovedInterval.metric_id, metric_ids),
            MovedInterval.interval >= (before_ms - USUAL_MS) // INTERVAL_MS,
            MovedInterval.interval < before_ms // INTERVAL_MS,
        )
        .group_by(MovedInterval.metric_id)
    )
    return {
        metric_id: Usual(count, total - LEAST_STRENGTH * count) for metric_id, count, total in rows
    }


def _names(metric_ids: Iterable[int]) -> dict[int, str]:
    """Return the names of those metrics that are not excluded."""
    rows = session().execute(
        select(Metric.id, Metric.name).where(
            among(Metric.id, metric_ids), Metric.excluded_by.is_(None)
        )
    )
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
        "is_silence": points.is_silence[peaks],
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    for row in found:
        for end in ("lower", "upper"):
            row[end] = row[end] if math.isfinite(row[end]) else None
    return found

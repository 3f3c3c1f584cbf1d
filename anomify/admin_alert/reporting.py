"""Which orgs' metrics have stopped reporting: all of them, or some while others go on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import select

from anomify.db import session
from anomify.metric.model import Metric, Progress
from anomify.series import Bools, Int64s, lengthened

# Points that come later than this are history; whoever sends it promises no more of it.
FRESH_MS: Final = 3_600_000
# A metric that was silent for so long before we began to look is not waited for.
DAY_MS: Final = 86_400_000
# Between two looks this far apart we were not there, and nobody could report to us.
AWAY_MS: Final = 300_000
NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class Silent:
    """A metric that should have reported by now."""

    metric_id: int
    # When it was last heard of, by our clock.
    since_ms: int
    # The time of its newest point.
    last_ms: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """What of an org has stopped reporting."""

    org_id: int
    metrics: tuple[Silent, ...]
    # Nothing else reports.
    is_all: bool


@dataclass(frozen=True, slots=True)
class _Rows:
    """The metrics that have been judged so far, as parallel arrays in order of their org."""

    ids: Int64s
    orgs: Int64s
    last_ms: Int64s
    patience_ms: Int64s
    due_ms: Int64s
    is_awaited: Bools

    def of(self, rows: Bools) -> "_Rows":
        return _Rows(
            self.ids[rows],
            self.orgs[rows],
            self.last_ms[rows],
            self.patience_ms[rows],
            self.due_ms[rows],
            self.is_awaited[rows],
        )


@dataclass(frozen=True, slots=True)
class ReportingWait:
    """How long an org wants to wait before it is warned, in milliseconds."""

    all_ms: int
    some_ms: int


# By org.
WaitOf = Callable[[Iterable[int]], dict[int, ReportingWait]]


class ReportingWatch:
    """Remembers, by our own clock, when each metric last came; one thread looks.

    Silence is only what happens while we listen: after a start, and after a pause in which nobody
    judged, every metric has its whole time again.
    """

    def __init__(self, up_until_ms: int) -> None:
        """Know nothing yet; a worker was last there at `up_until_ms`, in unix milliseconds."""
        self._up_until_ms = up_until_ms
        self._looked_ms = NEVER
        self._last = np.zeros(0, np.int64)
        self._heard = np.zeros(0, np.int64)
        # 1 for those that report at present, as far as we know, and 0 for the others.
        self._live = np.zeros(0, np.int64)
        self._dark: set[int] = set()

    def look(self, at_ms: int, wait_of: WaitOf) -> list[Stopped]:
        """Take in what has come since the last look, and return what should have; reads only."""
        rows = _read()
        self._hear(rows, at_ms)
        live = rows.of((self._live[rows.ids] == 1) & rows.is_awaited)
        if not len(live.ids):
            return []
        return self._stopped(live, at_ms, wait_of)

    def leave(self, metric_ids: Iterable[int]) -> None:
        """Wait for these metrics no longer, until they report again."""
        self._live[list(metric_ids)] = 0

    def _hear(self, rows: _Rows, at_ms: int) -> None:
        length = int(rows.ids.max(initial=0)) + 1
        self._last = lengthened(self._last, length, NEVER)
        self._heard = lengthened(self._heard, length, NEVER)
        self._live = lengthened(self._live, length, 0)
        is_first = self._looked_ms == NEVER
        has_come = self._last[rows.ids] != rows.last_ms
        heard = rows.ids[has_come]
        self._heard[heard] = at_ms
        if is_first:
            since_ms = min(self._up_until_ms, at_ms) - DAY_MS
            self._live[rows.ids] = rows.last_ms >= since_ms
        else:
            is_fresh = rows.last_ms >= at_ms - FRESH_MS - rows.patience_ms
            self._live[heard] = is_fresh[has_come]
            if at_ms - self._looked_ms > AWAY_MS:
                self._heard[rows.ids] = at_ms
        self._last[rows.ids] = rows.last_ms
        self._looked_ms = at_ms
        # Where everything was silent and something comes again, the rest is given its time too.
        back = self._dark & set(rows.orgs[has_come].tolist())
        self._heard[rows.ids[np.isin(rows.orgs, list(back))]] = at_ms

    def _stopped(self, live: _Rows, at_ms: int, wait_of: WaitOf) -> list[Stopped]:
        orgs, starts, places = np.unique(live.orgs, return_index=True, return_inverse=True)
        waits = wait_of(orgs.tolist())
        wait_all = np.array([waits[org_id].all_ms for org_id in orgs.tolist()], np.int64)
        wait_some = np.array([waits[org_id].some_ms for org_id in orgs.tolist()], np.int64)
        heard = self._heard[live.ids]
        newest = np.maximum.reduceat(heard, starts)
        quickest = np.minimum.reduceat(live.patience_ms, starts)
        is_dark = at_ms > newest + np.maximum(wait_all, quickest)
        self._dark = set(orgs[is_dark].tolist())
        due = np.maximum(heard + np.maximum(wait_some[places], live.patience_ms), live.due_ms)
        # Only while others went on reporting has this one stopped alone.
        is_alone = (at_ms > due) & (newest[places] > due)
        is_silent = is_dark[places] | is_alone
        found: dict[int, list[Silent]] = {}
        for row in np.flatnonzero(is_silent):
            found.setdefault(int(live.orgs[row]), []).append(
                Silent(int(live.ids[row]), int(heard[row]), int(live.last_ms[row]))
            )
        return [
            Stopped(org_id, tuple(metrics), org_id in self._dark)
            for org_id, metrics in found.items()
        ]


def _read() -> _Rows:
    rows = (
        session()
        # Plain rows: there are as many as there are metrics.
        .connection()
        .execute(
            select(
                Metric.id,
                Metric.org_id,
                Progress.judged_until_ms,
                Progress.stale_after_ms,
                Progress.silent_from_ms,
                Progress.has_ended.is_(False) & Progress.may_be_silent.is_(False),
            )
            .join(Progress, Progress.metric_id == Metric.id)
            .where(Metric.excluded_by.is_(None))
            .order_by(Metric.org_id, Metric.id)
        )
        .all()
    )
    columns = list(zip(*rows, strict=True)) or [()] * 6
    ids, orgs, last_ms, patience_ms, due_ms, is_awaited = columns
    return _Rows(
        np.array(ids, np.int64),
        np.array(orgs, np.int64),
        np.array(last_ms, np.int64),
        np.array(patience_ms, np.int64),
        np.array([moment or 0 for moment in due_ms], np.int64),
        np.array(is_awaited, bool),
    )

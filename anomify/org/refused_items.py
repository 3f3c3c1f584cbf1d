"""Counts of items that an org sent and that were refused, by hour, route and kind of reason."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from anomify.db import Database, session, upsert
from anomify.org.model import Org, RefusedItems

log = logging.getLogger(__name__)

HOUR_MS: Final = 3_600_000
KEPT_MS: Final = 90 * 24 * HOUR_MS
TEXT_CHARACTERS_MAX: Final = 500
# How long writing the counts waits for other writers; after that they are written the next time.
SHORT_WAIT_SECONDS: Final = 0.25

# The key of a count: org, hour, route and kind.
_Key = tuple[int, int, str, str]


@dataclass(slots=True)
class Refused:
    """The number of items refused for one kind of reason, with an example."""

    items: int
    metric: str
    reason: str


@dataclass(frozen=True, slots=True)
class RefusedSum:
    """The items refused in a window by one route for one kind of reason, with the last example."""

    route: str
    kind: str
    items: int
    last_ms: int
    metric: str
    reason: str


@dataclass(slots=True)
class _Waiting:
    items: int
    last_ms: int
    metric: str
    reason: str


class RefusedCounter:
    """Counts refused items in memory, and stores the counts on request; thread-safe.

    A request never waits for the database because of it. What was counted in the second before a
    process is killed may be missing.
    """

    def __init__(self, database: Database) -> None:
        """Start with nothing to write."""
        self._database = database
        self._waiting: dict[_Key, _Waiting] = {}
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()

    def add(self, org_id: int, route: str, refused: Mapping[str, Refused], at_ms: int) -> None:
        """Count what one request of an org refused, by the kind of reason."""
        hour_ms = at_ms // HOUR_MS * HOUR_MS
        with self._lock:
            for kind, one in refused.items():
                key = (org_id, hour_ms, route, kind)
                self._add(key, _Waiting(one.items, at_ms, _kept(one.metric), _kept(one.reason)))

    def _add(self, key: _Key, more: _Waiting) -> None:
        found = self._waiting.get(key)
        if found is None:
            self._waiting[key] = more
            return
        found.items += more.items
        if more.last_ms >= found.last_ms:
            found.last_ms, found.metric, found.reason = more.last_ms, more.metric, more.reason

    def flush(self) -> None:
        """Write the counts since the last call; if that fails, they are kept for the next call."""
        with self._write_lock:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            if not waiting:
                return
            try:
                with self._database.unit_of_work(wait_seconds=SHORT_WAIT_SECONDS):
                    _write(waiting)
            except SQLAlchemyError as problem:
                log.warning("refused items could not be counted yet: %s", type(problem).__name__)
                with self._lock:
                    for key, one in waiting.items():
                        self._add(key, one)


def _kept(text: str) -> str:
    """Return as much of a text as a column holds; PostgreSQL has no NUL characters."""
    return text[:TEXT_CHARACTERS_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")


def _write(waiting: Mapping[_Key, _Waiting]) -> None:
    orgs = {org_id for org_id, *_ in waiting}
    # Counts of an org that was deleted meanwhile are dropped.
    living = set(session().scalars(select(Org.id).where(Org.id.in_(orgs))))
    rows = [
        {
            "org_id": org_id,
            "hour_ms": hour_ms,
            "route": route,
            "kind": kind,
            "items": one.items,
            "last_ms": one.last_ms,
            "metric": one.metric,
            "reason": one.reason,
        }
        # In the same order in every process, so that two writers cannot deadlock.
        for (org_id, hour_ms, route, kind), one in sorted(waiting.items(), key=lambda row: row[0])
        if org_id in living
    ]
    if not rows:
        return
    insert = upsert(RefusedItems)
    new = insert.excluded
    session().connection().execute(
        insert.on_conflict_do_update(
            index_elements=["org_id", "hour_ms", "route", "kind"],
            set_={
                "items": RefusedItems.items + new["items"],
                "last_ms": new.last_ms,
                "metric": new.metric,
                "reason": new.reason,
            },
        ),
        rows,
    )


def list_refused(org_id: int, from_ms: int, until_ms: int) -> list[RefusedSum]:
    """Return the refused items of the hours that begin in a window, the most recent first."""
    in_window: tuple[ColumnElement[bool], ...] = (
        RefusedItems.org_id == org_id,
        RefusedItems.hour_ms >= from_ms // HOUR_MS * HOUR_MS,
        RefusedItems.hour_ms < until_ms,
    )
    sums = session().execute(
        select(
            RefusedItems.route,
            RefusedItems.kind,
            func.sum(RefusedItems.items),
            func.max(RefusedItems.hour_ms),
        )
        .where(*in_window)
        .group_by(RefusedItems.route, RefusedItems.kind)
    )
    found = []
    for route, kind, items, hour_ms in sums.all():
        last = session().get_one(RefusedItems, (org_id, hour_ms, route, kind))
        found.append(RefusedSum(route, kind, int(items), last.last_ms, last.metric, last.reason))
    return sorted(found, key=lambda one: -one.last_ms)


def forget_refused_items(at_ms: int) -> None:
    """Delete counts of hours that are older than ninety days, of every org."""
    session().execute(delete(RefusedItems).where(RefusedItems.hour_ms < at_ms - KEPT_MS))

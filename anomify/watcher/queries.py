"""Queries of watchers, and of the metrics that they match; org first."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import UnaryExpression, func, select

from anomify.anomaly.model import Anomaly, Span
from anomify.contact_point.model import ContactPoint
from anomify.db import Page, among, session
from anomify.errors import NotFound
from anomify.metric.chip import condition_of, folded, holding
from anomify.metric.model import Metric
from anomify.user.model import User
from anomify.watcher.model import Watcher, WatcherContact

MOST_WATCHERS = 500
# The most names that one query reads; counts of an org with more are of this many.
NAMES_SCANNED_MAX = 200_000
# The largest id of the column; databases raise an error when a larger number is compared.
ID_MAX = 2**31 - 1


class WatcherOrder(StrEnum):
    """The order of a list of watchers."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"


ORDERS: Final[dict[WatcherOrder, tuple[UnaryExpression[Any], ...]]] = {
    WatcherOrder.NEWEST: (Watcher.id.desc(),),
    WatcherOrder.OLDEST: (Watcher.id.asc(),),
    WatcherOrder.NAME: (func.lower(Watcher.name).asc(), Watcher.id.asc()),
}


@dataclass(frozen=True, slots=True)
class WatchedCounts:
    """How many metrics a watcher matches, and how many anomalies they had lately."""

    metrics: int
    anomalies: int


def get_watcher(org_id: int, watcher_id: int, *, is_deleted: bool = False) -> Watcher:
    """Return the org's watcher. Raises NotFound, also when it is deleted or, if asked, is not."""
    wanted = Watcher.deleted_at.is_not(None) if is_deleted else Watcher.deleted_at.is_(None)
    watcher = session().scalar(
        select(Watcher).where(
            Watcher.org_id == org_id, Watcher.id == min(watcher_id, ID_MAX), wanted
        )
    )
    if watcher is None:
        raise NotFound(
            "Your org has no watcher with this id; /watchers/list lists those that exist."
        )
    return watcher


def list_watchers(
    org_id: int,
    *,
    with_deleted: bool = False,
    order: WatcherOrder = WatcherOrder.NEWEST,
    limit: int = 50,
    offset: int = 0,
) -> Page[Watcher]:
    """List the org's watchers."""
    wanted = [Watcher.org_id == org_id]
    if not with_deleted:
        wanted.append(Watcher.deleted_at.is_(None))
    rows = session().scalars(
        select(Watcher)
        .where(*wanted)
        .order_by(*ORDERS[order])
        .limit(min(limit, MOST_WATCHERS))
        .offset(offset)
    )
    total = session().scalar(select(func.count()).select_from(Watcher).where(*wanted))
    return Page(list(rows), total or 0)


def all_watchers(org_id: int) -> list[Watcher]:
    """Return the org's watchers that are not deleted, oldest first; an org has at most 1,000."""
    rows = session().scalars(
        select(Watcher)
        .where(Watcher.org_id == org_id, Watcher.deleted_at.is_(None))
        .order_by(Watcher.id)
    )
    return list(rows)


def list_alerting_watchers(org_id: int) -> list[Watcher]:
    """Return the watchers that send notifications, oldest first."""
    rows = session().scalars(
        select(Watcher)
        .where(
            Watcher.org_id == org_id,
            Watcher.is_alerting.is_(True),
            Watcher.deleted_at.is_(None),
        )
        .order_by(Watcher.id)
    )
    return list(rows)


def contacts_of(watcher_ids: Iterable[int]) -> dict[int, list[tuple[int, ContactPoint]]]:
    """Return by watcher id its contact points with the step of each, the first step first.

    Deleted ones are left out, and those that are stopped because their receiver answered 410.
    """
    return {
        watcher_id: [(step, found) for step, found in linked if found.stopped_at is None]
        for watcher_id, linked in linked_contacts(watcher_ids).items()
    }


def linked_contacts(watcher_ids: Iterable[int]) -> dict[int, list[tuple[int, ContactPoint]]]:
    """Return the same as `contacts_of`, with those that are stopped."""
    linked: dict[int, list[tuple[int, ContactPoint]]] = {each: [] for each in watcher_ids}
    rows = session().execute(
        select(WatcherContact.watcher_id, WatcherContact.step, ContactPoint)
        .join(ContactPoint, ContactPoint.id == WatcherContact.contact_point_id)
        .where(among(WatcherContact.watcher_id, linked), ContactPoint.deleted_at.is_(None))
        .order_by(WatcherContact.watcher_id, WatcherContact.step, ContactPoint.id)
    )
    for watcher_id, step, found in rows:
        linked[watcher_id].append((step, found))
    return linked


def watchers_with(org_id: int, contact_point_ids: Iterable[int]) -> dict[int, list[Watcher]]:
    """Return by contact point id the watchers that notify it, deleted ones left out, by name."""
    found: dict[int, list[Watcher]] = {each: [] for each in contact_point_ids}
    rows = session().execute(
        select(WatcherContact.contact_point_id, Watcher)
        .join(Watcher, Watcher.id == WatcherContact.watcher_id)
        .where(
            Watcher.org_id == org_id,
            Watcher.deleted_at.is_(None),
            among(WatcherContact.contact_point_id, found),
        )
        .order_by(func.lower(Watcher.name), Watcher.id)
    )
    for contact_point_id, watcher in rows:
        found[contact_point_id].append(watcher)
    return found


def count_watchers(org_id: int) -> int:
    """Count the org's watchers that are not deleted."""
    return (
        session().scalar(
            select(func.count())
            .select_from(Watcher)
            .where(Watcher.org_id == org_id, Watcher.deleted_at.is_(None))
        )
        or 0
    )


def count_alerting(org_id: int) -> int:
    """Count the org's watchers that send notifications."""
    return (
        session().scalar(
            select(func.count())
            .select_from(Watcher)
            .where(
                Watcher.org_id == org_id,
                Watcher.is_alerting.is_(True),
                Watcher.deleted_at.is_(None),
            )
        )
        or 0
    )


def ids_of_users(org_id: int, user_ids: Iterable[int]) -> set[int]:
    """Return those of the ids that are users of the org."""
    possible = [user_id for user_id in user_ids if 0 < user_id <= ID_MAX]
    rows = session().scalars(select(User.id).where(User.org_id == org_id, User.id.in_(possible)))
    return set(rows)


def names_containing(org_id: int, chips: Sequence[str]) -> list[str]:
    """Return the org's metric names that contain every chip, at most NAMES_SCANNED_MAX, by name."""
    names = session().scalars(
        select(Metric.name)
        .where(Metric.org_id == org_id, *holding(chips))
        .order_by(Metric.name)
        .limit(NAMES_SCANNED_MAX)
    )
    return list(names)


def metrics_matching(org_id: int, chips: Sequence[str]) -> list[tuple[int, str]]:
    """Return the id and name of the org's metrics that fulfil every chip, by name."""
    rows = session().execute(
        select(Metric.id, Metric.name)
        .where(Metric.org_id == org_id, *holding(chips))
        .order_by(Metric.name)
        .limit(NAMES_SCANNED_MAX)
    )
    return [(row[0], row[1]) for row in rows]


def counts_by_watcher(
    org_id: int, watchers: Sequence[Watcher], since: datetime
) -> dict[int, WatchedCounts]:
    """Return, by watcher id, how many metrics each matches and their anomalies since then."""
    if not watchers:
        return {}
    rows = session().execute(
        select(Metric.id, Metric.folded_name)
        .where(Metric.org_id == org_id)
        .limit(NAMES_SCANNED_MAX)
    )
    names = [(metric_id, name) for metric_id, name in rows]
    anomalies = _anomalies_by_metric(org_id, since)
    counts = {}
    for watcher in watchers:
        left = names
        # Chip by chip, so that each next one is searched for in fewer names.
        for chip in folded(watcher.chips):
            is_met_by = condition_of(chip).is_met_by
            left = [named for named in left if is_met_by(named[1])]
        matched = [metric_id for metric_id, _ in left]
        counts[watcher.id] = WatchedCounts(
            len(matched), sum(anomalies[metric_id] for metric_id in matched)
        )
    return counts


def _anomalies_by_metric(org_id: int, since: datetime) -> Counter[int]:
    rows = session().execute(
        select(Span.metric_id, func.count())
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .where(Anomaly.org_id == org_id, Anomaly.opened_at >= since)
        .group_by(Span.metric_id)
    )
    return Counter({row[0]: row[1] for row in rows})

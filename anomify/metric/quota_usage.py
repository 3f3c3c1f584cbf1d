"""List the metrics that count against the quota, and select metrics to delete."""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select

from anomify.clock import to_ms
from anomify.db import Page, session
from anomify.errors import Invalid
from anomify.metric.chip import holding
from anomify.metric.model import Metric, Progress
from anomify.metric.name import composed_name
from anomify.metric.queries import find_metric, in_state
from anomify.metric.status import State

MOST_COUNTED: Final = 500
# The most metrics deleted in one request.
MOST_REMOVED: Final = 1_000
PATTERN_CHARACTERS_MAX: Final = 512
ANY_TEXT: Final = "*"


@dataclass(frozen=True, slots=True)
class PickedMetrics:
    """The names of selected metrics by id, at most 1,000, and the number of all that match."""

    names: dict[int, str]
    total: int


@dataclass(frozen=True, slots=True)
class CountedMetric:
    """A metric that counts against the quota, with the time of its last point."""

    metric: Metric
    last_ms: int | None


def list_counted(
    org_id: int,
    at: datetime,
    *,
    text: str = "",
    is_stale: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> Page[CountedMetric]:
    """List the metrics that count, by name; optionally those containing a text or gone stale."""
    wanted: list[ColumnElement[bool]] = [Metric.org_id == org_id, Metric.excluded_by.is_(None)]
    wanted.extend(holding([text]))
    if is_stale:
        at_ms = to_ms(at)
        wanted.append(or_(in_state(State.STALE, at_ms), in_state(State.ENDED, at_ms)))
    rows = session().execute(
        select(Metric, Progress.judged_until_ms)
        .outerjoin(Progress, Progress.metric_id == Metric.id)
        .where(*wanted)
        .order_by(Metric.name, Metric.id)
        .limit(min(limit, MOST_COUNTED))
        .offset(offset)
    )
    counted = select(func.count()).select_from(Metric)
    if is_stale:
        counted = counted.outerjoin(Progress, Progress.metric_id == Metric.id)
    total = session().scalar(counted.where(*wanted)) or 0
    return Page([CountedMetric(metric, last_ms) for metric, last_ms in rows], total)


def pick_metrics(org_id: int, names: Iterable[str], patterns: Sequence[str]) -> PickedMetrics:
    """Select metrics by canonical name, or by a pattern that matches the whole name.

    In a pattern `*` matches any text. Excluded metrics are selected as well. Raises Invalid for a
    pattern that is empty, too long or matches everything.
    """
    named = {metric.id for name in names if (metric := find_metric(org_id, name)) is not None}
    fits = [_fitting(pattern) for pattern in patterns]
    rows = session().execute(select(Metric.id, Metric.name).where(Metric.org_id == org_id))
    found = sorted(
        (name, metric_id)
        for metric_id, name in rows
        if metric_id in named or any(fit(composed_name(name)) for fit in fits)
    )
    return PickedMetrics({metric_id: name for name, metric_id in found[:MOST_REMOVED]}, len(found))


def metrics_of(org_id: int, metric_ids: Collection[int]) -> list[Metric]:
    """Return those of the metrics that still exist, for the caller to delete.

    At most 500 ids. They are locked, in order of id as everywhere, so that no other transaction
    changes or deletes them before a writing unit of work ends.
    """
    rows = session().scalars(
        select(Metric)
        .where(Metric.org_id == org_id, Metric.id.in_(metric_ids))
        .order_by(Metric.id)
        .with_for_update()
    )
    return list(rows)


def _fitting(pattern: str) -> Callable[[str], bool]:
    if not pattern.replace(ANY_TEXT, "") or len(pattern) > PATTERN_CHARACTERS_MAX:
        raise Invalid(
            f"A pattern has 1 to {PATTERN_CHARACTERS_MAX} characters, not only stars.",
            fields={"patterns": "Write names, with * for any text."},
        )
    first, *others = unicodedata.normalize("NFC", pattern).split(ANY_TEXT)
    if not others:
        return first.__eq__
    *middle, last = others

    def fits(name: str) -> bool:
        if not name.startswith(first) or not name.endswith(last):
            return False
        # Taking the first match of each part leaves the most text for the parts after it.
        place = len(first)
        for part in middle:
            place = name.find(part, place)
            if place < 0:
                return False
            place += len(part)
        return place <= len(name) - len(last)

    return fits

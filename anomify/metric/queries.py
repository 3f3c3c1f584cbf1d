"""Every SELECT about metrics, the org first."""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from anomify.clock import to_ms
from anomify.db import Page, session
from anomify.errors import NotFound
from anomify.metric.chip import holding
from anomify.metric.failing import isolated_among
from anomify.metric.model import Metric, Progress
from anomify.metric.name import composed_name, name_hash
from anomify.metric.status import INACTIVE_AFTER_MS, MetricStatus, State, isolated, status_of

MOST_METRICS = 500
# The largest id of a database column.
ID_MAX = 2**31 - 1
_ID = re.compile(r"[1-9][0-9]{0,9}")


class MetricOrder(StrEnum):
    """What comes first in a list of metrics."""

    NAME = "name"
    # Created last.
    NEWEST = "newest"
    # Reported last.
    RECENT = "recent"


class Broad(StrEnum):
    """Groups of states."""

    # Reports and is judged, or will be.
    LIVE = "live"
    # Has ended, or has been silent for a day.
    INACTIVE = "inactive"


def find_metric(org_id: int, name: str) -> Metric | None:
    """Return the org's metric of that canonical name, if there is one.

    Where no metric has exactly this name, but one has the same characters in other code points,
    that one is returned.
    """
    return _find_by_spelling(org_id, name)[0]


def find_numbered_metric(org_id: int, number: str) -> Metric | None:
    """Return the org's metric whose id is this text, if there is one."""
    if not _ID.fullmatch(number) or int(number) > ID_MAX:
        return None
    return session().scalar(select(Metric).where(Metric.org_id == org_id, Metric.id == int(number)))


def get_metric(org_id: int, name: str) -> Metric:
    """Return the org's metric of that canonical name, as `find_metric` does, or else of that id.

    Raises NotFound.
    """
    metric, spellings = _find_by_spelling(org_id, name)
    metric = metric or find_numbered_metric(org_id, name)
    if metric is not None:
        return metric
    if spellings:
        raise NotFound(
            f"{spellings} metrics of your org have this name, each written with other code points,"
            " and none exactly like this; /metrics lists them."
        )
    raise NotFound("There is no such metric in your org; /metrics lists the ones there are.")


def _find_by_spelling(org_id: int, name: str) -> tuple[Metric | None, int]:
    """Return the metric, and how many there are of this name in other spellings if it is none."""
    exact = session().scalar(
        select(Metric).where(Metric.org_id == org_id, Metric.name_hash == name_hash(name))
    )
    if exact is not None:
        return exact, 0
    composed = name_hash(composed_name(name))
    found = session().scalars(
        select(Metric).where(
            Metric.org_id == org_id,
            or_(Metric.name_hash == composed, Metric.composed_hash == composed),
        )
    )
    others = list(found)
    return (others[0], 0) if len(others) == 1 else (None, len(others))


def metric_of_any_org(metric_id: int) -> Metric:
    """Return the metric: for the worker, which serves every org."""
    return session().get_one(Metric, metric_id)


def get_metric_status(org_id: int, name: str, at: datetime) -> MetricStatus:
    """Return the metric with its status. Raises NotFound."""
    metric = get_metric(org_id, name)
    status = status_of(metric, session().get(Progress, metric.id), at)
    return isolated(status) if isolated_among([metric.id]) else status


def find_progress(org_id: int, metric_ids: Sequence[int]) -> dict[int, Progress]:
    """Return the progress of these metrics of the org by id, without those that have none."""
    rows = session().scalars(
        select(Progress)
        .join(Metric, Metric.id == Progress.metric_id)
        .where(Metric.org_id == org_id, Metric.id.in_(metric_ids))
    )
    return {row.metric_id: row for row in rows}


def list_metrics(
    org_id: int,
    at: datetime,
    *,
    words: Sequence[str] = (),
    state: State | Broad | None = None,
    order: MetricOrder = MetricOrder.NAME,
    limit: int = 50,
    offset: int = 0,
) -> Page[MetricStatus]:
    """List the metrics whose names contain every word, with the status of each."""
    wanted = [Metric.org_id == org_id, *holding(words)]
    if state is not None:
        wanted.append(in_state(state, to_ms(at)))
    found = select(Metric)
    # Progress is joined only where it is needed, because it is most of the work.
    if state is not None or order is MetricOrder.RECENT:
        found = found.outerjoin(Progress, Progress.metric_id == Metric.id)
    limit = min(limit, MOST_METRICS)
    metrics = session().scalars(
        found.where(*wanted).order_by(*_order(order)).limit(limit).offset(offset)
    )
    listed = list(metrics)
    progress = find_progress(org_id, [metric.id for metric in listed])
    # A page that is not full ends with the last one: then nothing needs to be counted.
    is_last = len(listed) < limit and bool(listed or not offset)
    total = offset + len(listed) if is_last else _count_metrics(wanted, has_state=state is not None)
    left_out = isolated_among([metric.id for metric in listed])
    statuses = [status_of(one, progress.get(one.id), at) for one in listed]
    return Page([isolated(one) if one.metric.id in left_out else one for one in statuses], total)


def _count_metrics(wanted: Sequence[ColumnElement[bool]], *, has_state: bool) -> int:
    counted = select(func.count()).select_from(Metric)
    if has_state:
        counted = counted.outerjoin(Progress, Progress.metric_id == Metric.id)
    return session().scalar(counted.where(*wanted)) or 0


def count_by_state(org_id: int, at: datetime) -> dict[State, int]:
    """Count the org's metrics by state."""
    now_ms = to_ms(at)
    columns = [func.count().filter(in_state(state, now_ms)).label(state.value) for state in State]
    row = (
        session()
        .execute(
            select(*columns)
            .select_from(Metric)
            .outerjoin(Progress, Progress.metric_id == Metric.id)
            .where(Metric.org_id == org_id)
        )
        .one()
    )
    return {state: int(count) for state, count in zip(State, row, strict=True)}


def _order(order: MetricOrder) -> tuple[ColumnElement[Any], ...]:
    match order:
        case MetricOrder.NAME:
            return Metric.name.asc(), Metric.id.asc()
        case MetricOrder.NEWEST:
            return (Metric.id.desc(),)
        case MetricOrder.RECENT:
            return func.coalesce(Progress.judged_until_ms, 0).desc(), Metric.id.desc()


def in_state(state: State | Broad, now_ms: int) -> ColumnElement[bool]:
    """Return the SQL condition for metrics in this state; needs their progress joined."""
    # The same rules as in status.py, in SQL for counting and filtering; a test compares the two.
    silent_ms = now_ms - Progress.judged_until_ms
    is_stale = and_(silent_ms > Progress.stale_after_ms, Progress.may_be_silent.is_(False))
    is_included = Metric.excluded_by.is_(None)
    is_here = and_(is_included, Progress.has_ended.is_(False), ~is_stale)
    has_learnt = Progress.points_seen >= Progress.learning_points
    conditions: dict[State | Broad, ColumnElement[bool]] = {
        Broad.LIVE: and_(is_included, or_(Progress.metric_id.is_(None), is_here)),
        Broad.INACTIVE: or_(
            Progress.has_ended.is_(True),
            and_(silent_ms > INACTIVE_AFTER_MS, Progress.may_be_silent.is_(False)),
        ),
        State.EXCLUDED: Metric.excluded_by.is_not(None),
        State.WAITING: and_(is_included, Progress.metric_id.is_(None)),
        State.ENDED: and_(is_included, Progress.has_ended.is_(True)),
        State.STALE: and_(is_included, Progress.has_ended.is_(False), is_stale),
        State.LEARNING: and_(is_here, ~has_learnt),
        State.CONSTANT: and_(is_here, has_learnt, Progress.is_constant.is_(True)),
        State.JUDGED: and_(is_here, has_learnt, Progress.is_constant.is_(False)),
    }
    return conditions[state]

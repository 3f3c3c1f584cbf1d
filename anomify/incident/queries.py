"""Queries of incidents; the org is the first argument where one is asked for."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import contains_eager
from sqlalchemy.orm.attributes import set_committed_value

from anomify.anomaly.model import Anomaly, Span
from anomify.db import Page, among, batches, session
from anomify.errors import NotFound
from anomify.incident.model import Incident, IncidentMember
from anomify.incident.relation import AnomalyOnset
from anomify.metric.model import Metric, Progress

MOST_INCIDENTS: Final = 500
# The largest id of the column; databases raise an error when a larger number is compared.
ID_MAX: Final = 2**31 - 1
# So many incidents are compared with a new anomaly, and so many anomalies of each.
JOINABLE_MOST: Final = 60
COMPARED_MOST: Final = 20
# The most anomalies of an incident that are read to be shown.
SHOWN_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """How many anomalies an incident has, how many of them are open, and its last evidence."""

    total: int
    open: int
    last_over_ms: int


def get_incident(org_id: int, incident_id: int) -> Incident:
    """Return the org's incident. Raises NotFound."""
    incident = session().scalar(
        select(Incident).where(
            Incident.org_id == org_id, Incident.id == min(max(incident_id, 0), ID_MAX)
        )
    )
    if incident is None:
        raise NotFound("Your org has no incident with this id.")
    return incident


def list_incidents(
    org_id: int,
    *,
    is_open: bool | None = None,
    metric_id: int | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[Incident]:
    """List the org's incidents that were opened in [from_at, until_at), the latest first."""
    wanted = [Incident.org_id == org_id]
    if is_open is not None:
        wanted.append(Incident.is_open.is_(is_open))
    if from_at is not None:
        wanted.append(Incident.opened_at >= from_at)
    if until_at is not None:
        wanted.append(Incident.opened_at < until_at)
    if metric_id is not None:
        wanted.append(
            Incident.id.in_(
                select(IncidentMember.incident_id)
                .join(Span, Span.anomaly_id == IncidentMember.anomaly_id)
                .where(Span.metric_id == metric_id)
            )
        )
    rows = session().scalars(
        select(Incident)
        .where(*wanted)
        .order_by(Incident.opened_at.desc(), Incident.id.desc())
        .limit(min(limit, MOST_INCIDENTS))
        .offset(offset)
    )
    total = session().scalar(select(func.count()).select_from(Incident).where(*wanted))
    return Page(list(rows), total or 0)


def lock_incidents(incident_ids: Collection[int]) -> list[Incident]:
    """Return these incidents of any org, locked against changes by others until the end."""
    if not incident_ids:
        return []
    session().flush()
    rows = session().scalars(
        select(Incident)
        .where(among(Incident.id, sorted(incident_ids)))
        .order_by(Incident.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(rows)


def incidents_with(anomaly_ids: Iterable[int]) -> list[Incident]:
    """Return the incidents of these anomalies."""
    return list(memberships_of(list(anomaly_ids)).values())


def open_incidents_with(anomaly_ids: Iterable[int]) -> list[Incident]:
    """Return the open incidents of these anomalies, each once, the newest first."""
    found = {incident.id: incident for incident in incidents_with(anomaly_ids) if incident.is_open}
    return sorted(found.values(), key=lambda incident: incident.id, reverse=True)


def incident_ids_of(anomaly_ids: Sequence[int]) -> dict[int, int]:
    """Return the incident's id of each of these anomalies that belongs to one."""
    found: dict[int, int] = {}
    for some in batches(anomaly_ids):
        rows = session().execute(
            select(IncidentMember.anomaly_id, IncidentMember.incident_id).where(
                IncidentMember.anomaly_id.in_(some)
            )
        )
        found.update((row[0], row[1]) for row in rows)
    return found


def memberships_of(anomaly_ids: Sequence[int]) -> dict[int, Incident]:
    """Return the incident of each of these anomalies that belongs to one, by anomaly id."""
    found: dict[int, Incident] = {}
    for some in batches(anomaly_ids):
        rows = session().execute(
            select(IncidentMember.anomaly_id, Incident)
            .join(Incident, Incident.id == IncidentMember.incident_id)
            .where(IncidentMember.anomaly_id.in_(some))
        )
        found.update((row[0], row[1]) for row in rows)
    return found


def counts_of_members(incident_ids: Sequence[int]) -> dict[int, MemberCounts]:
    """Return the counts of the anomalies of each of these incidents that has any."""
    rows = session().execute(
        select(
            IncidentMember.incident_id,
            func.count(),
            func.sum(case((Span.is_open.is_(True), 1), else_=0)),
            func.max(func.coalesce(Span.ended_ms, Span.last_over_ms)),
        )
        .join(Span, Span.anomaly_id == IncidentMember.anomaly_id)
        .where(among(IncidentMember.incident_id, incident_ids))
        .group_by(IncidentMember.incident_id)
    )
    return {row[0]: MemberCounts(row[1], int(row[2]), row[3]) for row in rows}


def members_of(incident_id: int, *, limit: int = SHOWN_MOST) -> list[tuple[Span, datetime]]:
    """Return anomalies of an incident with their metrics, and when each joined.

    Open ones come first, then those with the highest alert.
    """
    rows = session().execute(
        _spans()
        .add_columns(IncidentMember.joined_at)
        .where(IncidentMember.incident_id == incident_id)
        .order_by(Span.is_open.desc(), Span.alert.desc(), Span.anomaly_id)
        .limit(limit)
    )
    found = []
    for span, joined_at in rows:
        set_committed_value(span.anomaly, "span", span)
        found.append((span, joined_at))
    return found


def count_opened_since(org_id: int, since: datetime) -> int:
    """Return how many incidents of the org were opened since then."""
    counted = (
        select(func.count())
        .select_from(Incident)
        .where(Incident.org_id == org_id, Incident.opened_at > since)
    )
    return session().scalar(counted) or 0


def count_anomalies_between(org_id: int, from_at: datetime, until_at: datetime) -> int:
    """Return how many anomalies of the org began in [from_at, until_at)."""
    counted = (
        select(func.count())
        .select_from(Anomaly)
        .where(Anomaly.org_id == org_id, Anomaly.opened_at >= from_at, Anomaly.opened_at < until_at)
    )
    return session().scalar(counted) or 0


def joinable_incidents(
    org_id: int, metric_ids: Collection[int], *, changed_since: datetime, closed_since: datetime
) -> list[Incident]:
    """Return the incidents that new anomalies of these metrics may belong to.

    They are open and have changed lately, or they are open or closed lately and have an anomaly of
    one of the metrics.
    """
    recent = session().scalars(
        select(Incident)
        .where(
            Incident.org_id == org_id,
            Incident.is_open.is_(True),
            Incident.changed_at >= changed_since,
        )
        .order_by(Incident.changed_at.desc(), Incident.id.desc())
        .limit(JOINABLE_MOST)
    )
    found = {incident.id: incident for incident in recent}
    for some in batches(sorted(metric_ids)):
        of_metrics = session().scalars(
            select(Incident)
            .where(
                Incident.org_id == org_id,
                or_(
                    Incident.is_open.is_(True),
                    and_(Incident.is_open.is_(False), Incident.closed_at >= closed_since),
                ),
                Incident.id.in_(
                    select(IncidentMember.incident_id)
                    .join(Span, Span.anomaly_id == IncidentMember.anomaly_id)
                    .where(Span.metric_id.in_(some))
                ),
            )
            .limit(MOST_INCIDENTS)
        )
        found.update((incident.id, incident) for incident in of_metrics)
    return sorted(found.values(), key=lambda incident: incident.id)


def members_to_compare(
    incident_ids: Sequence[int], metric_ids: Collection[int]
) -> dict[int, list[AnomalyOnset]]:
    """Return the earliest anomalies of each incident, and all that are of these metrics."""
    if not incident_ids:
        return {}
    place = func.row_number().over(
        partition_by=IncidentMember.incident_id, order_by=(Span.started_ms, Span.anomaly_id)
    )
    placed = (
        select(
            IncidentMember.incident_id,
            Span.anomaly_id,
            Span.metric_id,
            Metric.name,
            Span.started_ms,
            func.coalesce(Progress.resolution_ms, 0).label("step_ms"),
            place.label("place"),
        )
        .join(Span, Span.anomaly_id == IncidentMember.anomaly_id)
        .join(Metric, Metric.id == Span.metric_id)
        .outerjoin(Progress, Progress.metric_id == Span.metric_id)
        .where(among(IncidentMember.incident_id, incident_ids))
        .subquery()
    )
    found: dict[int, dict[int, AnomalyOnset]] = defaultdict(dict)
    wanted = [placed.c.place <= COMPARED_MOST]
    wanted += [placed.c.metric_id.in_(some) for some in batches(sorted(metric_ids))]
    for condition in wanted:
        for row in session().execute(select(placed).where(condition).order_by(placed.c.place)):
            onset = AnomalyOnset(
                row.anomaly_id, row.metric_id, row.name, row.started_ms, row.step_ms
            )
            found[row.incident_id][row.anomaly_id] = onset
    return {incident_id: list(onsets.values()) for incident_id, onsets in found.items()}


def steps_of(metric_ids: Iterable[int]) -> dict[int, int]:
    """Return the distance between the points of each metric, in milliseconds."""
    rows = session().execute(
        select(Progress.metric_id, Progress.resolution_ms).where(
            among(Progress.metric_id, sorted(set(metric_ids)))
        )
    )
    return {row[0]: row[1] or 0 for row in rows}


def _spans() -> Select[Span]:
    return (
        select(Span)
        .join(IncidentMember, IncidentMember.anomaly_id == Span.anomaly_id)
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .join(Metric, Metric.id == Span.metric_id)
        .options(contains_eager(Span.anomaly), contains_eager(Span.metric))
    )

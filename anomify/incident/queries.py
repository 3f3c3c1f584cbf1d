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
from anomify.anomaly.recording import is_more_severe
from anomify.db import Page, among, batches, session
from anomify.errors import NotFound
from anomify.incident.model import STORM, Incident, IncidentMember
from anomify.incident.relation import AnomalyOnset
from anomify.metric.model import Metric, Progress
from anomify.triage.model import Triage

MOST_INCIDENTS: Final = 500
# The largest id of the column; databases raise an error when a larger number is compared.
ID_MAX: Final = 2**31 - 1
# So many incidents are compared with a new anomaly, and so many anomalies of each.
JOINABLE_MOST: Final = 60
COMPARED_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Member:
    """An anomaly of an incident: what decides who is told of it; a storm has thousands."""

    anomaly_id: int
    metric_id: int
    metric_name: str
    severity: str
    # What people decided, see triage.status.
    status: str
    alert: float
    started_ms: int
    # The last point of its evidence, or its end.
    last_ms: int
    is_open: bool
    joined_at: datetime
    # The distance between the points of the metric, 0 where it is not known yet.
    step_ms: int
    # The watcher whose threshold has found it, 0 for the engine.
    watcher_id: int = 0
    snoozed_until: datetime | None = None
    snoozed_severity: str | None = None
    # No data comes.
    is_silence: bool = False

    def is_snoozed(self, at: datetime) -> bool:
        """Return whether people hide it at that moment; not if its severity has risen since."""
        if self.snoozed_until is None or self.snoozed_until <= at:
            return False
        return self.snoozed_severity is None or not is_more_severe(
            self.severity, self.snoozed_severity
        )

    @property
    def onset(self) -> AnomalyOnset:
        """Return where and when it began."""
        return AnomalyOnset(
            self.anomaly_id, self.metric_id, self.metric_name, self.started_ms, self.step_ms
        )


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


def first_names_of(incidents: Sequence[Incident]) -> dict[int, str]:
    """Return the metric of the first anomaly of each of these incidents, where it still exists."""
    rows = session().execute(
        select(Span.anomaly_id, Metric.name)
        .join(Metric, Metric.id == Span.metric_id)
        .where(among(Span.anomaly_id, [each.first_anomaly_id for each in incidents]))
    )
    names = {row[0]: row[1] for row in rows}
    return {
        each.id: names[each.first_anomaly_id]
        for each in incidents
        if each.first_anomaly_id in names
    }


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


def members_of(incident_id: int) -> list[Member]:
    """Return all anomalies of an incident, in the order in which they began."""
    rows = session().execute(
        select(
            Span.anomaly_id,
            Span.metric_id,
            Metric.name,
            Span.severity,
            Anomaly.status,
            Span.alert,
            Span.started_ms,
            func.coalesce(Span.ended_ms, Span.last_over_ms),
            Span.is_open,
            IncidentMember.joined_at,
            func.coalesce(Progress.resolution_ms, 0),
            Span.watcher_id,
            Triage.snoozed_until,
            Triage.snoozed_severity,
            Span.is_silence,
        )
        .join(IncidentMember, IncidentMember.anomaly_id == Span.anomaly_id)
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .join(Metric, Metric.id == Span.metric_id)
        .outerjoin(Progress, Progress.metric_id == Span.metric_id)
        .outerjoin(Triage, Triage.anomaly_id == Span.anomaly_id)
        .where(IncidentMember.incident_id == incident_id)
        .order_by(Span.started_ms, Span.anomaly_id)
    )
    return [Member(*row) for row in rows]


def spans_in_order(anomaly_ids: Sequence[int]) -> list[Span]:
    """Return these anomalies that belong to an incident, with their metrics, in this order."""
    found = {
        span.anomaly_id: span
        for span in session().scalars(_spans().where(among(Span.anomaly_id, anomaly_ids)))
    }
    for span in found.values():
        set_committed_value(span.anomaly, "span", span)
    return [found[each] for each in anomaly_ids if each in found]


def spans_to_show(incident: Incident, most: int) -> list[Span]:
    """Return the most important anomalies of an incident with their metrics.

    The one that most probably came first is on top; then those that go on, then by their alert.
    """
    members = members_of(incident.id)
    members.sort(
        key=lambda member: (
            member.anomaly_id != incident.first_anomaly_id,
            not member.is_open,
            -member.alert,
            member.anomaly_id,
        )
    )
    return spans_in_order([member.anomaly_id for member in members[:most]])


def onsets_since(metric_ids: Sequence[int], since: datetime) -> dict[int, list[datetime]]:
    """Return when anomalies of each of these metrics joined an incident after that moment."""
    found: dict[int, list[datetime]] = defaultdict(list)
    rows = session().execute(
        select(Span.metric_id, IncidentMember.joined_at)
        .join(IncidentMember, IncidentMember.anomaly_id == Span.anomaly_id)
        .where(among(Span.metric_id, metric_ids), IncidentMember.joined_at > since)
        .order_by(IncidentMember.joined_at)
    )
    for metric_id, joined_at in rows:
        found[metric_id].append(joined_at)
    return found


def count_opened_since(org_id: int, since: datetime) -> int:
    """Return how many incidents of the org were opened since then."""
    counted = (
        select(func.count())
        .select_from(Incident)
        .where(Incident.org_id == org_id, Incident.opened_at > since)
    )
    return session().scalar(counted) or 0


def count_opened_between(org_id: int, from_at: datetime, until_at: datetime) -> int:
    """Return how many incidents of the org were opened in [from_at, until_at)."""
    counted = (
        select(func.count())
        .select_from(Incident)
        .where(
            Incident.org_id == org_id,
            Incident.opened_at >= from_at,
            Incident.opened_at < until_at,
        )
    )
    return session().scalar(counted) or 0


def count_joined_since(incident_id: int, since: datetime) -> int:
    """Return how many anomalies have joined an incident since then."""
    counted = (
        select(func.count())
        .select_from(IncidentMember)
        .where(IncidentMember.incident_id == incident_id, IncidentMember.joined_at > since)
    )
    return session().scalar(counted) or 0


def joinable_incidents(
    org_id: int, metric_ids: Collection[int], *, changed_since: datetime, closed_since: datetime
) -> list[Incident]:
    """Return the incidents that new anomalies of these metrics may belong to.

    They are open and have changed lately, or they are open or closed lately and have an anomaly of
    one of the metrics, or they are storms that closed lately.
    """
    closed_lately = and_(Incident.is_open.is_(False), Incident.closed_at >= closed_since)
    recent = session().scalars(
        select(Incident)
        .where(
            Incident.org_id == org_id,
            Incident.changed_at >= changed_since,
            or_(Incident.is_open.is_(True), and_(Incident.kind == STORM, closed_lately)),
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
                or_(Incident.is_open.is_(True), closed_lately),
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


def members_to_compare(incident_ids: Sequence[int]) -> dict[int, list[AnomalyOnset]]:
    """Return the earliest anomalies of each incident."""
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
            Span.started_ms,
            place.label("place"),
        )
        .join(Span, Span.anomaly_id == IncidentMember.anomaly_id)
        .where(among(IncidentMember.incident_id, incident_ids))
        .subquery()
    )
    rows = session().execute(
        select(
            placed.c.incident_id,
            placed.c.anomaly_id,
            placed.c.metric_id,
            Metric.name,
            placed.c.started_ms,
            func.coalesce(Progress.resolution_ms, 0),
        )
        .join(Metric, Metric.id == placed.c.metric_id)
        .outerjoin(Progress, Progress.metric_id == placed.c.metric_id)
        .where(placed.c.place <= COMPARED_MOST)
        .order_by(placed.c.place)
    )
    found: dict[int, list[AnomalyOnset]] = defaultdict(list)
    for incident_id, *onset in rows:
        found[incident_id].append(AnomalyOnset(*onset))
    return found


@dataclass(frozen=True, slots=True)
class LastOfMetric:
    """The last anomaly of a metric in an incident: whether it goes on, and its last point."""

    incident_id: int
    metric_id: int
    is_open: bool
    last_ms: int


def last_of_metrics(incident_ids: Sequence[int], metric_ids: Collection[int]) -> list[LastOfMetric]:
    """Return the last anomaly of each of these metrics in each incident, by incident."""
    if not incident_ids:
        return []
    rows = session().execute(
        select(
            IncidentMember.incident_id,
            Span.metric_id,
            func.max(case((Span.is_open.is_(True), 1), else_=0)),
            func.max(func.coalesce(Span.ended_ms, Span.last_over_ms)),
        )
        .join(Span, Span.anomaly_id == IncidentMember.anomaly_id)
        .where(
            among(Span.metric_id, sorted(metric_ids)),
            among(IncidentMember.incident_id, incident_ids),
        )
        .group_by(IncidentMember.incident_id, Span.metric_id)
        .order_by(IncidentMember.incident_id)
    )
    return [LastOfMetric(row[0], row[1], bool(row[2]), row[3]) for row in rows]


def names_of(metric_ids: Iterable[int]) -> list[tuple[int, int, str]]:
    """Return the id, the org's id and the name of each of these metrics."""
    rows = session().execute(
        select(Metric.id, Metric.org_id, Metric.name).where(
            among(Metric.id, sorted(set(metric_ids)))
        )
    )
    return [(row[0], row[1], row[2]) for row in rows]


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

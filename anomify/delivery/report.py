"""Summaries of watchers: what each covers, and the messages of one that is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import contains_eager

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import SEVERITIES
from anomify.clock import to_ms
from anomify.contact_point.people import why_not_reached
from anomify.db import among, session
from anomify.delivery.enqueue import add_notice
from anomify.delivery.facts import (
    REPORT,
    Facts,
    IncidentFacts,
    ReportedIncident,
    ReportFacts,
    facts_of_span,
)
from anomify.incident.model import Incident, IncidentMember
from anomify.metric.chip import holding
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.triage.status import ARCHIVED
from anomify.watcher.contacts import WatcherContacts
from anomify.watcher.model import Watcher
from anomify.watcher.report_schedule import ReportSchedule, read_schedule

TOP_MOST: Final = 5
ONGOING_MOST: Final = 5
QUIET_NAMED_MOST: Final = 5
# No summary covers more.
LONGEST: Final = timedelta(days=62)
_RANK: Final = case(
    {name: rank for rank, name in enumerate(SEVERITIES)}, value=Span.severity, else_=0
)


@dataclass(frozen=True, slots=True)
class DueReport:
    """A summary that is due: from the one before to its own time."""

    watcher_id: int
    schedule: ReportSchedule
    from_at: datetime
    due_at: datetime


def list_due_reports(at: datetime) -> list[DueReport]:
    """Return the summaries that are due. One that was missed is part of the one after it."""
    rows = session().execute(
        select(Watcher, Org.timezone)
        .join(Org, Org.id == Watcher.org_id)
        .where(Watcher.summary_report_frequency.is_not(None), Watcher.deleted_at.is_(None))
        .order_by(Watcher.id)
    )
    due = (_due(watcher, timezone, at) for watcher, timezone in rows)
    return [each for each in due if each is not None]


def send_report(watcher_id: int, at: datetime, contacts: WatcherContacts) -> int:
    """Enqueue the summary of a watcher if it is due; return how many messages that made.

    Nothing is sent where nothing has happened and nothing goes on. Called again, it does nothing.
    """
    watcher = session().get(Watcher, watcher_id, with_for_update=True, populate_existing=True)
    if watcher is None or watcher.deleted_at is not None:
        return 0
    org = session().get_one(Org, watcher.org_id)
    due = _due(watcher, org.timezone, at)
    if due is None:
        return 0
    watcher.reported_at = due.due_at
    report = report_of(org, watcher, due)
    if not (report.anomaly_count or report.ongoing_count or report.quiet_count):
        return 0
    facts = Facts(
        transition=REPORT,
        occurred_ms=report.until_ms,
        org_id=org.id,
        org_name=org.name,
        timezone=org.timezone,
        watcher_id=watcher.id,
        watcher_name=watcher.name,
        anomaly=None,
        org_uuid=org.uuid,
        report=report,
    )
    count = 0
    for user_id in watcher.summary_report_user_ids:
        point = contacts.mail_of(org.id, user_id, watcher.created_by)
        if point is not None and why_not_reached(point) is None:
            add_notice(point, facts, at)
            count += 1
    return count


def report_of(org: Org, watcher: Watcher, due: DueReport) -> ReportFacts:
    """Return what a summary states: of the anomalies that the watcher notifies of."""
    from_at = max(due.from_at, due.due_at - LONGEST)
    began = (Anomaly.opened_at >= from_at, Anomaly.opened_at < due.due_at)
    goes_on = (Span.is_open.is_(True), Anomaly.status.not_in([each.value for each in ARCHIVED]))
    was_quiet = (Anomaly.muted_at >= from_at, Anomaly.muted_at < due.due_at)
    quiet = session().scalars(
        _of(watcher, Metric.name, *was_quiet)
        .distinct()
        .order_by(Metric.name)
        .limit(QUIET_NAMED_MOST)
    )
    incidents = func.count(IncidentMember.incident_id.distinct())
    return ReportFacts(
        period=due.schedule.period,
        from_ms=to_ms(from_at),
        until_ms=to_ms(due.due_at),
        anomaly_count=_count(_of(watcher, func.count(), *began)),
        incident_count=_count(_with_members(_of(watcher, incidents, *began))),
        top=_reported(org, watcher, began, TOP_MOST, only_ended=True),
        ongoing=_reported(org, watcher, goes_on, ONGOING_MOST, only_ended=False),
        ongoing_count=_count(_with_members(_of(watcher, incidents, *goes_on))),
        quiet_count=_count(_of(watcher, func.count(), *was_quiet)),
        quiet_names=tuple(quiet),
    )


def _due(watcher: Watcher, timezone: str, at: datetime) -> DueReport | None:
    schedule = read_schedule(watcher.summary_report_frequency or "")
    if schedule is None:
        return None
    from_at = watcher.reported_at or watcher.created_at
    due_at = schedule.due_through(from_at, at, timezone)
    return None if due_at is None else DueReport(watcher.id, schedule, from_at, due_at)


def _of(watcher: Watcher, what: Any, *wanted: ColumnElement[bool]) -> Select[Any]:
    """Return a query for the anomalies that a watcher notifies of."""
    conditions: list[ColumnElement[bool]] = [Anomaly.org_id == watcher.org_id, *wanted]
    if watcher.threshold_operator is not None:
        conditions.append(Span.watcher_id == watcher.id)
    else:
        severe = SEVERITIES[SEVERITIES.index(watcher.severity) :]
        conditions += [Span.watcher_id == 0, Span.severity.in_(severe), *holding(watcher.chips)]
    return (
        select(what)
        .select_from(Anomaly)
        .join(Span, Span.anomaly_id == Anomaly.id)
        .join(Metric, Metric.id == Span.metric_id)
        .where(*conditions)
    )


def _with_members(query: Select[Any]) -> Select[Any]:
    return query.join(IncidentMember, IncidentMember.anomaly_id == Anomaly.id)


def _count(query: Select[Any]) -> int:
    return session().scalar(query) or 0


def _reported(
    org: Org,
    watcher: Watcher,
    wanted: Sequence[ColumnElement[bool]],
    most: int,
    *,
    only_ended: bool,
) -> tuple[ReportedIncident, ...]:
    """Return the most severe incidents of these anomalies, each with its most severe anomaly."""
    query = _with_members(_of(watcher, IncidentMember.incident_id, *wanted))
    if only_ended:
        query = query.where(Span.is_open.is_(False))
    ranked = session().scalars(
        query.group_by(IncidentMember.incident_id)
        .order_by(func.max(_RANK).desc(), func.max(Span.alert).desc(), IncidentMember.incident_id)
        .limit(most)
    )
    incident_ids = list(ranked)
    if not incident_ids:
        return ()
    incidents = {
        incident.id: incident
        for incident in session().scalars(select(Incident).where(among(Incident.id, incident_ids)))
    }
    found = []
    for incident_id in incident_ids:
        spans = _spans_of(watcher, incident_id)
        found.append(_facts(org, incidents[incident_id], spans))
    return tuple(found)


def _spans_of(watcher: Watcher, incident_id: int) -> list[Span]:
    """Return the anomalies of an incident that the watcher notifies of, the first one first."""
    query = _with_members(_of(watcher, Span, IncidentMember.incident_id == incident_id))
    rows = session().scalars(
        query.options(contains_eager(Span.anomaly), contains_eager(Span.metric)).order_by(
            Span.started_ms, Span.anomaly_id
        )
    )
    return list(rows)


def _facts(org: Org, incident: Incident, spans: Sequence[Span]) -> ReportedIncident:
    open_count = sum(span.is_open for span in spans)
    return ReportedIncident(
        IncidentFacts(
            id=incident.id,
            uuid=incident.uuid,
            kind=incident.kind,
            severity=max((span.severity for span in spans), key=SEVERITIES.index),
            began_ms=min(span.started_ms for span in spans),
            ended_ms=None
            if open_count
            else max(
                span.last_over_ms if span.ended_ms is None else span.ended_ms for span in spans
            ),
            anomaly_count=len(spans),
            open_count=open_count,
        ),
        facts_of_span(org, spans[0], spans[0].metric),
    )

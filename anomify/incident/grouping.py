"""Put new anomalies into incidents: the one that they belong to, or a new one."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from anomify.anomaly.model import Span
from anomify.anomaly.recording import is_more_severe
from anomify.db import session
from anomify.incident.model import RELATED, STORM, Incident, IncidentMember
from anomify.incident.queries import (
    COMPARED_MOST,
    count_anomalies_between,
    count_opened_since,
    joinable_incidents,
    members_to_compare,
    memberships_of,
    steps_of,
)
from anomify.incident.relation import (
    ALIKE_LEAST,
    CHANCE_MAX,
    CORRELATED_POINTS_MOST,
    CORRELATION_LEAST,
    NEAR_MS,
    TOGETHER_MS,
    AnomalyOnset,
    are_near,
    are_together,
    correlation,
    first_mover,
    likeness,
)
from anomify.metric.model import Metric
from anomify.series import Series

# More incidents of an org in this time are a storm: what begins then is one incident.
STORM_INCIDENTS: Final = 50
STORM_SECONDS: Final = 300
# An incident that closed so recently is opened again by a new anomaly of one of its metrics.
REOPEN_SECONDS: Final = 300
# The rate of an org's anomalies is measured over this time, without the present incident.
RATE_DAYS: Final = 7
RATE_WITHOUT: Final = timedelta(hours=1)
# So many pairs of series are compared in one transaction, which must stay short.
CORRELATED_PAIRS_MOST: Final = 8

# From the time in milliseconds from which the points of each metric are wanted to the points.
ReadSeries = Callable[[Mapping[int, int]], Mapping[int, Series]]


@dataclass(slots=True)
class _Candidate:
    """An incident that new anomalies can join, with some of its members to compare with."""

    incident: Incident
    onsets: list[AnomalyOnset]
    metric_ids: set[int] = field(default_factory=set)


def group(
    spans: Iterable[Span], at: datetime, read_series: ReadSeries | None = None
) -> list[Incident]:
    """Put each anomaly into an incident, where it is in none; return all their incidents.

    Call it in the transaction that records the anomalies. An anomaly joins the incident that has
    its metric, or else one whose anomalies are related to it: they began together, and seldom does
    one begin by chance; or they began shortly after each other, and their names are alike or their
    series move together. `read_series` reads the points for the last of these.
    """
    by_org: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        by_org[session().get_one(Metric, span.metric_id).org_id].append(span)
    grouped: dict[int, Incident] = {}
    for org_id, of_org in sorted(by_org.items()):
        for incident in _OrgGrouping(org_id, at, read_series).group(of_org):
            grouped[incident.id] = incident
    return list(grouped.values())


class _OrgGrouping:
    """Groups the new anomalies of one org."""

    def __init__(self, org_id: int, at: datetime, read_series: ReadSeries | None) -> None:
        self._org_id = org_id
        self._at = at
        self._read_series = read_series
        self._pairs_left = CORRELATED_PAIRS_MOST
        self._candidates: list[_Candidate] = []
        self._storm: _Candidate | None = None
        self._opened = 0
        self._steps: dict[int, int] = {}
        self._is_chance_rare = True

    def group(self, spans: Sequence[Span]) -> list[Incident]:
        members = memberships_of([span.anomaly_id for span in spans])
        touched: dict[int, Incident] = {}
        new = []
        for span in sorted(spans, key=lambda span: (span.started_ms, span.anomaly_id)):
            incident = members.get(span.anomaly_id)
            if incident is None:
                new.append(span)
            else:
                _raise_severity(incident, span)
                touched[incident.id] = incident
        if new:
            self._prepare(new)
            for span in new:
                incident = self._join(span)
                touched[incident.id] = incident
            session().flush()
        return list(touched.values())

    def _prepare(self, new: Sequence[Span]) -> None:
        self._opened = count_opened_since(self._org_id, self._at - timedelta(seconds=STORM_SECONDS))
        self._steps = steps_of([span.metric_id for span in new])
        metric_ids = {span.metric_id for span in new}
        incidents = joinable_incidents(
            self._org_id,
            metric_ids,
            changed_since=self._at - timedelta(milliseconds=2 * NEAR_MS),
            closed_since=self._at - timedelta(seconds=REOPEN_SECONDS),
        )
        onsets = members_to_compare([incident.id for incident in incidents], metric_ids)
        for incident in incidents:
            found = onsets.get(incident.id, [])
            candidate = _Candidate(incident, found, {onset.metric_id for onset in found})
            self._candidates.append(candidate)
            is_recent = self._at - incident.changed_at <= timedelta(seconds=STORM_SECONDS)
            if incident.kind == STORM and incident.is_open and is_recent:
                self._storm = candidate
        end = self._at - RATE_WITHOUT
        begun = count_anomalies_between(self._org_id, end - timedelta(days=RATE_DAYS), end)
        by_chance = begun * 2 * TOGETHER_MS / (RATE_DAYS * 86_400_000)
        self._is_chance_rare = by_chance <= CHANCE_MAX

    def _join(self, span: Span) -> Incident:
        onset = AnomalyOnset(
            span.anomaly_id,
            span.metric_id,
            session().get_one(Metric, span.metric_id).name,
            span.started_ms,
            self._steps.get(span.metric_id, 0),
        )
        candidate = self._candidate_of(onset)
        if candidate is None:
            return self._open(span, onset)
        incident = candidate.incident
        session().add(
            IncidentMember(anomaly_id=span.anomaly_id, incident_id=incident.id, joined_at=self._at)
        )
        incident.anomaly_count += 1
        incident.changed_at = self._at
        incident.began_ms = min(incident.began_ms, span.started_ms)
        incident.ended_ms = incident.closed_at = None
        incident.is_open = True
        _raise_severity(incident, span)
        candidate.metric_ids.add(onset.metric_id)
        if len(candidate.onsets) < COMPARED_MOST:
            candidate.onsets.append(onset)
        first = first_mover(candidate.onsets, {onset.anomaly_id: span.alert})
        if first.started_ms < _start_of(candidate, incident.first_anomaly_id):
            incident.first_anomaly_id = first.anomaly_id
        return incident

    def _candidate_of(self, onset: AnomalyOnset) -> _Candidate | None:
        same = [each for each in self._candidates if onset.metric_id in each.metric_ids]
        if same:
            return max(same, key=lambda each: each.incident.id)
        if self._storm is not None:
            return self._storm
        running = [each for each in self._candidates if each.incident.is_open]
        for candidate in running:
            if self._is_chance_rare and any(are_together(onset, it) for it in candidate.onsets):
                return candidate
        for candidate in running:
            if any(
                are_near(onset, it) and likeness(onset.name, it.name) >= ALIKE_LEAST
                for it in candidate.onsets
            ):
                return candidate
        return next((each for each in running if self._moves_with(onset, each)), None)

    def _moves_with(self, onset: AnomalyOnset, candidate: _Candidate) -> bool:
        """Return whether the series of an anomaly moves with the first one of an incident."""
        other = candidate.onsets[0] if candidate.onsets else None
        if (
            self._read_series is None
            or other is None
            or self._pairs_left <= 0
            or not are_near(onset, other)
        ):
            return False
        self._pairs_left -= 1
        step_ms = max(onset.step_ms, other.step_ms, 1)
        from_ms = min(onset.started_ms, other.started_ms) - CORRELATED_POINTS_MOST * step_ms
        series = self._read_series({onset.metric_id: from_ms, other.metric_id: from_ms})
        if onset.metric_id not in series or other.metric_id not in series:
            return False
        both = series[onset.metric_id], series[other.metric_id]
        return correlation(*both, step_ms) >= CORRELATION_LEAST

    def _open(self, span: Span, onset: AnomalyOnset) -> Incident:
        self._opened += 1
        is_storm = self._opened > STORM_INCIDENTS
        incident = Incident(
            uuid=str(uuid4()),
            org_id=self._org_id,
            kind=STORM if is_storm else RELATED,
            severity=span.severity,
            began_ms=span.started_ms,
            opened_at=self._at,
            changed_at=self._at,
            first_anomaly_id=span.anomaly_id,
            is_open=True,
            anomaly_count=1,
        )
        session().add(incident)
        session().flush()
        session().add(
            IncidentMember(anomaly_id=span.anomaly_id, incident_id=incident.id, joined_at=self._at)
        )
        candidate = _Candidate(incident, [onset], {onset.metric_id})
        self._candidates.append(candidate)
        if is_storm:
            self._storm = candidate
        return incident


def close_ended(incidents: Iterable[Incident], ended: Mapping[int, int], at: datetime) -> None:
    """Close the incidents of which no anomaly is open any more.

    `ended` has, for each incident without an open anomaly, the last point of its evidence.
    """
    for incident in incidents:
        if incident.is_open and incident.id in ended:
            incident.is_open = False
            incident.closed_at = at
            incident.ended_ms = max(ended[incident.id], incident.began_ms)


def _raise_severity(incident: Incident, span: Span) -> None:
    if is_more_severe(span.severity, incident.severity):
        incident.severity = span.severity


def _start_of(candidate: _Candidate, anomaly_id: int) -> int:
    known = [each.started_ms for each in candidate.onsets if each.anomaly_id == anomaly_id]
    return known[0] if known else candidate.incident.began_ms

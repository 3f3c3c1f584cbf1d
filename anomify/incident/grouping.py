"""Put new anomalies into incidents: the one that they belong to, or a new one."""

import math
from bisect import bisect_left, bisect_right
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
    count_joined_since,
    count_opened_between,
    count_opened_since,
    joinable_incidents,
    last_of_metrics,
    members_to_compare,
    memberships_of,
    names_of,
    steps_of,
)
from anomify.incident.relation import (
    ALIKE_LEAST,
    CHANCE_MAX,
    CORRELATED_POINTS_MOST,
    CORRELATION_LEAST,
    NEAR_MS,
    TOGETHER_MS,
    TOGETHER_STEPS,
    AnomalyOnset,
    are_near,
    are_together,
    correlation,
    likeness,
)
from anomify.series import Series

# More incidents of an org in this time are a storm: what begins then is one incident.
STORM_INCIDENTS: Final = 50
STORM_SECONDS: Final = 300
# An anomaly of a metric belongs to the incident of the one before it, if that ended so recently;
# and if it ended longer ago, but the incident goes on.
REOPEN_SECONDS: Final = 300
AGAIN_SECONDS: Final = 3600
# The rate of an org's incidents is measured over this time, without the present ones.
RATE_DAYS: Final = 7
RATE_WITHOUT: Final = timedelta(hours=1)
# So many anomalies that begin together are one event even where many begin by chance, if they are
# so many standard deviations more than would be expected.
BURST_LEAST: Final = 5
BURST_DEVIATIONS: Final = 4.0
# So many pairs of series are compared in one transaction, which must stay short.
CORRELATED_PAIRS_MOST: Final = 8

# From the time in milliseconds from which the points of each metric are wanted to the points.
ReadSeries = Callable[[Mapping[int, int]], Mapping[int, Series]]


@dataclass(slots=True)
class _Candidate:
    """An incident that new anomalies can join, with some of its members to compare with."""

    # None until it is written, for one that is opened now.
    incident: Incident | None
    onsets: list[AnomalyOnset]
    is_storm: bool = False
    joined: list[Span] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        return self.incident is None or self.incident.is_open

    def add(self, span: Span, onset: AnomalyOnset) -> None:
        self.joined.append(span)
        if len(self.onsets) < COMPARED_MOST:
            self.onsets.append(onset)


def group(
    spans: Iterable[Span], at: datetime, read_series: ReadSeries | None = None
) -> list[Incident]:
    """Put each anomaly into an incident, where it is in none; return all their incidents.

    Call it in the transaction that records the anomalies. An anomaly joins the incident that has
    its metric, or else one whose anomalies are related to it: they began together, and seldom does
    one begin by chance; or they began shortly after each other, and their names are alike or their
    series move together. `read_series` reads the points for the last of these.
    """
    listed = list(spans)
    names: dict[int, str] = {}
    org_of: dict[int, int] = {}
    for metric_id, org_id, name in names_of(span.metric_id for span in listed):
        names[metric_id], org_of[metric_id] = name, org_id
    by_org: dict[int, list[Span]] = defaultdict(list)
    for span in listed:
        by_org[org_of[span.metric_id]].append(span)
    grouped: dict[int, Incident] = {}
    for org_id, of_org in sorted(by_org.items()):
        for incident in _OrgGrouping(org_id, names, at, read_series).group(of_org):
            grouped[incident.id] = incident
    return list(grouped.values())


class _OrgGrouping:
    """Groups the new anomalies of one org."""

    def __init__(
        self, org_id: int, names: Mapping[int, str], at: datetime, read_series: ReadSeries | None
    ) -> None:
        self._org_id = org_id
        self._names = names
        self._at = at
        self._read_series = read_series
        self._pairs_left = CORRELATED_PAIRS_MOST
        self._candidates: list[_Candidate] = []
        self._by_metric: dict[int, _Candidate] = {}
        self._storm: _Candidate | None = None
        self._opened = 0
        self._steps: dict[int, int] = {}
        self._by_chance = 0.0
        self._begun: list[int] = []

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
                self._place(span)
            for incident in self._write():
                touched[incident.id] = incident
        return list(touched.values())

    def _prepare(self, new: Sequence[Span]) -> None:
        storm_since = self._at - timedelta(seconds=STORM_SECONDS)
        self._opened = count_opened_since(self._org_id, storm_since)
        self._steps = steps_of([span.metric_id for span in new])
        metric_ids = {span.metric_id for span in new}
        incidents = joinable_incidents(
            self._org_id,
            metric_ids,
            changed_since=self._at - timedelta(milliseconds=2 * NEAR_MS),
            closed_since=self._at - timedelta(seconds=REOPEN_SECONDS),
        )
        onsets = members_to_compare([incident.id for incident in incidents])
        by_incident: dict[int, _Candidate] = {}
        for incident in incidents:
            candidate = _Candidate(
                incident, onsets.get(incident.id, []), is_storm=incident.kind == STORM
            )
            self._candidates.append(candidate)
            by_incident[incident.id] = candidate
            # It is over when no more anomalies begin than in other times.
            if candidate.is_storm and (
                incident.opened_at > storm_since
                or count_joined_since(incident.id, storm_since) > STORM_INCIDENTS
            ):
                self._storm = candidate
        starts = {span.metric_id: span.started_ms for span in reversed(new)}
        for last in last_of_metrics(list(by_incident), metric_ids):
            candidate = by_incident[last.incident_id]
            gap_ms = starts[last.metric_id] - last.last_ms
            step_ms = self._steps.get(last.metric_id, 0)
            seconds = AGAIN_SECONDS if _is_again(candidate) else REOPEN_SECONDS
            if last.is_open or gap_ms <= max(seconds * 1000, TOGETHER_STEPS * step_ms):
                self._by_metric[last.metric_id] = candidate
        end = self._at - RATE_WITHOUT
        opened = count_opened_between(self._org_id, end - timedelta(days=RATE_DAYS), end)
        self._by_chance = opened * 2 * TOGETHER_MS / (RATE_DAYS * 86_400_000)
        self._begun = sorted(
            [span.started_ms for span in new]
            + [onset.started_ms for each in self._candidates for onset in each.onsets]
        )

    def _place(self, span: Span) -> None:
        """Decide which incident an anomaly joins."""
        onset = AnomalyOnset(
            span.anomaly_id,
            span.metric_id,
            self._names[span.metric_id],
            span.started_ms,
            self._steps.get(span.metric_id, 0),
        )
        candidate = self._candidate_of(onset)
        if candidate is None:
            candidate = _Candidate(None, [])
            self._candidates.append(candidate)
        candidate.add(span, onset)
        self._by_metric[span.metric_id] = candidate
        if self._storm is None:
            self._begin_storm()

    def _begin_storm(self) -> None:
        """Make one incident of all that are new, if they are too many."""
        new = [each for each in self._candidates if each.incident is None]
        if self._opened + len(new) <= STORM_INCIDENTS or not new:
            return
        storm = self._storm = _Candidate(None, [], is_storm=True)
        for candidate in new:
            storm.joined += candidate.joined
            storm.onsets += candidate.onsets
            self._candidates.remove(candidate)
        storm.onsets = storm.onsets[:COMPARED_MOST]
        self._candidates.append(storm)
        for span in storm.joined:
            self._by_metric[span.metric_id] = storm

    def _write(self) -> list[Incident]:
        """Write the incidents that anomalies have joined, and return them."""
        changed = []
        for candidate in self._candidates:
            if not candidate.joined:
                continue
            first = min(candidate.joined, key=lambda span: (span.started_ms, span.anomaly_id))
            incident = candidate.incident
            if incident is None:
                incident = Incident(
                    uuid=str(uuid4()),
                    org_id=self._org_id,
                    kind=STORM if candidate.is_storm else RELATED,
                    severity=first.severity,
                    began_ms=first.started_ms,
                    opened_at=self._at,
                    first_anomaly_id=first.anomaly_id,
                    anomaly_count=0,
                )
                session().add(incident)
                candidate.incident = incident
            incident.anomaly_count += len(candidate.joined)
            incident.changed_at = self._at
            incident.began_ms = min(incident.began_ms, first.started_ms)
            incident.ended_ms = incident.closed_at = None
            incident.is_open = True
            for span in candidate.joined:
                _raise_severity(incident, span)
            changed.append((incident, candidate.joined))
        session().flush()
        for incident, joined in changed:
            session().add_all(
                IncidentMember(
                    anomaly_id=span.anomaly_id, incident_id=incident.id, joined_at=self._at
                )
                for span in joined
            )
        session().flush()
        return [incident for incident, _ in changed]

    def _candidate_of(self, onset: AnomalyOnset) -> _Candidate | None:
        same = self._by_metric.get(onset.metric_id)
        if same is not None:
            return same
        if self._storm is not None:
            return self._storm
        running = [each for each in self._candidates if each.is_running]
        if self._is_no_chance(onset):
            for candidate in running:
                if any(are_together(onset, it) for it in candidate.onsets):
                    return candidate
        for candidate in running:
            if any(
                are_near(onset, it) and likeness(onset.name, it.name) >= ALIKE_LEAST
                for it in candidate.onsets
            ):
                return candidate
        return next((each for each in running if self._moves_with(onset, each)), None)

    def _is_no_chance(self, onset: AnomalyOnset) -> bool:
        """Return whether what began at the same time as this anomaly did hardly so by chance."""
        if self._by_chance <= CHANCE_MAX:
            return True
        together = bisect_right(self._begun, onset.started_ms + TOGETHER_MS) - bisect_left(
            self._begun, onset.started_ms - TOGETHER_MS
        )
        expected = self._by_chance + BURST_DEVIATIONS * math.sqrt(self._by_chance)
        return together >= max(BURST_LEAST, expected)

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


def _is_again(candidate: _Candidate) -> bool:
    """Return whether a metric that becomes unusual again while an incident goes on is part of it.

    It is no part of a storm, which holds thousands of metrics and may go on for days.
    """
    return candidate.is_running and not candidate.is_storm


def _raise_severity(incident: Incident, span: Span) -> None:
    if is_more_severe(span.severity, incident.severity):
        incident.severity = span.severity

"""What was true when a message was enqueued: the wording needs no other row."""

import math
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from anomify.anomaly.model import Span
from anomify.anomaly.recording import SEVERITIES
from anomify.anomaly.wording import (
    accepted_in_words,
    amount_in_words,
    explanation_of,
    seen_before_in_words,
)
from anomify.clock import datetime_from_ms, to_ms
from anomify.contact_point.model import ContactPoint
from anomify.delivery.dismissal import dismissals_of
from anomify.incident.model import Incident
from anomify.incident.queries import Member
from anomify.metric.model import Metric
from anomify.metric.settings import wanted_of
from anomify.org.model import Org
from anomify.pattern.queries import patterns_by_id
from anomify.pattern.wording import named
from anomify.triage.status import Status
from anomify.watcher.model import Watcher

OPENED: Final = "opened"
UPDATED: Final = "updated"
REMINDER: Final = "reminder"
RECOVERED: Final = "recovered"
FLAPPING: Final = "flapping"
MISSED: Final = "missed"
ACKNOWLEDGED: Final = "acknowledged"
TEST: Final = "test"
REPORT: Final = "report"
SILENCE_STARTED: Final = "silence.started"
SILENCE_ENDED: Final = "silence.ended"
# What reports that something goes on.
ONGOING: Final = frozenset({OPENED, UPDATED, REMINDER, FLAPPING, ACKNOWLEDGED})

# The most anomalies that one message names.
NAMED_MOST: Final = 10


class AnomalyFacts(msgspec.Struct, frozen=True):
    """The case and its evidence; a number that is not finite is absent."""

    id: int
    uuid: str
    metric_id: int
    metric_name: str
    severity: str
    score: float | None
    value: float | None
    expected_lower: float | None
    expected_upper: float | None
    explanation: str
    started_ms: int
    peak_ms: int
    last_over_ms: int
    ended_ms: int | None
    has_fallen_silent: bool
    # Messages that waited through an upgrade have none of these.
    is_silence: bool = False
    since_ms: int | None = None
    amount: str = ""
    seen_before: str = ""
    unit: str = ""
    # What is unusual at the peak, in one sentence; `explanation` adds the times.
    headline: str = ""
    # The pattern that explains it and what it is in words, where it was closed because of one.
    pattern_id: int | None = None
    pattern: str = ""
    # What it was like at first and how it differs now, where a pattern explained its beginning.
    outgrown: str = ""
    # What follows the metric's name where a new level was taken as normal.
    accepted: str = ""
    # What follows the metric's name where a person or a rule ended it, and not its value.
    dismissed: str = ""


class IncidentFacts(msgspec.Struct, frozen=True):
    """The incident, as far as the watcher watches it."""

    id: int
    uuid: str
    # related or storm.
    kind: str
    severity: str
    began_ms: int
    ended_ms: int | None
    # How many anomalies it has that the watcher watches, and how many of them go on.
    anomaly_count: int
    open_count: int
    # How many have joined since the last message.
    joined_count: int = 0
    # How many metrics its anomalies are of, and of how many of them no data comes; 0 in messages
    # that waited through an upgrade.
    metric_count: int = 0
    silent_count: int = 0

    @property
    def metrics(self) -> int:
        """Return how many metrics it is about."""
        return self.metric_count or self.anomaly_count

    @property
    def is_silence(self) -> bool:
        """Return whether nothing but missing data is unusual about it."""
        return self.silent_count == self.metrics


class MissedFacts(msgspec.Struct, frozen=True):
    """An incident that came and went while messages were held back."""

    metric_name: str
    anomaly_count: int
    began_ms: int
    ended_ms: int


class ReportedIncident(msgspec.Struct, frozen=True):
    """An incident in a summary, with the first of its anomalies that the watcher watches."""

    incident: IncidentFacts
    anomaly: AnomalyFacts


class ReportFacts(msgspec.Struct, frozen=True):
    """What a summary of a watcher covers; only anomalies that the watcher notifies of."""

    # day, week or month.
    period: str
    from_ms: int
    until_ms: int
    # How many began in that time, and to how many incidents they belong.
    anomaly_count: int
    incident_count: int
    # The most severe of these incidents, and those that go on, with how many there are.
    top: tuple[ReportedIncident, ...] = ()
    ongoing: tuple[ReportedIncident, ...] = ()
    ongoing_count: int = 0
    # How many anomalies were kept quiet in that time by a silence, a maintenance or a mute, and
    # the names of the first metrics.
    quiet_count: int = 0
    quiet_names: tuple[str, ...] = ()


class NoticeFacts(msgspec.Struct, frozen=True):
    """The words of a message that is about no incident, such as that of a silence."""

    subject: str
    headline: str
    sentence: str
    # Named texts, to be read in this order.
    lines: tuple[tuple[str, str], ...] = ()
    # A page of ours, such as /ui/silences, and what the link is called.
    path: str = ""
    link_words: str = ""
    # Why the recipient gets it, where no watcher is the reason: a sentence.
    because: str = ""
    # The same for programs, in the data of a webhook.
    data: dict[str, Any] = {}


class Facts(msgspec.Struct, frozen=True):
    """What one message reports: a change of an incident, a summary, a notice, or a test."""

    transition: str
    occurred_ms: int
    org_id: int
    org_name: str
    timezone: str
    # 0 where no watcher is the reason.
    watcher_id: int
    watcher_name: str
    # The one that came first; absent in a test and a notice.
    anomaly: AnomalyFacts | None
    incident: IncidentFacts | None = None
    # Further anomalies of the incident, the most important first.
    others: tuple[AnomalyFacts, ...] = ()
    org_uuid: str = ""
    # The same in all messages about the incident to this contact point.
    conversation: str = ""
    contact_point_id: int | None = None
    # Why it is told only now, and since when it was held back.
    held_why: str = ""
    held_since_ms: int | None = None
    # What came and went meanwhile, and how many more than these did.
    missed: tuple[MissedFacts, ...] = ()
    missed_count: int = 0
    # After how many minutes without an acknowledgement it is told to this contact point.
    escalated_after_minutes: int | None = None
    # The severity that the last message stated.
    told_severity: str = ""
    # How often it has begun in the last hour.
    openings: int = 0
    # What a summary covers.
    report: ReportFacts | None = None
    # Who has taken it over.
    acknowledged_by: str = ""
    # The words of a notice.
    notice: NoticeFacts | None = None

    @property
    def occurred_at(self) -> datetime:
        """Return when the reported transition happened."""
        return moment(self.occurred_ms)

    @property
    def is_ongoing(self) -> bool:
        """Return whether what it reports goes on."""
        return self.transition in ONGOING

    def as_row(self) -> dict[str, object]:
        """Return what is kept in the outbox."""
        row: dict[str, object] = msgspec.to_builtins(self)
        return row

    @classmethod
    def from_row(cls, row: dict[str, object]) -> "Facts":
        """Return the facts that were kept in the outbox."""
        return msgspec.convert(row, cls)


def facts_of_span(org: Org, span: Span, metric: Metric, dismissed: str = "") -> AnomalyFacts:
    """Write down what is true now about an anomaly."""
    return AnomalyFacts(
        id=span.anomaly_id,
        uuid=span.anomaly.uuid,
        metric_id=metric.id,
        metric_name=metric.name,
        severity=span.severity,
        score=_finite(span.score),
        value=_finite(span.value),
        expected_lower=_finite(span.expected_lower),
        expected_upper=_finite(span.expected_upper),
        explanation=explanation_of(span, org.timezone),
        headline=span.explanation,
        started_ms=span.started_ms,
        peak_ms=span.peak_ms,
        last_over_ms=span.last_over_ms,
        ended_ms=span.ended_ms,
        has_fallen_silent=span.ended_by_silence,
        is_silence=span.is_silence,
        since_ms=span.since_ms,
        amount=amount_in_words(span),
        seen_before=seen_before_in_words(span),
        unit=wanted_of(metric.id).unit,
        pattern_id=span.ended_by_pattern_id,
        pattern=_pattern_of(org, span),
        outgrown=span.outgrown_reason or "",
        accepted=accepted_in_words(span, org.timezone),
        dismissed=dismissed,
    )


def facts_of_incident(
    transition: str,
    at: datetime,
    org: Org,
    watcher: Watcher,
    contact_point: ContactPoint,
    incident: Incident,
    members: Sequence[Member],
    spans: Sequence[Span],
    *,
    joined_count: int = 0,
) -> Facts:
    """Write down what is true now about an incident; `members` are those that are watched.

    `spans` are those of them that are named, the one that most probably came first at the front.
    """
    dismissed = dismissals_of(org, spans, incident.closed_at or at)
    live = {member.anomaly_id for member in members if _goes_on(member)} - dismissed.keys()
    first, *others = _one_of_each_metric(spans, live)
    is_over = transition == RECOVERED
    began_ms = min(member.started_ms for member in members)
    ended_ms = max(member.last_ms for member in members)
    if is_over and any(member.is_open for member in members):
        # People ended it; its values go on.
        ended_ms = to_ms(at)
    occurred_ms = {OPENED: began_ms, RECOVERED: ended_ms}.get(transition, to_ms(at))
    silent = {member.metric_id for member in members if member.is_silence}
    unusual = {member.metric_id for member in members if not member.is_silence}
    return Facts(
        transition=transition,
        occurred_ms=occurred_ms,
        org_id=org.id,
        org_name=org.name,
        timezone=org.timezone,
        watcher_id=watcher.id,
        watcher_name=watcher.name,
        anomaly=facts_of_span(org, first, first.metric, dismissed.get(first.anomaly_id, "")),
        incident=IncidentFacts(
            id=incident.id,
            uuid=incident.uuid,
            kind=incident.kind,
            severity=max((member.severity for member in members), key=SEVERITIES.index),
            began_ms=began_ms,
            ended_ms=ended_ms if is_over or not live else None,
            anomaly_count=len(members),
            open_count=len(live),
            joined_count=joined_count,
            metric_count=len(silent | unusual),
            silent_count=len(silent - unusual),
        ),
        others=tuple(
            facts_of_span(org, span, span.metric, dismissed.get(span.anomaly_id, ""))
            for span in others[: NAMED_MOST - 1]
        ),
        org_uuid=org.uuid,
        conversation=f"{incident.uuid}/{watcher.id}/{contact_point.id}",
        contact_point_id=contact_point.id,
    )


def _one_of_each_metric(spans: Sequence[Span], live: Collection[int]) -> list[Span]:
    """Return one anomaly of each metric: of several one that goes on, or else the latest."""
    found: dict[int, Span] = {}
    for span in spans:
        known = found.get(span.metric_id)
        if known is None or _freshness(span, live) > _freshness(known, live):
            # A key keeps its place: the metric that came first stays at the front.
            found[span.metric_id] = span
    return list(found.values())


def _goes_on(member: Member) -> bool:
    return member.is_open and not Status(member.status).is_archived


def _freshness(span: Span, live: Collection[int]) -> tuple[bool, int]:
    return span.anomaly_id in live, span.started_ms


def facts_of_test(
    org: Org, watcher: Watcher, at: datetime, contact_point: ContactPoint | None = None
) -> Facts:
    """Return the facts of a test message, which shows whether messages arrive."""
    return Facts(
        transition=TEST,
        occurred_ms=to_ms(at),
        org_id=org.id,
        org_name=org.name,
        timezone=org.timezone,
        watcher_id=watcher.id,
        watcher_name=watcher.name,
        anomaly=None,
        org_uuid=org.uuid,
        contact_point_id=None if contact_point is None else contact_point.id,
    )


def facts_of_notice(
    transition: str,
    at: datetime,
    org: Org,
    contact_point: ContactPoint,
    notice: NoticeFacts,
    watcher: Watcher | None = None,
) -> Facts:
    """Return the facts of a message that is about no incident: a report, or that of a silence."""
    return Facts(
        transition=transition,
        occurred_ms=to_ms(at),
        org_id=org.id,
        org_name=org.name,
        timezone=org.timezone,
        watcher_id=0 if watcher is None else watcher.id,
        watcher_name="" if watcher is None else watcher.name,
        anomaly=None,
        org_uuid=org.uuid,
        contact_point_id=contact_point.id,
        notice=notice,
    )


def moment(time_ms: int) -> datetime:
    """Return a time of a point as an aware moment."""
    return datetime_from_ms(time_ms)


def _pattern_of(org: Org, span: Span) -> str:
    """Return in words which pattern explains an anomaly that was closed because of it."""
    if span.ended_by_pattern_id is None:
        return ""
    pattern = patterns_by_id(org.id, [span.ended_by_pattern_id]).get(span.ended_by_pattern_id)
    return "" if pattern is None else str(named(pattern, ZoneInfo(org.timezone)))


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None

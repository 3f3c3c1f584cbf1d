"""What was true when a message was enqueued: the wording needs no other row."""

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.wording import (
    accepted_in_words,
    amount_in_words,
    explanation_of,
    seen_before_in_words,
)
from anomify.clock import datetime_from_ms, to_ms
from anomify.metric.model import Metric
from anomify.metric.settings import wanted_of
from anomify.org.model import Org
from anomify.pattern.queries import patterns_by_id
from anomify.pattern.wording import named
from anomify.watcher.model import Watcher

OPENED = "opened"
RECOVERED = "recovered"
TEST = "test"


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


class Facts(msgspec.Struct, frozen=True):
    """What one message reports: a transition of an anomaly, or a test."""

    transition: str
    occurred_ms: int
    org_id: int
    org_name: str
    timezone: str
    watcher_id: int
    watcher_name: str
    # Absent in a test message.
    anomaly: AnomalyFacts | None

    @property
    def occurred_at(self) -> datetime:
        """Return when the reported transition happened."""
        return moment(self.occurred_ms)

    def as_row(self) -> dict[str, object]:
        """Return what is kept in the outbox."""
        row: dict[str, object] = msgspec.to_builtins(self)
        return row

    @classmethod
    def from_row(cls, row: dict[str, object]) -> "Facts":
        """Return the facts that were kept in the outbox."""
        return msgspec.convert(row, cls)


def facts_of_anomaly(
    transition: str, org: Org, watcher: Watcher, anomaly: Anomaly, span: Span, metric: Metric
) -> Facts:
    """Write down what is true now about an anomaly that opened or recovered."""
    ended_ms = span.ended_ms if span.ended_ms is not None else span.last_over_ms
    return Facts(
        transition=transition,
        occurred_ms=span.started_ms if transition == OPENED else ended_ms,
        org_id=org.id,
        org_name=org.name,
        timezone=org.timezone,
        watcher_id=watcher.id,
        watcher_name=watcher.name,
        anomaly=AnomalyFacts(
            id=anomaly.id,
            uuid=anomaly.uuid,
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
        ),
    )


def facts_of_test(org: Org, watcher: Watcher, at: datetime) -> Facts:
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

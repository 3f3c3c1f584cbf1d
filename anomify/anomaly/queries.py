"""Queries for anomalies; the org is the first argument."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, contains_eager
from sqlalchemy.orm.attributes import set_committed_value

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import SEVERITIES
from anomify.clock import datetime_from_ms, now_ms
from anomify.db import Page, among, session
from anomify.errors import NotFound
from anomify.metric.chip import holding
from anomify.metric.model import Metric, Progress

MOST_ANOMALIES = 500

# A link made from an alert names a moment to the second or minute; the span is found all the same.
LOOKUP_TOLERANCE_MS = 60_000


class Running(StrEnum):
    """Which anomalies a list is to hold."""

    ALL = "all"
    OPEN = "open"
    ENDED = "ended"
    # Those that people called expected, and those that a pattern explained while they ran.
    TRAINED = "trained"
    MATCHED = "matched"


class StaleMetric(NamedTuple):
    """A metric, the time of its newest point, and after how long without another it is stale."""

    metric_id: int
    last_ms: int
    stale_after_ms: int


def get_anomaly(org_id: int, anomaly_id: int) -> Anomaly:
    """Return the org's anomaly with its span and metric. Raises NotFound."""
    anomaly = session().scalar(
        _with_evidence().where(Anomaly.org_id == org_id, Anomaly.id == anomaly_id)
    )
    if anomaly is None:
        raise NotFound("There is no such anomaly in your org.")
    return anomaly


def get_anomaly_at(org_id: int, metric_id: int, time_ms: int) -> Anomaly:
    """Return the anomaly of a metric that was running at that moment. Raises NotFound."""
    anomaly = session().scalar(
        _with_evidence()
        .where(
            Anomaly.org_id == org_id,
            Span.metric_id == metric_id,
            Span.started_ms <= time_ms + LOOKUP_TOLERANCE_MS,
            or_(Span.is_open.is_(True), Span.last_over_ms >= time_ms - LOOKUP_TOLERANCE_MS),
        )
        # One that had begun comes before one that was about to begin.
        .order_by((Span.started_ms <= time_ms).desc(), Span.started_ms.desc())
        .limit(1)
    )
    if anomaly is None:
        raise NotFound("This metric had no anomaly at that moment.")
    return anomaly


def list_anomalies(
    org_id: int,
    *,
    metric_id: int | None = None,
    from_ms: int | None = None,
    until_ms: int | None = None,
    running: Running = Running.ALL,
    least_severity: str = SEVERITIES[0],
    words: Sequence[str] = (),
    least_score: float = 0.0,
    unexpected: bool | None = None,
    also: Sequence[ColumnElement[bool]] = (),
    oldest_first: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> Page[Anomaly]:
    """List anomalies that overlap the window, newest first, with span and metric loaded.

    `unexpected` selects those that people called unexpected, or only the others. `also` are more
    conditions on anomalies and their spans.

    An open anomaly overlaps every window that begins after it and not in the future.
    """
    named = holding(words)
    wanted: list[ColumnElement[bool]] = [Anomaly.org_id == org_id, *named, *also]
    if least_severity != SEVERITIES[0]:
        wanted.append(Span.severity.in_(SEVERITIES[SEVERITIES.index(least_severity) :]))
    if metric_id is not None:
        wanted.append(Span.metric_id == metric_id)
    # Both hold when it began. The anomaly's has the index for most of an org's anomalies, the
    # span's the one for few.
    is_broad = metric_id is None and running is not Running.OPEN
    began: InstrumentedAttribute[Any] = Anomaly.opened_at if is_broad else Span.started_ms
    if until_ms is not None:
        wanted.append(Anomaly.opened_at < moment(until_ms) if is_broad else began < until_ms)
    if from_ms is not None:
        has_lasted = Span.last_over_ms >= from_ms
        # An open one is known to last until now; a window in the future has none yet.
        wanted.append(has_lasted if from_ms > now_ms() else or_(Span.is_open.is_(True), has_lasted))
    wanted += _wanted_by(running)
    if unexpected is not None:
        is_unexpected = Anomaly.expected.is_(False)
        wanted.append(is_unexpected if unexpected else ~is_unexpected)
    if least_score > 0:
        wanted.append(Span.score >= least_score)
    order = (began, Anomaly.id) if oldest_first else (began.desc(), Anomaly.id.desc())
    rows = session().scalars(
        _with_evidence()
        .where(*wanted)
        .order_by(*order)
        .limit(min(limit, MOST_ANOMALIES))
        .offset(offset)
    )
    counted = select(func.count()).select_from(Anomaly).join(Span)
    if named:
        counted = counted.join(Metric)
    return Page(list(rows), counted.where(*wanted))


def list_began(
    org_id: int,
    from_ms: int,
    until_ms: int,
    *,
    words: Sequence[str] = (),
    least_severity: str = SEVERITIES[0],
    limit: int = MOST_ANOMALIES,
) -> list[Span]:
    """Return the spans that began in the window, newest first, with anomaly and metric loaded.

    What the thresholds of watchers have found is left out.
    """
    return _loaded(
        _with_evidence()
        .where(
            Anomaly.org_id == org_id,
            Anomaly.opened_at >= moment(from_ms),
            Anomaly.opened_at < moment(until_ms),
            Span.watcher_id == 0,
            Span.severity.in_(SEVERITIES[SEVERITIES.index(least_severity) :]),
            *holding(words),
        )
        .order_by(Anomaly.opened_at.desc(), Anomaly.id.desc())
        .limit(limit)
    )


def _wanted_by(running: Running) -> list[ColumnElement[bool]]:
    """Return the conditions of a list that holds these anomalies."""
    match running:
        case Running.ALL:
            return []
        case Running.TRAINED:
            return [Anomaly.expected.is_(True)]
        case Running.MATCHED:
            return [Span.ended_by_pattern_id.is_not(None)]
        case Running.OPEN | Running.ENDED:
            return [Span.is_open.is_(running is Running.OPEN)]


def count_anomalies(org_id: int, *, from_ms: int, until_ms: int) -> int:
    """Count the anomalies that began in the window."""
    return (
        session().scalar(
            select(func.count())
            .select_from(Anomaly)
            .where(
                Anomaly.org_id == org_id,
                Anomaly.opened_at >= moment(from_ms),
                Anomaly.opened_at < moment(until_ms),
            )
        )
        or 0
    )


def open_spans(metric_ids: Iterable[int]) -> list[Span]:
    """Return the open spans of these metrics of any org, with anomaly and metric loaded.

    What the thresholds of watchers have found is left out.
    """
    return _loaded(
        _with_evidence().where(
            Span.is_open.is_(True), Span.watcher_id == 0, among(Span.metric_id, metric_ids)
        )
    )


def open_threshold_spans(metric_ids: Iterable[int] | None = None) -> list[Span]:
    """Return the open spans that the thresholds of watchers have found, as `open_spans` does.

    Those of these metrics of any org, or all.
    """
    wanted = _with_evidence().where(Span.is_open.is_(True), Span.watcher_id != 0)
    if metric_ids is not None:
        wanted = wanted.where(among(Span.metric_id, metric_ids))
    return _loaded(wanted.order_by(Span.anomaly_id))


def list_metrics_over_thresholds(metric_ids: Iterable[int]) -> list[int]:
    """Return those of these metrics that have an open span of a watcher's threshold."""
    return list(
        session().scalars(
            select(Span.metric_id)
            .where(Span.is_open.is_(True), Span.watcher_id != 0, among(Span.metric_id, metric_ids))
            .distinct()
        )
    )


def list_open_spans() -> list[Span]:
    """Return the open spans of all orgs, with anomaly and metric loaded.

    Silences are left out, and what the thresholds of watchers have found.
    """
    return _loaded(
        _with_evidence().where(
            Span.is_open.is_(True), Span.is_silence.is_(False), Span.watcher_id == 0
        )
    )


def list_metrics_with_open_spans(metric_ids: Iterable[int]) -> list[int]:
    """Return those of these metrics, of any org, that have an open span, each once."""
    return list(
        session().scalars(
            select(Span.metric_id)
            .where(Span.is_open.is_(True), Span.watcher_id == 0, among(Span.metric_id, metric_ids))
            .distinct()
        )
    )


def open_spans_of_excluded() -> list[Span]:
    """Return the open spans of excluded metrics of any org, with anomaly and metric loaded."""
    return _loaded(_with_evidence().where(Span.is_open.is_(True), Metric.excluded_by.is_not(None)))


def list_stale_with_open_anomaly(at_ms: int) -> list[StaleMetric]:
    """Return the metrics of any org with an open anomaly whose newest point is stale at that time.

    No-data anomalies are left out: they stay open until a point comes.
    """
    rows = session().execute(
        select(Progress.metric_id, Progress.judged_until_ms, Progress.stale_after_ms)
        .join(Span, Span.metric_id == Progress.metric_id)
        .where(
            Span.is_open.is_(True),
            Span.is_silence.is_(False),
            Progress.judged_until_ms + Progress.stale_after_ms < at_ms,
        )
    )
    return [StaleMetric(*row) for row in rows]


def _loaded(wanted: Select[Anomaly]) -> list[Span]:
    spans = []
    for anomaly in session().scalars(wanted):
        # Each refers to the other, so that neither is garbage-collected while the span is used.
        set_committed_value(anomaly.span, "anomaly", anomaly)
        spans.append(anomaly.span)
    return spans


def _with_evidence() -> Select[Anomaly]:
    return (
        select(Anomaly)
        .join(Anomaly.span)
        .join(Span.metric)
        .options(contains_eager(Anomaly.span).contains_eager(Span.metric))
    )


def moment(time_ms: int) -> datetime:
    """Return unix milliseconds as a datetime in UTC."""
    return datetime_from_ms(time_ms)

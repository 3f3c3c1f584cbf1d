"""Rank metrics by the number or time of their anomalies, and summarise those of one metric."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Subquery, func, select

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.queries import moment
from anomify.anomaly.recording import SEVERITIES
from anomify.db import Page, session
from anomify.errors import Invalid
from anomify.metric.model import Metric

MOST_RANKED: Final = 500
# Stretches of a summary: no chart shows more.
MOST_STRETCHES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Ranked:
    """A metric with the number and the time of its anomalies."""

    metric: Metric
    # How many of its anomalies began in the window.
    anomalies: int
    # When the last of them began.
    last_ms: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """How many anomalies began in one stretch of time."""

    from_ms: int
    anomalies: int


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """The anomalies of one metric that began in a window."""

    total: int
    # Of those, how many are still open.
    running: int
    # Of those, how many people called expected, and how many unexpected.
    trained: int
    unexpected: int
    by_severity: dict[str, int]
    # None where there was none.
    mean_score: float | None
    first_ms: int | None
    last_ms: int | None
    # Every stretch of the window, also those without any, oldest first.
    stretches: list[Stretch]


@dataclass(frozen=True, slots=True)
class AnomalyCounts:
    """How many anomalies a metric has had."""

    total: int
    # Those that began since a given time.
    lately: int
    # Those that are open now.
    running: int


def tally(org_id: int, metric_id: int, *, since_ms: int) -> AnomalyCounts:
    """Count a metric's anomalies: all, those since a given time, and the open ones."""
    row = session().execute(
        select(
            func.count(),
            func.count().filter(Span.started_ms >= since_ms),
            func.count().filter(Span.is_open.is_(True)),
        )
        .select_from(Span)
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .where(Anomaly.org_id == org_id, Span.metric_id == metric_id)
    )
    return AnomalyCounts(*row.one())


def most_anomalous(
    org_id: int, *, from_ms: int, until_ms: int, limit: int = 10, offset: int = 0
) -> Page[Ranked]:
    """List the metrics with the most anomalies that began in the window, the most first."""
    counted = _counted(
        org_id, Anomaly.opened_at >= moment(from_ms), Anomaly.opened_at < moment(until_ms)
    )
    order = (counted.c.anomalies.desc(), counted.c.last_ms.desc())
    return _ranked(org_id, counted, order, limit, offset)


def most_recently_anomalous(org_id: int, *, limit: int = 10, offset: int = 0) -> Page[Ranked]:
    """List the metrics by when their last anomaly began, the latest first."""
    counted = _counted(org_id)
    return _ranked(org_id, counted, (counted.c.last_ms.desc(),), limit, offset)


def summarise(
    org_id: int, metric_id: int, *, from_ms: int, until_ms: int, stretch_ms: int
) -> MetricSummary:
    """Summarise a metric's anomalies; stretches begin at multiples of their length since 1970.

    Raises Invalid where the window has more than 1,000 of them.
    """
    stretches = range(from_ms - from_ms % stretch_ms, until_ms, stretch_ms)
    if len(stretches) > MOST_STRETCHES:
        raise Invalid(
            f"A summary has at most {MOST_STRETCHES:,} stretches: ask for longer ones.",
            fields={"bucket": "too short for this window"},
        )
    groups = _groups(org_id, metric_id, from_ms, until_ms, stretch_ms)
    total = sum(group.count for group in groups)
    counts, severities = Counter[int](), Counter[str]()
    for group in groups:
        counts[group.stretch_ms] += group.count
        severities[group.severity] += group.count
    return MetricSummary(
        total=total,
        running=sum(group.count for group in groups if group.is_open),
        trained=sum(group.count for group in groups if group.expected is True),
        unexpected=sum(group.count for group in groups if group.expected is False),
        by_severity={severity: severities[severity] for severity in SEVERITIES},
        mean_score=sum(group.scores for group in groups) / total if total else None,
        first_ms=min((group.first_ms for group in groups), default=None),
        last_ms=max((group.last_ms for group in groups), default=None),
        stretches=[Stretch(start_ms, counts[start_ms]) for start_ms in stretches],
    )


@dataclass(frozen=True, slots=True)
class _Group:
    stretch_ms: int
    severity: str
    is_open: bool
    expected: bool | None
    count: int
    scores: float
    first_ms: int
    last_ms: int


def _groups(
    org_id: int, metric_id: int, from_ms: int, until_ms: int, stretch_ms: int
) -> list[_Group]:
    stretch = (Span.started_ms - Span.started_ms % stretch_ms).label("stretch")
    rows = session().execute(
        select(
            stretch,
            Span.severity,
            Span.is_open,
            Anomaly.expected,
            func.count(),
            func.sum(Span.score),
            func.min(Span.started_ms),
            func.max(Span.started_ms),
        )
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .where(
            Anomaly.org_id == org_id,
            Span.metric_id == metric_id,
            Span.started_ms >= from_ms,
            Span.started_ms < until_ms,
        )
        .group_by(stretch, Span.severity, Span.is_open, Anomaly.expected)
    )
    return [_Group(*row) for row in rows]


def _counted(org_id: int, *wanted: ColumnElement[bool]) -> Subquery:
    return (
        select(
            Span.metric_id,
            func.count().label("anomalies"),
            func.max(Span.started_ms).label("last_ms"),
        )
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .where(Anomaly.org_id == org_id, *wanted)
        .group_by(Span.metric_id)
        .subquery()
    )


def _ranked(
    org_id: int,
    counted: Subquery,
    order: Sequence[ColumnElement[int]],
    limit: int,
    offset: int,
) -> Page[Ranked]:
    rows = session().execute(
        select(Metric, counted.c.anomalies, counted.c.last_ms)
        .join(counted, counted.c.metric_id == Metric.id)
        .where(Metric.org_id == org_id)
        .order_by(*order, Metric.id)
        .limit(min(limit, MOST_RANKED))
        .offset(offset)
    )
    total = session().scalar(select(func.count()).select_from(counted)) or 0
    return Page([Ranked(metric, count, last_ms) for metric, count, last_ms in rows], total)

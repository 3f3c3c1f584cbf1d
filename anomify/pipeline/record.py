"""Record the verdicts on one metric: open, extend and close its anomaly."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from anomify.anomaly.model import Span
from anomify.anomaly.recording import (
    close_anomaly,
    extend_anomaly,
    is_farther_outside,
    open_anomaly,
)
from anomify.metric.queries import metric_of_any_org
from anomify.pipeline.candidates import PointVerdict


@dataclass(frozen=True, slots=True)
class Opened:
    """An anomaly was opened, or an earlier one reopened."""

    span: Span


@dataclass(frozen=True, slots=True)
class Extended:
    """An open anomaly continues; `last_over_ms` is its last point over the threshold before."""

    span: Span
    has_risen: bool
    last_over_ms: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An anomaly was closed."""

    span: Span


Change = Opened | Extended | Closed


def record(
    point_verdicts: Iterable[PointVerdict], metric_id: int, span: Span | None, closing_ms: int
) -> Iterator[Change]:
    """Record the verdicts on one metric in order of time; yield each change once it is recorded.

    `span` is the metric's open anomaly, if it has one. An anomaly closes when the metric has been
    normal for more than `closing_ms`. The next verdict is recorded when the next change is asked
    for, so a change can be announced in the state in which the anomaly was then.
    """
    for verdict in point_verdicts:
        if span is not None and verdict.time_ms - span.last_over_ms > closing_ms:
            close_anomaly(span)
            yield Closed(span)
            span = None
        if span is not None and _extends(span, verdict):
            last_over_ms = span.last_over_ms
            has_risen = extend_anomaly(span, verdict.observation())
            yield Extended(span, has_risen, last_over_ms)
        elif span is None and verdict.opens:
            span = open_anomaly(metric_of_any_org(metric_id), verdict.observation(), closing_ms)
            yield Opened(span)


def _extends(span: Span, verdict: PointVerdict) -> bool:
    """Return whether an open anomaly continues at this point."""
    return verdict.extends or (
        verdict.is_outside and is_farther_outside(span, verdict.observation())
    )

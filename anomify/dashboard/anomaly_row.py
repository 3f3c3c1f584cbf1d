"""An anomaly for a page: its numbers and times as text, its sparkline, and links."""

from dataclasses import dataclass
from typing import Final

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.wording import (
    amount_in_words,
    explanation_of,
    seen_before_in_words,
    since_ms_of,
)
from anomify.auth.subject import user_subject
from anomify.clock import now_ms
from anomify.dashboard.layout import local_moment
from anomify.dashboard.page_blueprint import address
from anomify.dashboard.sparkline import Sparkline, SparkPoint, sparkline
from anomify.dashboard.wording import Moment, value_and_expected, within_sentence
from anomify.metric.model import Progress
from anomify.metric.reading import rate_of
from anomify.metric.status import duration_in_words
from anomify.metric.store import PointStore
from anomify.metric.young import was_young

# The window begins so many steps of the metric before the anomaly, or three times its length.
CONTEXT_STEPS: Final = 90
CONTEXT_LENGTHS: Final = 3
CONTEXT_LEAST_MS: Final = 900_000
# It ends a third of that after the anomaly.
AFTER_SHARE: Final = 3
UNKNOWN_STEP_MS: Final = 60_000
# The sparkline of an anomaly that lasts for weeks is limited to this many points.
POINTS_MAX: Final = 4_000


@dataclass(frozen=True, slots=True)
class AnomalyRow:
    """One anomaly, formatted for a page."""

    id: int
    metric: str
    severity: str
    is_open: bool
    is_silence: bool
    # No message was sent, because the org was muted.
    is_muted: bool
    started: Moment
    lasted: str
    value: str
    expected: str
    score: str
    explanation: str
    amount: str
    since: Moment
    seen_before: str
    # It was found while the metric was new, and until when the metric still is.
    was_new: bool
    new_until: Moment | None
    # expected or unexpected, as a person called it, or matched, where a pattern explained it.
    verdict: str
    label: str
    # The metric's page with the window around the anomaly.
    url: str


def anomaly_row_of(anomaly: Anomaly, progress: Progress | None) -> AnomalyRow:
    """Return the row of an anomaly whose span and metric are loaded."""
    span = anomaly.span
    from_ms, until_ms = window_around(span, progress.resolution_ms if progress else None)
    url = address(
        "/ui/metric",
        name=span.metric.name,
        **{"from": from_ms // 1000, "until": -(-until_ms // 1000)},
        event=anomaly.id,
    )
    value, expected = value_and_expected(span.value, span.expected_lower, span.expected_upper)
    return AnomalyRow(
        id=anomaly.id,
        metric=span.metric.name,
        severity=span.severity,
        is_open=span.is_open,
        is_silence=span.is_silence,
        is_muted=anomaly.muted_at is not None,
        started=local_moment(span.started_ms),
        lasted=_lasted(span),
        value=value,
        expected=expected,
        score=f"{span.score:.2f}",
        explanation=explanation_of(span, user_subject().org.timezone),
        amount=amount_in_words(span),
        since=local_moment(since_ms_of(span)),
        seen_before=seen_before_in_words(span),
        was_new=not span.is_silence and was_young(span.metric, progress, span.started_ms),
        new_until=_new_until(span, progress),
        verdict=_verdict(anomaly),
        label=anomaly.label or "",
        url=url,
    )


def metric_page_url(anomaly: Anomaly) -> str:
    """Return the address of the page of its metric that shows an anomaly."""
    return address("/ui/metric", name=anomaly.span.metric.name, event=anomaly.id)


def window_around(span: Span, step_ms: int | None) -> tuple[int, int]:
    """Return the window in which an anomaly is shown, unix milliseconds."""
    step = step_ms or UNKNOWN_STEP_MS
    present = now_ms()
    last = present if span.is_open else span.last_over_ms
    length = max(last - span.started_ms, 0)
    before = max(CONTEXT_STEPS * step, CONTEXT_LENGTHS * length, CONTEXT_LEAST_MS)
    # The time of a new point may be a little ahead of our clock.
    until = max(min(last + before // AFTER_SHARE, present), span.last_over_ms + step)
    return max(span.started_ms - before, 0), until


def sparkline_of_anomaly(span: Span, progress: Progress | None, points: PointStore) -> Sparkline:
    """Return the sparkline of the metric around an anomaly; a counter is shown as its rate."""
    step = progress.resolution_ms if progress else None
    from_ms, until_ms = window_around(span, step)
    least_from = span.started_ms - POINTS_MAX // 2 * (step or UNKNOWN_STEP_MS)
    from_ms = max(from_ms, least_from)
    until_ms = min(until_ms, from_ms + POINTS_MAX * (step or UNKNOWN_STEP_MS))
    series = points.read(span.metric_id, from_ms, until_ms)
    if progress and progress.is_counter:
        series = rate_of(series)
    known = series.judgements
    shown = [
        SparkPoint(time, value, lower, upper)
        for time, value, lower, upper in zip(
            series.times.tolist(),
            series.values.tolist(),
            known.lowers.tolist(),
            known.uppers.tolist(),
            strict=True,
        )
    ]
    last = until_ms if span.is_open else span.last_over_ms
    return sparkline(shown, (from_ms, until_ms), (span.started_ms, last))


def _new_until(span: Span, progress: Progress | None) -> Moment | None:
    if progress is None or not was_young(span.metric, progress, now_ms()):
        return None
    return within_sentence(local_moment(progress.young_until_ms))


def _verdict(anomaly: Anomaly) -> str:
    if anomaly.expected is not None:
        return "expected" if anomaly.expected else "unexpected"
    return "matched" if anomaly.span.ended_by_pattern_id is not None else ""


def _lasted(span: Span) -> str:
    last = now_ms() if span.is_open else span.last_over_ms
    if last <= span.started_ms:
        return "one point"
    return duration_in_words(last - span.started_ms)

"""An anomaly as pages show it: in words, with its small picture and the way to its metric."""

from dataclasses import dataclass
from typing import Final

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.wording import amount_in_words, seen_before_in_words
from anomify.clock import now_ms
from anomify.dashboard.layout import said
from anomify.dashboard.page_blueprint import address
from anomify.dashboard.sparkline import Sparkline, Spot, sparkline
from anomify.dashboard.wording import Moment, expected, number
from anomify.metric.model import Progress
from anomify.metric.reading import rate_of
from anomify.metric.status import in_words
from anomify.metric.store import PointStore

# Of its metric, an anomaly is shown with so many steps before it, or three times its own length.
CONTEXT_STEPS: Final = 90
CONTEXT_LENGTHS: Final = 3
CONTEXT_LEAST_MS: Final = 900_000
# And with a third of that after it.
AFTER_SHARE: Final = 3
UNKNOWN_STEP_MS: Final = 60_000
# An anomaly that runs for weeks is drawn from its beginning, not in full.
MOST_SPOTS: Final = 4_000


@dataclass(frozen=True, slots=True)
class AnomalyRow:
    """One anomaly, ready for a page."""

    id: int
    metric: str
    severity: str
    is_open: bool
    is_silence: bool
    # Nobody was told, for the org was muted.
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
    # The metric's page around it, and the same window without saying so.
    url: str
    around_url: str


def anomaly_row_of(anomaly: Anomaly, step_ms: int | None) -> AnomalyRow:
    """Describe an anomaly whose span and metric are loaded."""
    span = anomaly.span
    from_ms, until_ms = window_around(span, step_ms)
    around = address(
        "/ui/metric",
        name=span.metric.name,
        **{"from": from_ms // 1000, "until": -(-until_ms // 1000)},
        event=anomaly.id,
    )
    return AnomalyRow(
        id=anomaly.id,
        metric=span.metric.name,
        severity=span.severity,
        is_open=span.is_open,
        is_silence=span.is_silence,
        is_muted=anomaly.muted_at is not None,
        started=said(span.started_ms),
        lasted=_lasted(span),
        value=number(span.value),
        expected=expected(span.expected_lower, span.expected_upper),
        score=f"{span.score:.2f}",
        explanation=span.explanation,
        amount=amount_in_words(span),
        since=said(span.started_ms if span.since_ms is None else span.since_ms),
        seen_before=seen_before_in_words(span),
        url=around,
        around_url=around,
    )


def window_around(span: Span, step_ms: int | None) -> tuple[int, int]:
    """Return the window in which an anomaly is shown, unix milliseconds."""
    step = step_ms or UNKNOWN_STEP_MS
    present = now_ms()
    last = present if span.is_open else span.last_over_ms
    length = max(last - span.started_ms, 0)
    before = max(CONTEXT_STEPS * step, CONTEXT_LENGTHS * length, CONTEXT_LEAST_MS)
    # What has just been found may be dated a little ahead of our clock.
    until = max(min(last + before // AFTER_SHARE, present), span.last_over_ms + step)
    return max(span.started_ms - before, 0), until


def small_picture(span: Span, progress: Progress | None, points: PointStore) -> Sparkline:
    """Draw the metric around an anomaly; a counter as what is judged of it, its rate."""
    step = progress.resolution_ms if progress else None
    from_ms, until_ms = window_around(span, step)
    least_from = span.started_ms - MOST_SPOTS // 2 * (step or UNKNOWN_STEP_MS)
    from_ms = max(from_ms, least_from)
    until_ms = min(until_ms, from_ms + MOST_SPOTS * (step or UNKNOWN_STEP_MS))
    series = points.read(span.metric_id, from_ms, until_ms)
    if progress and progress.is_counter:
        series = rate_of(series)
    known = series.judgements
    spots = [
        Spot(time, value, lower if lower == lower else None, upper if upper == upper else None)  # noqa: PLR0124 -- NaN is the one number that is not itself
        for time, value, lower, upper in zip(
            series.times.tolist(),
            series.values.tolist(),
            known.lowers.tolist(),
            known.uppers.tolist(),
            strict=True,
        )
    ]
    last = until_ms if span.is_open else span.last_over_ms
    return sparkline(spots, (from_ms, until_ms), (span.started_ms, last))


def _lasted(span: Span) -> str:
    last = now_ms() if span.is_open else span.last_over_ms
    if last <= span.started_ms:
        return "one point"
    return in_words(last - span.started_ms)

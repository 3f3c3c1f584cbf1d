"""Build the chart of a metric's window or of an anomaly, and the signed link to its picture."""

from collections.abc import Mapping
from typing import Final

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.queries import list_anomalies
from anomify.clock import datetime_from_timestamp, now, now_ms, to_ms, to_timestamp
from anomify.config import Settings
from anomify.errors import Invalid
from anomify.metric.chart_events import events_on
from anomify.metric.forecast import expected_ahead
from anomify.metric.model import Metric
from anomify.metric.queries import get_metric_status
from anomify.metric.reading import MOST_RAW, rate_of
from anomify.metric.settings import wanted_of
from anomify.metric.status import MetricStatus
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.org.signed_link import DEFAULT_LIFETIME, KEY_PURPOSE, signed_link
from anomify.rendering.chart import Chart, ChartEvent, ChartLook, ForecastRange, Mark

# Where the pictures are served; the signature covers this path and its parameters.
ANOMALY_PATH: Final = "/image/anomaly"
METRIC_PATH: Final = "/image/metric"
# Steps of the metric that are shown before an anomaly; a quarter of that is shown after it.
CONTEXT_STEPS: Final = 360
CONTEXT_LEAST_MS: Final = 3_600_000
# A long anomaly is shown with three times its own length before it.
CONTEXT_LENGTHS: Final = 3
AFTER_SHARE: Final = 4
UNKNOWN_STEP_MS: Final = 60_000
# Points beside the window, so that a line reaches its edges and a first rate has a predecessor.
MARGIN_STEPS: Final = 3
MINUTE_MS: Final = 60_000
HOUR_SECONDS: Final = 3_600


def chart_of_metric(
    org: Org,
    status: MetricStatus,
    points: PointStore,
    *,
    from_ms: int,
    until_ms: int,
    look: ChartLook,
    matches: tuple[Mark, ...] = (),
) -> Chart:
    """Return the chart of a metric's window: values, range, anomalies, events and `matches`.

    A counter is shown as its rate per second, which is what is judged. Raises `Invalid` for a
    window of more than 200,000 points; where the metric's step is known, before they are read.
    """
    step = step_of(status)
    if (until_ms - from_ms) // (step or UNKNOWN_STEP_MS * 60) > MOST_RAW:
        raise _too_long()
    margin = MARGIN_STEPS * (step or UNKNOWN_STEP_MS)
    metric = status.metric
    first_ms, end_ms = max(from_ms - margin, 0), until_ms + margin
    series = points.read(metric.id, first_ms, end_ms, most_points=MOST_RAW)
    if len(series) > MOST_RAW:
        raise _too_long()
    is_counter = status.progress is not None and status.progress.is_counter
    shown = rate_of(series) if is_counter else series
    found = list_anomalies(
        org.id, metric_id=metric.id, from_ms=from_ms, until_ms=until_ms, limit=500
    )
    return Chart(
        title=metric.name,
        unit=unit_of(metric, is_counter=is_counter),
        times=shown.times,
        values=shown.values,
        lowers=shown.judgements.lowers,
        uppers=shown.judgements.uppers,
        forecast=_ahead(status, until_ms),
        from_time=from_ms,
        until_time=until_ms,
        anomalies=tuple(_mark(anomaly.span) for anomaly in found.items),
        matches=matches,
        events=tuple(
            ChartEvent(to_ms(event.occurred_at), event.text)
            for event in (events_on(metric, from_ms, until_ms) if look.display_events else ())
        ),
        step=step,
        timezone=org.timezone,
        look=look,
    )


def chart_of_anomaly(org: Org, anomaly: Anomaly, points: PointStore, *, look: ChartLook) -> Chart:
    """Return the chart of an anomaly with its metric's past before it and some time after it.

    The anomaly's span and metric have to be loaded. Once the time after a closed anomaly is over,
    its chart always shows the same window.
    """
    status = get_metric_status(org.id, anomaly.span.metric.name, now())
    from_ms, until_ms = window_around(anomaly.span, step_of(status), now_ms())
    return chart_of_metric(org, status, points, from_ms=from_ms, until_ms=until_ms, look=look)


def window_around(span: Span, step_ms: int | None, at_ms: int) -> tuple[int, int]:
    """Return the window in which an anomaly is shown at that moment, unix milliseconds."""
    return window_of(span.started_ms, span.last_over_ms, step_ms, at_ms)


def window_of(
    started_ms: int, last_over_ms: int, step_ms: int | None, at_ms: int
) -> tuple[int, int]:
    """Return the window in which this stretch of a metric is shown at that moment."""
    step = step_ms or UNKNOWN_STEP_MS
    length = last_over_ms - started_ms
    before = max(CONTEXT_STEPS * step, CONTEXT_LENGTHS * length, CONTEXT_LEAST_MS)
    # The window is limited to what can be drawn.
    before = min(before, MOST_RAW * step // 2)
    after = max(before // AFTER_SHARE, MINUTE_MS)
    # Rounded to the minute, so that repeated requests for a picture can be cached.
    present = at_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
    until_ms = max(last_over_ms + MINUTE_MS, min(present, last_over_ms + after))
    from_ms = max(started_ms - before, until_ms - MOST_RAW * step, 0)
    return from_ms, until_ms


def is_settled(chart: Chart) -> bool:
    """Return whether the chart's window is over and no anomaly or match in it is still open."""
    is_over = chart.until_time < now_ms() - HOUR_SECONDS * 1000
    marks = (*chart.anomalies, *chart.matches)
    return is_over and all(mark.last_time is not None for mark in marks)


def anomaly_image_url(settings: Settings, org: Org, anomaly: Anomaly) -> str:
    """Return a signed address of the anomaly's picture, which needs no sign-in."""
    return signed_address(settings, org, ANOMALY_PATH, {"anomaly_id": str(anomaly.id)})


def metric_image_url(
    settings: Settings, org: Org, metric: Metric, from_ms: int, until_ms: int
) -> str:
    """Return a signed address of the picture of a metric's window, which needs no sign-in."""
    window = {"from": str(from_ms // 1000), "until": str(-(-until_ms // 1000))}
    return signed_address(settings, org, METRIC_PATH, {"metric": metric.name, **window})


def signed_address(settings: Settings, org: Org, path: str, parameters: Mapping[str, str]) -> str:
    """Return the signed address of a picture of an org, which needs no sign-in and expires."""
    ends = to_timestamp(now() + DEFAULT_LIFETIME)
    # Rounded to the hour: a browser caches an address that stays the same.
    expires_at = datetime_from_timestamp(ends // HOUR_SECONDS * HOUR_SECONDS)
    link = signed_link(settings.key_for(KEY_PURPOSE), org.uuid, path, parameters, expires_at)
    return f"{settings.base_url}{link}"


def step_of(status: MetricStatus) -> int | None:
    """Return the metric's usual time from point to point in milliseconds; None if unknown."""
    progress = status.progress
    return progress.resolution_ms if progress and progress.resolution_ms > 0 else None


def unit_of(metric: Metric, *, is_counter: bool) -> str:
    """Return the unit of what is judged of a metric; empty where nobody has set one."""
    unit = wanted_of(metric.id).unit
    return f"{unit} per second".strip() if is_counter else unit


def _ahead(status: MetricStatus, until_ms: int) -> ForecastRange:
    found = expected_ahead(status, 0, until_ms, now_ms())
    return ForecastRange(found.times, found.lowers, found.uppers)


def _mark(span: Span) -> Mark:
    return Mark(span.started_ms, None if span.is_open else span.last_over_ms, span.score)


def _too_long() -> Invalid:
    return Invalid(
        f"A picture shows at most {MOST_RAW:,} points; ask for a shorter window.",
        fields={"from": "later, or until earlier"},
    )

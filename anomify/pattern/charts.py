"""Build the chart of a pattern from the points that it keeps, and the signed link to it."""

import math
from typing import Final

from anomify.anomaly.charts import signed_address, unit_of
from anomify.clock import now
from anomify.config import Settings
from anomify.metric.queries import get_metric_status
from anomify.org.model import Org
from anomify.pattern.figures import PatternSide, direction_of
from anomify.pattern.model import Pattern
from anomify.pattern.queries import get_series, read_window
from anomify.rendering.chart import Chart, ChartLook, Mark

# As links to pictures have them in Anomify. They are the defaults, and show what can be chosen.
_SHOWN: Final = {
    "display_x_axis": "below",
    "display_y_axis": "right",
    "display_legend": "true",
    "display_anomalies": "true",
    "display_matches": "true",
}


def chart_of_pattern(
    org: Org, pattern: Pattern, *, from_ms: int | None, until_ms: int | None, look: ChartLook
) -> Chart:
    """Return the chart of the window that a pattern keeps, or of a part of it.

    The excursion is shaded, green or, for one that was called unexpected, as an anomaly. The
    pattern's metric has to be loaded. Raises `Invalid` for a part that ends before it begins.
    """
    window = read_window(pattern)
    status = get_metric_status(org.id, pattern.metric.name, now())
    is_counter = status.progress is not None and status.progress.is_counter
    mark = (Mark(pattern.started_ms, pattern.last_ms),)
    first_ms, last_ms = window_of_pattern(pattern)
    return Chart(
        title=pattern.metric.name,
        unit=unit_of(pattern.metric, is_counter=is_counter),
        times=window.times,
        values=window.values,
        lowers=window.judgements.lowers,
        uppers=window.judgements.uppers,
        from_time=first_ms if from_ms is None else from_ms,
        until_time=last_ms if until_ms is None else until_ms,
        anomalies=mark if pattern.positive else (),
        matches=() if pattern.positive else mark,
        match_label="Expected",
        step=get_series(pattern).window_step_ms,
        timezone=org.timezone,
        look=look,
    )


def window_of_pattern(pattern: Pattern) -> tuple[int, int]:
    """Return the window that a pattern keeps, unix milliseconds; it ends after the excursion."""
    window = read_window(pattern)
    if not len(window):
        return pattern.started_ms, pattern.last_ms + pattern.step_ms
    return int(window.times[0]), int(window.times[-1]) + pattern.step_ms


def level_difference(pattern: Pattern, lower: float, upper: float) -> float:
    """Return by how much this expected range is above that of a pattern, 0 where one has no end.

    Of a pattern that goes up the upper ends are compared, of one that goes down the lower ends, and
    of one that stays inside the middles.
    """
    match direction_of(pattern):
        case PatternSide.UP:
            difference = upper - pattern.expected_upper
        case PatternSide.DOWN:
            difference = lower - pattern.expected_lower
        case PatternSide.INSIDE:
            difference = (lower + upper - pattern.expected_lower - pattern.expected_upper) / 2
    return difference if math.isfinite(difference) else 0.0


def pattern_image_url(settings: Settings, org: Org, pattern: Pattern) -> str:
    """Return a signed address of the picture of a pattern, which needs no sign-in."""
    until_ms = pattern.last_ms + pattern.step_ms
    window = {
        "from": str(until_ms // 1000 - pattern.duration_seconds),
        "until": str(-(-until_ms // 1000)),
    }
    return signed_address(settings, org, f"/pattern/{pattern.id}/graph", window | _SHOWN)

"""Build the chart of a pattern from the points that it keeps, and the signed link to it."""

from dataclasses import replace
from typing import Final

from anomify.anomaly.charts import signed_address, unit_of
from anomify.clock import now
from anomify.config import Settings
from anomify.metric.queries import get_metric_status
from anomify.org.model import Org
from anomify.pattern.model import Pattern
from anomify.pattern.queries import get_series, read_window
from anomify.rendering.chart import Chart, ChartLook, Mark

# After the excursion this share of the window's length is shown, too.
AFTER_SHARE: Final = 12
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
    first_ms, end_ms = window_of_pattern(pattern)
    return Chart(
        title=pattern.metric.name,
        unit=unit_of(pattern.metric, is_counter=is_counter),
        times=window.times,
        values=window.values,
        lowers=window.judgements.lowers,
        uppers=window.judgements.uppers,
        from_time=first_ms if from_ms is None else from_ms,
        until_time=end_ms if until_ms is None else until_ms,
        anomalies=mark if pattern.positive else (),
        matches=() if pattern.positive else mark,
        match_label="Expected",
        step=get_series(pattern).window_step_ms,
        timezone=org.timezone,
        look=replace(look, display_anomalies=look.display_anomalies and pattern.positive),
    )


def window_of_pattern(pattern: Pattern) -> tuple[int, int]:
    """Return the window in which a pattern is shown: what it keeps, and some time afterwards."""
    length_ms = pattern.duration_seconds * 1000
    end_ms = pattern.last_ms + pattern.step_ms + length_ms // AFTER_SHARE
    return pattern.started_ms - length_ms, end_ms


def pattern_image_url(settings: Settings, org: Org, pattern: Pattern) -> str:
    """Return a signed address of the picture of a pattern, which needs no sign-in."""
    from_ms, until_ms = window_of_pattern(pattern)
    window = {"from": str(from_ms // 1000), "until": str(-(-until_ms // 1000))}
    return signed_address(settings, org, f"/pattern/{pattern.id}/graph", window | _SHOWN)

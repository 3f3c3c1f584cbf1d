"""Draws a chart: axes, expected range, value, marks and the legend that names them.

Importing this module loads the rasteriser of matplotlib, which takes about a second and 60 MB, so
it is imported where the first picture is drawn.
"""

from typing import Final

from anomify.rendering.axes import (
    PADDING,
    draw_grid,
    draw_heading,
    write_middle,
    x_axis_height,
)
from anomify.rendering.canvas import Canvas
from anomify.rendering.chart import Chart, check_size, visible, visible_events
from anomify.rendering.curves import draw_anomalous_values, draw_band, draw_pattern, draw_value
from anomify.rendering.encode import Drawing
from anomify.rendering.frame import Frame, curve_of, forecast_curve, pattern_curve, value_limits
from anomify.rendering.marks import (
    draw_event_labels,
    draw_event_lines,
    draw_heads,
    draw_spans,
    draw_stems,
)
from anomify.rendering.theme import LABEL_SIZE, THEMES, ThemeName
from anomify.rendering.ticks import value_labels, value_ticks

TICK_HEIGHT: Final = 40.0
# The opacity of the forecast range, as a share of that of the expected range.
FORECAST_SHARE: Final = 0.6


def draw_chart(chart: Chart) -> Drawing:
    """Return the picture of a chart; the same chart gives the same pixels, from any thread.

    The pixels are uint8 (height * scale, width * scale, 4).

    >>> import numpy as np
    >>> times = np.arange(60) * 60_000
    >>> nan = np.full(60, np.nan)
    >>> chart = Chart(title="cpu", times=times, values=np.sin(times), lowers=nan, uppers=nan,
    ...               from_time=0, until_time=3_600_000)
    >>> draw_chart(chart).pixels.shape
    (300, 800, 4)
    """
    theme = THEMES[chart.look.theme]
    canvas = Canvas(chart.look.width, chart.look.height, chart.look.scale, theme.background)
    curve = curve_of(chart)
    forecast = forecast_curve(chart, curve)
    pattern = pattern_curve(chart)
    low, high = value_limits(curve, forecast, pattern)
    top = draw_heading(canvas, chart, theme)
    bottom = chart.look.height - (x_axis_height(chart) if chart.look.display_x_axis else PADDING)
    count = max(2, int((bottom - top) / TICK_HEIGHT))
    has_values = len(curve.times) or len(pattern.times)
    ticks = value_ticks(low, high, count) if has_values else []
    labels = value_labels(ticks)
    right = chart.look.width - PADDING
    if chart.look.display_y_axis:
        right -= 8 + max(canvas.text_width(label, size=LABEL_SIZE) for label in labels or [""])
    frame = Frame(PADDING, top, right, bottom, chart.from_time, chart.until_time, low, high)
    draw_grid(canvas, chart, theme, frame, list(zip(ticks, labels, strict=True)))
    anomalies = visible(chart, chart.anomalies) if chart.look.display_anomalies else ()
    matches = visible(chart, chart.matches) if chart.look.display_matches else ()
    draw_spans(canvas, theme, theme.match, frame, matches)
    draw_spans(canvas, theme, theme.anomaly, frame, anomalies)
    draw_event_lines(canvas, theme, frame, visible_events(chart))
    draw_band(canvas, theme, frame, curve, theme.band_alpha)
    draw_band(canvas, theme, frame, forecast, theme.band_alpha * FORECAST_SHARE)
    draw_stems(canvas, theme.match, frame, matches)
    draw_stems(canvas, theme.anomaly, frame, anomalies)
    draw_pattern(canvas, theme, frame, pattern)
    draw_value(canvas, theme.value, frame, curve)
    draw_anomalous_values(canvas, theme.anomaly, frame, curve, anomalies)
    draw_event_labels(canvas, theme, frame, visible_events(chart))
    draw_heads(canvas, chart, theme, frame)
    if not has_values:
        write_middle(canvas, "No data in this window", frame, theme)
    return Drawing(canvas.pixels(), theme)


def draw_notice(
    text: str, *, width: int, height: int, scale: int = 1, theme: ThemeName = "light"
) -> Drawing:
    """Return a picture with one sentence, such as the reason why there is no chart.

    `width` and `height` are CSS pixels. Raises `Invalid` for a size that `check_size` refuses.

    >>> draw_notice("This metric was deleted.", width=400, height=120, scale=2).pixels.shape
    (240, 800, 4)
    """
    check_size(width, height, scale)
    colours = THEMES[theme]
    canvas = Canvas(width, height, scale, colours.background)
    for left, top, right, bottom in (
        (0, 0, width, 1),
        (0, height - 1, width, height),
        (0, 0, 1, height),
        (width - 1, 0, width, height),
    ):
        canvas.box(left, top, right, bottom, colour=colours.axis)
    frame = Frame(PADDING, PADDING, width - PADDING, height - PADDING, 0, 1, 0.0, 1.0)
    write_middle(canvas, text, frame, colours)
    return Drawing(canvas.pixels(), colours)

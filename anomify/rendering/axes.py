"""Draws what surrounds the curves of a chart: title, legend, grid and labels of the axes."""

import math
from typing import Final

import numpy as np

from anomify.rendering.canvas import DIAMOND, TRIANGLE, Canvas
from anomify.rendering.chart import Chart, legend, zone
from anomify.rendering.frame import Frame
from anomify.rendering.text import fitted, wrapped
from anomify.rendering.theme import DASH, LABEL_SIZE, MARK_SIZE, TITLE_SIZE, Theme
from anomify.rendering.ticks import TimeTick, time_ticks, zone_label

PADDING: Final = 12.0
TICK_WIDTH: Final = 76.0
# A lower chart has neither a legend nor dates below the times.
ROOMY_HEIGHT: Final = 140
NOTE_HEIGHT: Final = 17.0


def draw_heading(canvas: Canvas, chart: Chart, theme: Theme) -> float:
    """Write title, legend and notes, and return the top of the curves.

    Title and legend are on one line where both fit.
    """
    # A low picture has no legend, so that the curves keep the height.
    entries = (
        legend(chart) if chart.look.display_legend and chart.look.height >= ROOMY_HEIGHT else ()
    )
    widths = [22 + canvas.text_width(entry.label, size=LABEL_SIZE) for entry in entries]
    legend_width = sum(widths) + 14 * max(len(widths) - 1, 0)
    available = chart.look.width - 2 * PADDING
    unit = f"  {chart.unit}" if chart.unit else ""
    unit_width = canvas.text_width(unit, size=LABEL_SIZE) if unit else 0.0
    scaled = TITLE_SIZE * chart.look.scale
    title = fitted(chart.title, (available - unit_width) * chart.look.scale, scaled, bold=True)
    title_width = canvas.text_width(title, size=TITLE_SIZE, bold=True)
    baseline = PADDING + 10
    canvas.text(PADDING, baseline, title, size=TITLE_SIZE, colour=theme.ink, bold=True)
    if unit:
        canvas.text(PADDING + title_width, baseline, unit, size=LABEL_SIZE, colour=theme.muted)
    x = chart.look.width - PADDING - legend_width
    if entries and x < PADDING + title_width + unit_width + 24:
        x = PADDING
        baseline += 19
    for entry, width in zip(entries, widths, strict=True):
        if x + width > chart.look.width:
            break
        _draw_key(canvas, entry.mark, theme, x, baseline - 4)
        canvas.text(x + 22, baseline, entry.label, size=LABEL_SIZE, colour=theme.muted)
        x += width + 14
    return _write_notes(canvas, chart, theme, baseline) + 14


def _write_notes(canvas: Canvas, chart: Chart, theme: Theme, baseline: float) -> float:
    """Write the notes below the title, and return the baseline of the last line."""
    available = (chart.look.width - 2 * PADDING) * chart.look.scale
    # A low picture has none, so that the curves keep the height.
    notes = chart.notes if chart.look.height >= ROOMY_HEIGHT else ()
    size = LABEL_SIZE * chart.look.scale
    for line in [line for note in notes for line in wrapped(note, available, size)]:
        baseline += NOTE_HEIGHT
        canvas.text(PADDING, baseline, line, size=LABEL_SIZE, colour=theme.ink)
    return baseline


def _draw_key(canvas: Canvas, mark: str, theme: Theme, x: float, y: float) -> None:
    """Draw the symbol before an entry of the legend."""
    middle = np.array([x + 8.0]), np.array([float(y)])
    if mark == "value":
        canvas.box(x, y - 1, x + 16, y + 1, colour=theme.value)
    elif mark == "pattern":
        canvas.box(x, y - 3, x + 16, y + 3, colour=theme.pattern)
        canvas.box(x, y - 0.5, x + 16, y + 0.5, colour=theme.match)
    elif mark == "band":
        canvas.box(x, y - 5, x + 16, y + 5, colour=theme.band, alpha=theme.band_alpha * 2)
    elif mark == "anomaly":
        canvas.marks(TRIANGLE, *middle, size=MARK_SIZE, colour=theme.anomaly)
    elif mark == "event":
        for top in (y - 6, y + 1):
            canvas.box(x + 7.5, top, x + 8.5, top + DASH, colour=theme.event)
    else:
        canvas.marks(DIAMOND, *middle, size=MARK_SIZE, colour=theme.match)


def x_axis_height(chart: Chart) -> float:
    """Return the height of the labels of the time axis in CSS pixels."""
    return 40.0 if chart.look.height >= ROOMY_HEIGHT else 26.0


def draw_grid(
    canvas: Canvas,
    chart: Chart,
    theme: Theme,
    frame: Frame,
    rows: list[tuple[float, str]],
) -> None:
    """Draw the grid lines with the values at the right and the times below."""
    for value, label in rows:
        y = float(frame.y(np.array([value]))[0])
        canvas.box(frame.left, y, frame.right, y + 1 / chart.look.scale, colour=theme.grid)
        if chart.look.display_y_axis:
            canvas.text(frame.right + 8, y + 4, label, size=LABEL_SIZE, colour=theme.muted)
    count = max(1, int((frame.right - frame.left) / TICK_WIDTH))
    local = zone(chart.timezone)
    columns = time_ticks(chart.from_time, chart.until_time, local, count)
    places = frame.x(np.array([tick.time for tick in columns], np.int64)).tolist()
    for x in places:
        canvas.box(x, frame.top, x + 1 / chart.look.scale, frame.bottom, colour=theme.grid)
    canvas.box(frame.left, frame.bottom, frame.right, frame.bottom + 1, colour=theme.axis)
    if chart.look.display_x_axis:
        _write_times(canvas, chart, theme, frame, list(zip(places, columns, strict=True)))


def _write_times(
    canvas: Canvas,
    chart: Chart,
    theme: Theme,
    frame: Frame,
    ticks: list[tuple[float, TimeTick]],
) -> None:
    """Write the times in one row and, at the first tick of each date, the date in a row below."""
    edge = chart.look.width - PADDING
    ends = {"label": -math.inf, "wider": -math.inf}
    name = zone_label(chart.until_time, zone(chart.timezone))
    zone_x = edge - canvas.text_width(name, size=LABEL_SIZE)
    for x, tick in ticks:
        for row, text, down in (("label", tick.label, 15.0), ("wider", tick.wider, 29.0)):
            limit = zone_x - 8 if row == "wider" else edge
            if not text or (row == "wider" and chart.look.height < ROOMY_HEIGHT):
                continue
            width = canvas.text_width(text, size=LABEL_SIZE)
            start = min(max(x - width / 2, PADDING), edge - width)
            if start < ends[row] + 8 or start + width > limit:
                continue
            colour = theme.muted if row == "label" else theme.ink
            canvas.text(start, frame.bottom + down, text, size=LABEL_SIZE, colour=colour)
            ends[row] = start + width
    if chart.look.height >= ROOMY_HEIGHT:
        canvas.text(zone_x, frame.bottom + 29, name, size=LABEL_SIZE, colour=theme.muted)


def write_middle(canvas: Canvas, text: str, frame: Frame, theme: Theme) -> None:
    """Write a sentence in the middle of the frame."""
    text = fitted(text, frame.right - frame.left, TITLE_SIZE)
    width = canvas.text_width(text, size=TITLE_SIZE)
    x = (frame.left + frame.right - width) / 2
    y = (frame.top + frame.bottom) / 2 + TITLE_SIZE / 3
    canvas.text(x, y, text, size=TITLE_SIZE, colour=theme.muted)

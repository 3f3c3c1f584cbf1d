"""Draws the marks of a chart: anomalies, matches and events."""

from typing import Final

import numpy as np

from anomify.rendering.canvas import DIAMOND, TRIANGLE, Canvas
from anomify.rendering.chart import Chart, ChartEvent, Mark, visible
from anomify.rendering.frame import Frame
from anomify.rendering.text import fitted
from anomify.rendering.theme import (
    DASH,
    DASH_GAP,
    LABEL_SIZE,
    MARK_SIZE,
    STEM_ALPHA,
    STEM_WIDTH,
    Rgb,
    Theme,
)
from anomify.series import Float64s

# Pixels; the shading of a shorter span looks like its stem.
LEAST_SPAN: Final = 2.0
# Pixels around the label of an event, and the least width in which a label is written.
EVENT_LABEL_GAP: Final = 4.0
EVENT_LABEL_LEAST: Final = 28.0
EVENT_LABEL_ALPHA: Final = 0.8


def draw_spans(
    canvas: Canvas, theme: Theme, colour: Rgb, frame: Frame, marks: tuple[Mark, ...]
) -> None:
    """Shade the time of each mark of at least `LEAST_SPAN`; an open one, to the end."""
    for left, right in _merged(_spans(frame, marks)):
        sides = (left, frame.top, right, frame.bottom)
        canvas.box(*sides, colour=colour, alpha=theme.span_alpha)


def _spans(frame: Frame, marks: tuple[Mark, ...]) -> list[tuple[float, float]]:
    spans = []
    for mark in marks:
        last = frame.until_time if mark.last_time is None else mark.last_time
        ends = np.clip([mark.first_time, last], frame.from_time, frame.until_time)
        left, right = frame.x(ends).tolist()
        if right - left >= LEAST_SPAN or mark.last_time is None:
            spans.append((left, right))
    return sorted(spans)


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the spans with overlapping ones joined, so that nothing is shaded twice."""
    joined: list[tuple[float, float]] = []
    for left, right in spans:
        if joined and left <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(right, joined[-1][1]))
        else:
            joined.append((left, right))
    return joined


def draw_stems(canvas: Canvas, colour: Rgb, frame: Frame, marks: tuple[Mark, ...]) -> None:
    """Draw a thin vertical line from the bottom to the symbol of each mark."""
    for x, y in zip(*_heads(frame, marks), strict=True):
        half = STEM_WIDTH / 2
        canvas.box(x - half, y, x + half, frame.bottom, colour=colour, alpha=STEM_ALPHA)


def draw_heads(canvas: Canvas, chart: Chart, theme: Theme, frame: Frame) -> None:
    """Draw the symbols of the marks over everything else."""
    if chart.look.display_matches:
        heads = _heads(frame, visible(chart, chart.matches))
        canvas.marks(DIAMOND, *heads, size=MARK_SIZE, colour=theme.match)
    if chart.look.display_anomalies:
        heads = _heads(frame, visible(chart, chart.anomalies))
        canvas.marks(TRIANGLE, *heads, size=MARK_SIZE, colour=theme.anomaly)


def _heads(frame: Frame, marks: tuple[Mark, ...]) -> tuple[Float64s, Float64s]:
    """Return the positions of the symbols of the marks: the higher the score, the higher."""
    times = np.array([mark.first_time for mark in marks], np.int64)
    scores = np.array([mark.score for mark in marks], np.float64)
    shares = 0.15 + 0.85 * np.clip(np.nan_to_num(scores), 0, 1)
    available = frame.bottom - frame.top - MARK_SIZE
    xs = frame.x(np.clip(times, frame.from_time, frame.until_time))
    return xs, np.asarray(frame.bottom - shares * available - MARK_SIZE / 2)


def draw_event_lines(
    canvas: Canvas, theme: Theme, frame: Frame, events: tuple[ChartEvent, ...]
) -> None:
    """Draw a dashed line over the whole height at the time of each event."""
    for x in _event_places(frame, events):
        for top in np.arange(frame.top, frame.bottom, DASH + DASH_GAP):
            canvas.box(
                x - STEM_WIDTH / 2,
                top,
                x + STEM_WIDTH / 2,
                min(top + DASH, frame.bottom),
                colour=theme.event,
            )


def draw_event_labels(
    canvas: Canvas, theme: Theme, frame: Frame, events: tuple[ChartEvent, ...]
) -> None:
    """Write the label of each event beside the top of its line, cut where the next one begins."""
    places = _event_places(frame, events)
    for event, x, end in zip(events, places, [*places, frame.right][1:], strict=True):
        available = (end - x - 2 * EVENT_LABEL_GAP) * canvas.scale
        if available < EVENT_LABEL_LEAST * canvas.scale:
            continue
        label = fitted(event.label, available, LABEL_SIZE * canvas.scale)
        baseline = frame.top + LABEL_SIZE
        width = canvas.text_width(label, size=LABEL_SIZE)
        # The background behind the label is lightened, so that it can be read over a curve.
        canvas.box(
            x + 2,
            frame.top,
            x + EVENT_LABEL_GAP + width + 2,
            baseline + 3,
            colour=theme.background,
            alpha=EVENT_LABEL_ALPHA,
        )
        canvas.text(x + EVENT_LABEL_GAP, baseline, label, size=LABEL_SIZE, colour=theme.event)


def _event_places(frame: Frame, events: tuple[ChartEvent, ...]) -> list[float]:
    places: list[float] = frame.x(np.array([event.time for event in events], np.int64)).tolist()
    return places

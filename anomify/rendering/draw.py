"""A chart to pixels: axes, expected range, value, what was found, and the legend that names them.

Importing this module loads the rasteriser, about a second and 60 MB; import it where the first
picture is drawn.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from anomify.rendering.canvas import DIAMOND, DOT, TRIANGLE, Canvas
from anomify.rendering.chart import (
    Chart,
    ChartEvent,
    Mark,
    check_size,
    legend,
    visible,
    visible_events,
    zone,
)
from anomify.rendering.downsample import extremes_by_column, group_starts, run_numbers
from anomify.rendering.encode import Drawing
from anomify.rendering.text import fitted
from anomify.rendering.theme import (
    DASH,
    DASH_GAP,
    LABEL_SIZE,
    MARK_SIZE,
    STEM_ALPHA,
    STEM_WIDTH,
    THEMES,
    TITLE_SIZE,
    VALUE_WIDTH,
    Rgb,
    Theme,
    ThemeName,
)
from anomify.rendering.ticks import TimeTick, time_ticks, value_labels, value_ticks, zone_label
from anomify.series import Bools, Float64s, Int64s

PADDING: Final = 12.0
TICK_HEIGHT: Final = 40.0
TICK_WIDTH: Final = 76.0
# From here on there is room for a legend and for dates below the times.
ROOMY_HEIGHT: Final = 140
# What is expected of the time to come is fainter than what was expected of points.
AHEAD_SHARE: Final = 0.6
# A shorter span could not be told from its stem.
LEAST_SPAN: Final = 2.0
# Around the label of an event, and what it has to have at least to be read.
EVENT_LABEL_GAP: Final = 4.0
EVENT_LABEL_LEAST: Final = 28.0
EVENT_LABEL_ALPHA: Final = 0.8
# Beyond it a difference of two values is no longer a number.
LARGEST_VALUE: Final = 1e300
# Below it a share of a span is no longer a number that can be divided by: such values are all one.
SMALLEST_SPAN: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle of the curves, and the window and the values that it stands for."""

    left: float
    top: float
    right: float
    bottom: float
    from_time: int
    until_time: int
    low: float
    high: float

    def x(self, times: Int64s) -> Float64s:
        """Return where moments lie."""
        share = (times - self.from_time) / (self.until_time - self.from_time)
        return np.asarray(self.left + share * (self.right - self.left), np.float64)

    def y(self, values: Float64s) -> Float64s:
        """Return where values lie, never further away than one height."""
        above = _drawable(values) - self.low
        # Of a height near nothing a value may be infinitely many away; that is clipped too.
        with np.errstate(over="ignore"):
            share = above / (self.high - self.low)
        return np.asarray(self.bottom - np.clip(share, -1, 2) * (self.bottom - self.top))

    def sides(self) -> tuple[float, float, float, float]:
        """Return the rectangle with room for half a stroke above and below."""
        return self.left, self.top - VALUE_WIDTH, self.right, self.bottom + VALUE_WIDTH


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The points to draw: those of the window and one neighbour at each side, gaps numbered."""

    times: Int64s
    values: Float64s
    lowers: Float64s
    uppers: Float64s
    runs: Int64s

    def of(self, rows: Bools) -> "Curve":
        """Return only those rows."""
        return Curve(
            self.times[rows],
            self.values[rows],
            self.lowers[rows],
            self.uppers[rows],
            self.runs[rows],
        )


def draw_chart(chart: Chart) -> Drawing:
    """Draw the chart; the same chart gives the same pixels, from any thread."""
    theme = THEMES[chart.look.theme]
    canvas = Canvas(chart.look.width, chart.look.height, chart.look.scale, theme.background)
    curve = _curve(chart)
    ahead = _ahead(chart, curve)
    low, high = _limits(curve, ahead)
    top = _draw_heading(canvas, chart, theme)
    bottom = chart.look.height - (_x_axis_height(chart) if chart.look.display_x_axis else PADDING)
    count = max(2, int((bottom - top) / TICK_HEIGHT))
    ticks = value_ticks(low, high, count) if len(curve.times) else []
    labels = value_labels(ticks)
    right = chart.look.width - PADDING
    if chart.look.display_y_axis:
        right -= 8 + max(canvas.text_width(label, size=LABEL_SIZE) for label in labels or [""])
    frame = Frame(PADDING, top, right, bottom, chart.from_time, chart.until_time, low, high)
    _draw_grid(canvas, chart, theme, frame, list(zip(ticks, labels, strict=True)))
    anomalies = visible(chart, chart.anomalies) if chart.look.display_anomalies else ()
    matches = visible(chart, chart.matches) if chart.look.display_matches else ()
    _draw_spans(canvas, theme, frame, anomalies)
    _draw_event_lines(canvas, theme, frame, visible_events(chart))
    _draw_band(canvas, theme, frame, curve, theme.band_alpha)
    _draw_band(canvas, theme, frame, ahead, theme.band_alpha * AHEAD_SHARE)
    _draw_stems(canvas, theme.match, frame, matches)
    _draw_stems(canvas, theme.anomaly, frame, anomalies)
    _draw_value(canvas, theme.value, frame, curve)
    _draw_found_values(canvas, theme.anomaly, frame, curve, anomalies)
    _draw_event_labels(canvas, theme, frame, visible_events(chart))
    _draw_heads(canvas, chart, theme, frame)
    if not len(curve.times):
        _write_middle(canvas, "No data in this window", frame, theme)
    return Drawing(canvas.pixels(), theme)


def draw_notice(
    text: str, *, width: int, height: int, scale: int = 1, theme: ThemeName = "light"
) -> Drawing:
    """Draw a picture that only says something, such as why there is no chart."""
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
    _write_middle(canvas, text, frame, colours)
    return Drawing(canvas.pixels(), colours)


def _curve(chart: Chart) -> Curve:
    """Return the chart's points that can be drawn; one that is no number leaves a gap."""
    first = max(int(np.searchsorted(chart.times, chart.from_time)) - 1, 0)
    last = int(np.searchsorted(chart.times, chart.until_time, side="right")) + 1
    rows = slice(first, last)
    times, values = chart.times[rows], chart.values[rows]
    finite = np.isfinite(values)
    runs = run_numbers(times, chart.step) + np.cumsum(~finite)
    lowers, uppers = chart.lowers[rows], chart.uppers[rows]
    whole = Curve(times, values, lowers.astype(np.float64), uppers.astype(np.float64), runs)
    kept = whole if finite.all() else whole.of(finite)
    inside = (kept.times >= chart.from_time) & (kept.times <= chart.until_time)
    return kept if inside.any() or len(set(kept.runs.tolist())) == 1 else kept.of(inside)


def _ahead(chart: Chart, curve: Curve) -> Curve:
    """Return the range that goes on after the newest point, and begins at it; it has no values."""
    count = 1 if len(chart.ahead.times) and len(curve.times) else 0
    newest = slice(len(curve.times) - count, None)
    times = np.concatenate((curve.times[newest], chart.ahead.times))
    return Curve(
        times,
        np.full(len(times), np.nan),
        np.concatenate((curve.lowers[newest], chart.ahead.lowers)),
        np.concatenate((curve.uppers[newest], chart.ahead.uppers)),
        np.zeros(len(times), np.int64),
    )


def _limits(curve: Curve, ahead: Curve) -> tuple[float, float]:
    """Return the least and greatest value to show: all values, and nearly all of the range."""
    if not len(curve.values):
        return 0.0, 1.0
    low, high = float(curve.values.min()), float(curve.values.max())
    lowers = np.concatenate((curve.lowers, ahead.lowers))
    uppers = np.concatenate((curve.uppers, ahead.uppers))
    ranged = np.isfinite(lowers) & np.isfinite(uppers)
    if ranged.any():
        # A few absurd bounds, as at the end of learning, must not flatten the curve.
        low = min(low, float(np.percentile(_drawable(lowers[ranged]), 2)))
        high = max(high, float(np.percentile(_drawable(uppers[ranged]), 98)))
    low, high = (min(max(end, -LARGEST_VALUE), LARGEST_VALUE) for end in (low, high))
    largest = max(abs(low), abs(high))
    if high - low <= max(1e-9 * largest, SMALLEST_SPAN):
        half = largest * 0.1 if largest > SMALLEST_SPAN else 1.0
        return low - half, high + half
    margin = (high - low) * 0.06
    # Where zero is near, the curve stands on it.
    low = 0.0 if 0 <= low < margin * 2 else low
    return low - margin / 2, high + margin


def _drawable(values: Float64s) -> Float64s:
    """Return the values without those parts that are too large to subtract one from another."""
    return np.clip(values, -LARGEST_VALUE, LARGEST_VALUE)


# --- around the curves ---


def _draw_heading(canvas: Canvas, chart: Chart, theme: Theme) -> float:
    """Write title and legend, on one line where both fit, and return where the curves begin."""
    # In a thumbnail the curve needs the room more than its explanation does.
    entries = (
        legend(chart) if chart.look.display_legend and chart.look.height >= ROOMY_HEIGHT else ()
    )
    widths = [22 + canvas.text_width(entry.label, size=LABEL_SIZE) for entry in entries]
    legend_width = sum(widths) + 14 * max(len(widths) - 1, 0)
    room = chart.look.width - 2 * PADDING
    unit = f"  {chart.unit}" if chart.unit else ""
    unit_width = canvas.text_width(unit, size=LABEL_SIZE) if unit else 0.0
    scaled = TITLE_SIZE * chart.look.scale
    title = fitted(chart.title, (room - unit_width) * chart.look.scale, scaled, bold=True)
    title_width = canvas.text_width(title, size=TITLE_SIZE, bold=True)
    baseline = PADDING + 10
    canvas.text(PADDING, baseline, title, size=TITLE_SIZE, colour=theme.ink, bold=True)
    if unit:
        canvas.text(PADDING + title_width, baseline, unit, size=LABEL_SIZE, colour=theme.muted)
    if not entries:
        return baseline + 14
    x = chart.look.width - PADDING - legend_width
    if x < PADDING + title_width + unit_width + 24:
        x = PADDING
        baseline += 19
    for entry, width in zip(entries, widths, strict=True):
        if x + width > chart.look.width:
            break
        _draw_key(canvas, entry.mark, theme, x, baseline - 4)
        canvas.text(x + 22, baseline, entry.label, size=LABEL_SIZE, colour=theme.muted)
        x += width + 14
    return baseline + 14


def _draw_key(canvas: Canvas, mark: str, theme: Theme, x: float, y: float) -> None:
    """Draw the little sign before a word of the legend."""
    middle = np.array([x + 8.0]), np.array([float(y)])
    if mark == "value":
        canvas.box(x, y - 1, x + 16, y + 1, colour=theme.value)
    elif mark == "band":
        canvas.box(x, y - 5, x + 16, y + 5, colour=theme.band, alpha=theme.band_alpha * 2)
    elif mark == "anomaly":
        canvas.marks(TRIANGLE, *middle, size=MARK_SIZE, colour=theme.anomaly)
    elif mark == "event":
        for top in (y - 6, y + 1):
            canvas.box(x + 7.5, top, x + 8.5, top + DASH, colour=theme.event)
    else:
        canvas.marks(DIAMOND, *middle, size=MARK_SIZE, colour=theme.match)


def _x_axis_height(chart: Chart) -> float:
    return 40.0 if chart.look.height >= ROOMY_HEIGHT else 26.0


def _draw_grid(
    canvas: Canvas,
    chart: Chart,
    theme: Theme,
    frame: Frame,
    rows: list[tuple[float, str]],
) -> None:
    """Draw grid lines with the values at the right and the times below."""
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
    """Write the times in one row and, where they begin, the dates in another below it."""
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


def _write_middle(canvas: Canvas, text: str, frame: Frame, theme: Theme) -> None:
    """Write a sentence into the middle of the frame."""
    text = fitted(text, frame.right - frame.left, TITLE_SIZE)
    width = canvas.text_width(text, size=TITLE_SIZE)
    x = (frame.left + frame.right - width) / 2
    y = (frame.top + frame.bottom) / 2 + TITLE_SIZE / 3
    canvas.text(x, y, text, size=TITLE_SIZE, colour=theme.muted)


# --- the curves ---


def _draw_value(canvas: Canvas, colour: Rgb, frame: Frame, curve: Curve) -> None:
    """Draw the value as a line, and as a dot where gaps leave a point alone."""
    _stroke(canvas, colour, frame, curve, lone_size=VALUE_WIDTH)


def _draw_found_values(
    canvas: Canvas, colour: Rgb, frame: Frame, curve: Curve, anomalies: tuple[Mark, ...]
) -> None:
    """Draw the points of anomalies once more in their colour, from all points, thinned later."""
    found = np.zeros(len(curve.times), np.int64)
    for number, mark in enumerate(anomalies, start=1):
        first = np.searchsorted(curve.times, mark.first_time)
        last = (
            len(curve.times)
            if mark.last_time is None
            else np.searchsorted(curve.times, mark.last_time, side="right")
        )
        found[first:last] = number
    rows = found > 0
    if rows.any():
        runs = curve.runs * (len(anomalies) + 1) + found
        part = Curve(curve.times, curve.values, curve.lowers, curve.uppers, runs).of(rows)
        _stroke(canvas, colour, frame, part, lone_size=2.0)


def _stroke(canvas: Canvas, colour: Rgb, frame: Frame, curve: Curve, *, lone_size: float) -> None:
    if not len(curve.times):
        return
    xs = frame.x(curve.times)
    kept = extremes_by_column(
        np.floor(xs * canvas.scale).astype(np.int64), curve.values, curve.runs
    )
    xs, ys = xs[kept.rows], frame.y(curve.values[kept.rows])
    begins = kept.begins()
    canvas.line(xs, ys, begins=begins, colour=colour, width=VALUE_WIDTH, within=frame.sides())
    lone = begins & np.append(begins[1:], True) & (xs >= frame.left) & (xs <= frame.right)
    canvas.marks(DOT, xs[lone], ys[lone], size=lone_size, colour=colour)


def _draw_band(canvas: Canvas, theme: Theme, frame: Frame, curve: Curve, alpha: float) -> None:
    """Fill the expected range, per column of pixels from its lowest to its highest bound."""
    ranged = np.isfinite(curve.lowers) & np.isfinite(curve.uppers)
    # Where the range is missing, a run ends as it does at a gap in time.
    runs = curve.runs + np.cumsum(~ranged)
    part = Curve(curve.times, curve.values, curve.lowers, curve.uppers, runs).of(ranged)
    if not len(part.times):
        return
    xs = frame.x(part.times)
    starts = group_starts(np.floor(xs * canvas.scale).astype(np.int64), part.runs)
    columns, runs = xs[starts], part.runs[starts]
    lows = frame.y(np.minimum.reduceat(part.lowers, starts))
    highs = frame.y(np.maximum.reduceat(part.uppers, starts))
    bounds = [0, *(np.flatnonzero(np.diff(runs)) + 1).tolist(), len(runs)]
    polygons = []
    for first, last in pairwise(bounds):
        across = columns[first:last].copy()
        # A range of a single point is still a pixel wide.
        if last - first == 1:
            across = np.array([across[0] - 0.5, across[0] + 0.5])
        ends = np.linspace(first, last - 1, len(across)).astype(np.int64)
        outline = np.concatenate((highs[ends], lows[ends][::-1]))
        polygons.append((np.concatenate((across, across[::-1])), outline))
    canvas.area(polygons, colour=theme.band, alpha=alpha, within=frame.sides())


# --- what was found ---


def _draw_spans(canvas: Canvas, theme: Theme, frame: Frame, marks: tuple[Mark, ...]) -> None:
    """Shade the time of each anomaly that is long enough to be seen; one that runs, to the end."""
    for left, right in _merged(_spans(frame, marks)):
        sides = (left, frame.top, right, frame.bottom)
        canvas.box(*sides, colour=theme.anomaly, alpha=theme.span_alpha)


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
    """Join spans that overlap, so that none is shaded twice."""
    joined: list[tuple[float, float]] = []
    for left, right in spans:
        if joined and left <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(right, joined[-1][1]))
        else:
            joined.append((left, right))
    return joined


def _draw_stems(canvas: Canvas, colour: Rgb, frame: Frame, marks: tuple[Mark, ...]) -> None:
    """Draw a thin line from the bottom to each mark's head."""
    for x, y in zip(*_heads(frame, marks), strict=True):
        half = STEM_WIDTH / 2
        canvas.box(x - half, y, x + half, frame.bottom, colour=colour, alpha=STEM_ALPHA)


def _draw_heads(canvas: Canvas, chart: Chart, theme: Theme, frame: Frame) -> None:
    """Set the marks' heads over everything else."""
    if chart.look.display_matches:
        heads = _heads(frame, visible(chart, chart.matches))
        canvas.marks(DIAMOND, *heads, size=MARK_SIZE, colour=theme.match)
    if chart.look.display_anomalies:
        heads = _heads(frame, visible(chart, chart.anomalies))
        canvas.marks(TRIANGLE, *heads, size=MARK_SIZE, colour=theme.anomaly)


def _heads(frame: Frame, marks: tuple[Mark, ...]) -> tuple[Float64s, Float64s]:
    """Return where the heads of the marks are: the higher the score, the higher the head."""
    times = np.array([mark.first_time for mark in marks], np.int64)
    scores = np.array([mark.score for mark in marks], np.float64)
    shares = 0.15 + 0.85 * np.clip(np.nan_to_num(scores), 0, 1)
    room = frame.bottom - frame.top - MARK_SIZE
    xs = frame.x(np.clip(times, frame.from_time, frame.until_time))
    return xs, np.asarray(frame.bottom - shares * room - MARK_SIZE / 2)


# --- what happened around it ---


def _draw_event_lines(
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


def _draw_event_labels(
    canvas: Canvas, theme: Theme, frame: Frame, events: tuple[ChartEvent, ...]
) -> None:
    """Write beside the head of each line what it stands for, as far as the next one leaves room."""
    places = _event_places(frame, events)
    for event, x, end in zip(events, places, [*places, frame.right][1:], strict=True):
        room = (end - x - 2 * EVENT_LABEL_GAP) * canvas.scale
        if room < EVENT_LABEL_LEAST * canvas.scale:
            continue
        label = fitted(event.label, room, LABEL_SIZE * canvas.scale)
        baseline = frame.top + LABEL_SIZE
        width = canvas.text_width(label, size=LABEL_SIZE)
        # A curve behind a word would make both hard to read.
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

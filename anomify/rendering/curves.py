"""Draws the curves of a chart: the value as a line and the expected range as an area."""

from itertools import pairwise

import numpy as np

from anomify.rendering.canvas import DOT, Canvas
from anomify.rendering.chart import Mark
from anomify.rendering.downsample import extremes_by_column, group_starts
from anomify.rendering.frame import Curve, Frame
from anomify.rendering.theme import PATTERN_WIDTH, STEM_WIDTH, VALUE_WIDTH, Rgb, Theme


def draw_value(canvas: Canvas, colour: Rgb, frame: Frame, curve: Curve) -> None:
    """Draw the values as a line, and as a dot where a point has a gap at both sides."""
    _stroke(canvas, colour, frame, curve, lone_size=VALUE_WIDTH)


def draw_pattern(canvas: Canvas, theme: Theme, frame: Frame, curve: Curve) -> None:
    """Draw a pattern as a wide pale line with a thin one on it; the value is drawn over both."""
    _stroke(canvas, theme.pattern, frame, curve, width=PATTERN_WIDTH, lone_size=PATTERN_WIDTH)
    _stroke(canvas, theme.match, frame, curve, width=STEM_WIDTH, lone_size=2.0)


def draw_anomalous_values(
    canvas: Canvas, colour: Rgb, frame: Frame, curve: Curve, anomalies: tuple[Mark, ...]
) -> None:
    """Draw the points inside anomalies again in their colour, selected before downsampling."""
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


def _stroke(
    canvas: Canvas,
    colour: Rgb,
    frame: Frame,
    curve: Curve,
    *,
    lone_size: float,
    width: float = VALUE_WIDTH,
) -> None:
    if not len(curve.times):
        return
    xs = frame.x(curve.times)
    kept = extremes_by_column(
        np.floor(xs * canvas.scale).astype(np.int64), curve.values, curve.runs
    )
    xs, ys = xs[kept.rows], frame.y(curve.values[kept.rows])
    begins = kept.begins()
    canvas.line(xs, ys, begins=begins, colour=colour, width=width, within=frame.sides())
    lone = begins & np.append(begins[1:], True) & (xs >= frame.left) & (xs <= frame.right)
    canvas.marks(DOT, xs[lone], ys[lone], size=lone_size, colour=colour)


def draw_band(canvas: Canvas, theme: Theme, frame: Frame, curve: Curve, alpha: float) -> None:
    """Fill the expected range, in each column of pixels from its lowest to its highest bound."""
    ranged = np.isfinite(curve.lowers) & np.isfinite(curve.uppers)
    # A missing range ends a run, as a gap in time does.
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
        # The range of a single point is drawn one pixel wide.
        if last - first == 1:
            across = np.array([across[0] - 0.5, across[0] + 0.5])
        ends = np.linspace(first, last - 1, len(across)).astype(np.int64)
        outline = np.concatenate((highs[ends], lows[ends][::-1]))
        polygons.append((np.concatenate((across, across[::-1])), outline))
    canvas.area(polygons, colour=theme.band, alpha=alpha, within=frame.sides())

"""Draws lines, areas, symbols, boxes and text on pixels with the Agg rasteriser of matplotlib."""

from typing import Any, Final

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path
from matplotlib.transforms import Bbox, IdentityTransform
from numpy.typing import NDArray

from anomify.rendering.text import text_bitmap
from anomify.rendering.theme import Rgb
from anomify.series import Bools, Float64s

# At 72 dots an inch a typographic point is one pixel, so widths are in pixels.
DOTS_PER_INCH: Final = 72
TRIANGLE: Final = Path([[0.0, 0.5], [0.5, -0.4], [-0.5, -0.4], [0.0, 0.5]], closed=True)
DIAMOND: Final = Path([[0, 0.55], [0.42, 0], [0, -0.55], [-0.42, 0], [0, 0.55]], closed=True)
DOT: Final = Path.unit_circle()
IDENTITY: Final = IdentityTransform()
# Most of the methods of matplotlib's renderer have no types.
Rasteriser: Final[Any] = RendererAgg


class Canvas:
    """A picture of `width` by `height` CSS pixels, y downwards, with `scale` pixels to each.

    One canvas is used by one thread. Canvases share nothing, so threads may draw at the same time.

    >>> canvas = Canvas(3, 2, 1, (255, 255, 255))
    >>> canvas.box(0, 0, 1, 1, colour=(0, 0, 0))
    >>> canvas.pixels()[0, :, 0].tolist()
    [0, 255, 255]
    """

    def __init__(self, width: int, height: int, scale: int, background: Rgb) -> None:
        """Fill the picture with the background."""
        self.scale = scale
        self._height = height * scale
        self._agg = Rasteriser(width * scale, height * scale, DOTS_PER_INCH)
        self._pixels: NDArray[np.uint8] = np.asarray(self._agg.buffer_rgba())
        red, green, blue = background
        self._pixels.view("<u4")[...] = red | green << 8 | blue << 16 | 255 << 24

    def pixels(self) -> NDArray[np.uint8]:
        """Return the pixels, uint8 (height, width, 4), rows from the top, red, green, blue, 255."""
        return self._pixels

    def line(
        self,
        xs: Float64s,
        ys: Float64s,
        *,
        begins: Bools,
        colour: Rgb,
        width: float,
        within: tuple[float, float, float, float],
    ) -> None:
        """Draw a line through the points, interrupted before each point where `begins` is set."""
        codes = np.where(begins, Path.MOVETO, Path.LINETO).astype(Path.code_type)
        pen = self._pen(colour, width=width, within=within)
        self._agg.draw_path(pen, Path(self._turned(xs, ys), codes), IDENTITY)

    def area(
        self,
        polygons: list[tuple[Float64s, Float64s]],
        *,
        colour: Rgb,
        alpha: float,
        within: tuple[float, float, float, float],
    ) -> None:
        """Fill the polygons as one area, without an outline."""
        if not polygons:
            return
        vertices, codes = [], []
        for xs, ys in polygons:
            vertices.append(np.vstack([self._turned(xs, ys), [[0.0, 0.0]]]))
            code = np.full(len(xs) + 1, Path.LINETO, Path.code_type)
            code[0], code[-1] = Path.MOVETO, Path.CLOSEPOLY
            codes.append(code)
        path = Path(np.vstack(vertices), np.concatenate(codes))
        pen = self._pen(colour, width=0, within=within)
        self._agg.draw_path(pen, path, IDENTITY, (*_fractions(colour), alpha))

    def marks(self, shape: Path, xs: Float64s, ys: Float64s, *, size: float, colour: Rgb) -> None:
        """Draw the shape, `size` CSS pixels large, at each of the points."""
        if not len(xs):
            return
        scaled = Path(np.asarray(shape.vertices) * (size * self.scale), shape.codes)
        pen = self._pen(colour, width=0, within=None)
        at = Path(self._turned(xs, ys))
        self._agg.draw_markers(pen, scaled, IDENTITY, at, IDENTITY, (*_fractions(colour), 1.0))

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        *,
        colour: Rgb,
        alpha: float = 1.0,
    ) -> None:
        """Fill the box, its sides rounded to whole pixels and at least one pixel apart."""
        x, y = round(left * self.scale), round(top * self.scale)
        x_end = max(x + 1, round(right * self.scale))
        y_end = max(y + 1, round(bottom * self.scale))
        part = self._pixels[max(y, 0) : max(y_end, 0), max(x, 0) : max(x_end, 0), :3]
        part[...] = colour if alpha == 1.0 else np.rint(part * (1 - alpha) + _tint(colour, alpha))

    def text(
        self, x: float, baseline: float, text: str, *, size: float, colour: Rgb, bold: bool = False
    ) -> None:
        """Write the text from `x` to the right; what lies outside the picture is cut off."""
        word = text_bitmap(text, size * self.scale, bold=bold)
        left = round(x * self.scale) + word.left
        top = round(baseline * self.scale) - word.above
        clip_left, clip_top = max(-left, 0), max(-top, 0)
        part = self._pixels[max(top, 0) :, max(left, 0) :, :3]
        cover = word.coverage[clip_top:, clip_left:]
        share = cover[: part.shape[0], : part.shape[1], None] / np.float32(255)
        part = part[: share.shape[0], : share.shape[1]]
        part[...] = np.rint(part * (1 - share) + np.array(colour, np.float32) * share)

    def text_width(self, text: str, *, size: float, bold: bool = False) -> float:
        """Return the width of the text in CSS pixels."""
        return text_bitmap(text, size * self.scale, bold=bold).width / self.scale

    def _turned(self, xs: Float64s, ys: Float64s) -> Float64s:
        """Return the points in physical pixels, float64 (n, 2); Agg's y is upwards."""
        return np.column_stack((xs * self.scale, self._height - ys * self.scale))

    def _pen(
        self, colour: Rgb, *, width: float, within: tuple[float, float, float, float] | None
    ) -> GraphicsContextBase:
        pen: GraphicsContextBase = self._agg.new_gc()
        pen.set_foreground(_fractions(colour), isRGBA=False)
        pen.set_linewidth(width * self.scale)
        pen.set_joinstyle("bevel")
        pen.set_capstyle("round")
        pen.set_snap(False)
        if within is not None:
            left, top, right, bottom = (side * self.scale for side in within)
            clip = Bbox([[left, self._height - bottom], [right, self._height - top]])
            pen.set_clip_rectangle(clip)
        return pen


def _tint(colour: Rgb, alpha: float) -> NDArray[np.float32]:
    return np.array(colour, np.float32) * np.float32(alpha)


def _fractions(colour: Rgb) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255

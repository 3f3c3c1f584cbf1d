"""Encodes pixels as a PNG with a palette, and computes the ETag of a chart.

Source: Portable Network Graphics Specification (W3C Recommendation; RFC 2083), colour type 3.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomify.rendering.chart import Chart
from anomify.rendering.theme import Rgb, Theme

# The version of the drawing code. Raise it with every change of the pixels: it is part of the ETag.
LOOK: Final = 4
MAX_COLOURS: Final = 128
# zlib's level 2 takes as long as level 1 here; higher levels take more time for few bytes.
COMPRESSION_LEVEL: Final = 2
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# Colours are compared by their five upper bits; the lower ones only smooth the edges of lines.
CELLS: Final = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn picture and its theme; `pixels` uint8 (height, width, 4): red, green, blue, 255."""

    pixels: NDArray[np.uint8]
    theme: Theme


def encode_png(drawing: Drawing) -> bytes:
    """Return the drawing as a PNG of at most 128 colours; equal drawings give equal bytes.

    >>> from anomify.rendering.theme import LIGHT
    >>> encode_png(Drawing(np.full((2, 2, 4), 255, np.uint8), LIGHT)).startswith(SIGNATURE)
    True
    """
    height, width, _ = drawing.pixels.shape
    indices, palette = _quantise(drawing)
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = indices
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.data, COMPRESSION_LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def etag_of(chart: Chart) -> str:
    """Return the strong ETag (RFC 9110, 8.8.3) of a chart's PNG, without quotes; draws nothing.

    It is the BLAKE2b hash (RFC 7693) of everything that the bytes depend on: the chart, the version
    of the drawing code, and the version of the rasteriser.

    >>> nothing = np.empty(0)
    >>> chart = Chart(title="cpu", times=nothing.astype(int), values=nothing, lowers=nothing,
    ...               uppers=nothing, from_time=0, until_time=60_000)
    >>> len(etag_of(chart)), etag_of(chart) == etag_of(chart)
    (32, True)
    """
    digest = hashlib.blake2b(f"{LOOK} {_rasteriser()}".encode(), digest_size=16)
    for part in _parts_of(chart):
        digest.update(part)
    return digest.hexdigest()


def _parts_of(shown: Any) -> Iterator[bytes]:
    """Yield the fields of a dataclass as bytes, those of dataclasses in it one by one."""
    for field in fields(shown):
        part = getattr(shown, field.name)
        yield f"\n{field.name} ".encode()
        if isinstance(part, np.ndarray):
            yield f"{part.dtype} {len(part)} ".encode()
            yield np.ascontiguousarray(part).tobytes()
        elif is_dataclass(part):
            yield from _parts_of(part)
        else:
            yield repr(part).encode("utf-8", "surrogatepass")


@lru_cache(maxsize=1)
def _rasteriser() -> str:
    return version("matplotlib")


def _quantise(drawing: Drawing) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the palette index of each pixel (height, width), and the palette (n, 3), n <= 128."""
    words = np.ascontiguousarray(drawing.pixels).view("<u4")[..., 0]
    background = _word(drawing.theme.background)
    # Most of a chart is background, which has index 0; only the rest is quantised.
    covered = words != background
    shades = words[covered]
    cells = _cells(shades)
    counts = np.bincount(cells, minlength=CELLS)
    used = np.flatnonzero(counts)
    used = used[np.argsort(-counts[used], kind="stable")]
    examples = np.zeros(CELLS, np.uint32)
    examples[cells] = shades
    for colour in reversed(drawing.theme.colours()):
        # The colours of the theme are in the palette exactly.
        word = _word(colour)
        examples[_cells(np.array([word]))] = word
    palette = _channels(np.append(background, examples[used]))
    places = np.zeros(CELLS, np.uint8)
    places[used] = _nearest(palette[1:], palette[:MAX_COLOURS])
    indices = np.zeros(words.shape, np.uint8)
    indices[covered] = places[cells]
    return indices, palette[:MAX_COLOURS]


def _nearest(colours: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the palette index of the nearest colour for each colour, the first of equal ones."""
    here, there = colours.astype(np.float32), palette.astype(np.float32)
    # The square of a distance without the square of `here`, which is the same for every place.
    return np.asarray(((there * there).sum(axis=1) - 2 * (here @ there.T)).argmin(axis=1))


def _cells(words: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Return the five upper bits of red, green and blue as one number a pixel."""
    cells = (words >> 3) & 0x1F
    cells |= (words >> 6) & 0x3E0
    cells |= (words >> 9) & 0x7C00
    return cells.astype(np.intp)


def _word(colour: Rgb) -> np.uint32:
    """Return the opaque colour as a little-endian pixel of four bytes."""
    red, green, blue = colour
    return np.uint32(red | green << 8 | blue << 16 | 255 << 24)


def _channels(words: NDArray[np.uint32]) -> NDArray[np.uint8]:
    return np.stack([(words >> shift) & 0xFF for shift in (0, 8, 16)], axis=1).astype(np.uint8)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

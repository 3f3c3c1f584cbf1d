"""Draws text as grey bitmaps, also where the fonts lack some characters.

Any Unicode text is accepted. A character without a glyph is drawn as a box, and `$` is no markup.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.font_manager import fontManager, get_font
from numpy.typing import NDArray

MAX_CHARACTERS: Final = 120
MAX_LINES: Final = 3
ELLIPSIS: Final = "…"
# Is drawn in place of a character that no available font has.
MISSING: Final = "□"
# Font families for characters that the bundled font lacks, in this order, where installed.
FALLBACK_FAMILIES: Final = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "IPAGothic",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Emoji",
    "Symbola",
    "Unifont",
)


@dataclass(frozen=True, slots=True)
class TextBitmap:
    """A line of text as grey pixels, and where they lie.

    `coverage` uint8 (height, width), 0 to 255; `left` pixels from the start of the text to its
    first column, `above` pixels from its first row down to the baseline; `width` of the text in
    pixels.
    """

    coverage: NDArray[np.uint8]
    left: int
    above: int
    width: float


@lru_cache(maxsize=512)
def text_bitmap(text: str, size: float, *, bold: bool = False) -> TextBitmap:
    """Return the text as a bitmap; `size` is in pixels. At most 120 characters are drawn.

    >>> text_bitmap("cpu", 11.0).coverage.max()
    np.uint8(255)
    """
    line = drawable(text)
    font = get_font(_font_paths(bold=bold))
    font.clear()
    font.set_size(size, 72)
    font.set_text(line, 0.0)
    font.draw_glyphs_to_bitmap(antialiased=True)
    coverage = np.array(font.get_image(), np.uint8)
    coverage.setflags(write=False)
    left, _ = font.get_bitmap_offset()
    above = coverage.shape[0] - round(font.get_descent() / 64)
    return TextBitmap(coverage, round(left / 64), above, font.get_width_height()[0] / 64)


def fitted(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return the text, cut with an ellipsis where it is wider than `width` pixels.

    >>> fitted("node_network_receive_bytes_total", 60.0, 11.0).endswith(ELLIPSIS)
    True
    """
    text = drawable(text)
    if text_bitmap(text, size, bold=bold).width <= width:
        return text
    shortest, longest = 0, len(text) - 1
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if text_bitmap(text[:middle] + ELLIPSIS, size, bold=bold).width <= width:
            shortest = middle
        else:
            longest = middle - 1
    return text[:shortest].rstrip() + ELLIPSIS


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Return the text in lines of at most `width` pixels, at most `MAX_LINES` of them.

    It is broken between words; a single word that is too wide is cut, and so is the last line.

    >>> wrapped("as far outside of the range, as long", 120.0, 11.0)
    ['as far outside of the', 'range, as long']
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        is_last = len(lines) == MAX_LINES
        # Of a longer text only the beginning is drawn and measured.
        has_room = len(longer) <= MAX_CHARACTERS and text_bitmap(longer, size).width <= width
        if is_last or not lines[-1] or has_room:
            lines[-1] = longer
        else:
            lines.append(word)
    return [fitted(line, width, size) for line in lines if line]


def drawable(text: str) -> str:
    r"""Return the text as one line of at most 120 characters that the fonts have.

    >>> drawable("two\nlines")
    'two lines'
    """
    text = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + ELLIPSIS
    return "".join(_drawable_character(character) for character in text)


def _drawable_character(character: str) -> str:
    if ord(character) in _characters():
        kind = unicodedata.category(character)
        return "" if kind == "Cf" else " " if kind in {"Cc", "Zl", "Zp"} else character
    kind = unicodedata.category(character)
    if kind in {"Cf", "Mn", "Me"}:
        return ""
    return " " if kind in {"Cc", "Zl", "Zp", "Zs"} else MISSING


@lru_cache(maxsize=2)
def _font_paths(*, bold: bool) -> tuple[str, ...]:
    """Return the font files in the order in which they are searched, the bundled one first."""
    bundled = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / bundled
    return (str(path), *_fallback_paths())


@lru_cache(maxsize=1)
def _fallback_paths() -> tuple[str, ...]:
    """Return the installed files of the fallback families that can be opened."""
    files = {entry.name: entry.fname for entry in reversed(fontManager.ttflist)}
    wanted = [files[family] for family in FALLBACK_FAMILIES if family in files]
    return tuple(path for path in wanted if _opens(path))


def _opens(path: str) -> bool:
    """Return whether the font file can be read and scaled."""
    try:
        return bool(get_font([path]).scalable)
    except (OSError, RuntimeError):
        return False


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    """Return the code points that both the plain and the bold fonts have."""
    chains = [[get_font([path]) for path in _font_paths(bold=bold)] for bold in (False, True)]
    plain, bold = (set[int]().union(*(font.get_charmap() for font in chain)) for chain in chains)
    return frozenset(plain & bold)

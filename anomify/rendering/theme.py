"""The colours and sizes of a picture, equal to those of the pages."""

from dataclasses import dataclass
from typing import Final, Literal

ThemeName = Literal["light", "dark"]
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture, as red, green and blue 0..255, and the opacities of its areas.

    >>> LIGHT.colours()[0]
    (255, 255, 255)
    """

    background: Rgb
    ink: Rgb
    muted: Rgb
    grid: Rgb
    axis: Rgb
    value: Rgb
    band: Rgb
    anomaly: Rgb
    match: Rgb
    pattern: Rgb
    event: Rgb
    band_alpha: float
    span_alpha: float

    def colours(self) -> tuple[Rgb, ...]:
        """Return the colours that the palette must contain exactly, the background first."""
        return (
            *(self.background, self.ink, self.muted, self.grid, self.axis),
            *(self.value, self.band, self.anomaly, self.match, self.pattern, self.event),
            self._over_background(self.band, self.band_alpha),
            self._over_background(self.anomaly, self.span_alpha),
            self._over_background(self.match, self.span_alpha),
        )

    def _over_background(self, colour: Rgb, alpha: float) -> Rgb:
        red, green, blue = (
            round(below * (1 - alpha) + above * alpha)
            for below, above in zip(self.background, colour, strict=True)
        )
        return red, green, blue


LIGHT: Final = Theme(
    background=(0xFF, 0xFF, 0xFF),
    ink=(0x1F, 0x23, 0x28),
    muted=(0x65, 0x6D, 0x76),
    grid=(0xEE, 0xF1, 0xF4),
    axis=(0xD0, 0xD7, 0xDE),
    value=(0x1F, 0x6F, 0xEB),
    band=(0x6E, 0x77, 0x81),
    anomaly=(0xD9, 0x48, 0x0F),
    match=(0x2B, 0x8A, 0x3E),
    pattern=(0xA6, 0xDD, 0xB4),
    event=(0x86, 0x2E, 0x9C),
    band_alpha=0.15,
    span_alpha=0.10,
)
DARK: Final = Theme(
    background=(0x0D, 0x11, 0x17),
    ink=(0xE6, 0xED, 0xF3),
    muted=(0x8B, 0x94, 0x9E),
    grid=(0x1D, 0x23, 0x2B),
    axis=(0x3B, 0x43, 0x4D),
    value=(0x58, 0xA6, 0xFF),
    band=(0x6E, 0x77, 0x81),
    anomaly=(0xFF, 0x92, 0x2B),
    match=(0x51, 0xCF, 0x66),
    pattern=(0x23, 0x5C, 0x33),
    event=(0xCC, 0x8A, 0xDF),
    # The same perceived contrast with a dark background as 15 % with white.
    band_alpha=0.28,
    span_alpha=0.14,
)
THEMES: Final[dict[ThemeName, Theme]] = {"light": LIGHT, "dark": DARK}

# Sizes in CSS pixels; a picture for a dense screen multiplies them by its scale.
VALUE_WIDTH: Final = 1.5
PATTERN_WIDTH: Final = 5.0
STEM_WIDTH: Final = 1.0
STEM_ALPHA: Final = 0.6
MARK_SIZE: Final = 9.0
# The lengths of a dash and of the gap after it.
DASH: Final = 4.0
DASH_GAP: Final = 3.0
TITLE_SIZE: Final = 13.0
LABEL_SIZE: Final = 11.0

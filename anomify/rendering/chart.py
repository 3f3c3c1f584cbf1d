"""What a picture of one metric shows, as data, without anything that can draw."""

from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from anomify.errors import Invalid
from anomify.rendering.theme import THEMES, ThemeName
from anomify.series import Float32s, Float64s, Int64s

DEFAULT_WIDTH: Final = 800
DEFAULT_HEIGHT: Final = 300
MIN_WIDTH: Final = 200
MIN_HEIGHT: Final = 100
# In pixels of the finished picture, so that a dense screen's picture is bounded too.
MAX_WIDTH: Final = 2_000
MAX_HEIGHT: Final = 1_200
SCALES: Final = (1, 2)
MAX_MARKS: Final = 1_000
# Calendars end somewhere; nobody measures beyond the year 2200.
MAX_TIME: Final = 7_258_118_400_000


@dataclass(frozen=True, slots=True)
class Mark:
    """Something found in the metric, from its first time to its last, both unix milliseconds.

    `last_time` is None while it still goes on; `score` is the display score 0..1.
    """

    first_time: int
    last_time: int | None
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class ChartEvent:
    """Something that happened around the metric, such as a deploy; time in unix milliseconds."""

    time: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLook:
    """How a chart is to look: a size that is checked, a theme, and what of it is shown.

    `width` and `height` are CSS pixels, of which a picture has `scale` squared each.
    """

    width: int = DEFAULT_WIDTH
    height: int = DEFAULT_HEIGHT
    scale: int = 1
    theme: ThemeName = "light"
    display_x_axis: bool = True
    display_y_axis: bool = True
    display_legend: bool = True
    display_anomalies: bool = True
    display_matches: bool = True
    display_events: bool = True

    def __post_init__(self) -> None:
        """Refuse a size that cannot be read or drawn and a theme that is none."""
        check_size(self.width, self.height, self.scale)
        if self.theme not in THEMES:
            raise Invalid("The theme is light or dark.", fields={"theme": "light or dark"})


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """The expected range after the newest point: times in unix milliseconds, ascending."""

    times: Int64s
    lowers: Float64s
    uppers: Float64s


NOTHING_AHEAD = Ahead(np.empty(0, np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chart:
    """One metric over one window: complete, checked and ready to be drawn.

    `times` are unix milliseconds, ascending; `lowers` and `uppers` are the expected range of each
    point, NaN where there is none. `step` is the metric's usual distance between two points in
    milliseconds where it is known; a much longer distance is a gap and is not bridged.
    """

    title: str
    times: Int64s
    values: Float64s
    lowers: Float32s | Float64s
    uppers: Float32s | Float64s
    ahead: Ahead = field(default_factory=lambda: NOTHING_AHEAD)
    from_time: int
    until_time: int
    anomalies: tuple[Mark, ...] = ()
    matches: tuple[Mark, ...] = ()
    events: tuple[ChartEvent, ...] = ()
    step: int | None = None
    timezone: str = "UTC"
    unit: str = ""
    look: ChartLook = field(default_factory=ChartLook)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, naming the field and its bounds."""
        if {len(self.values), len(self.lowers), len(self.uppers)} != {len(self.times)}:
            message = "Each point of a chart needs a time, a value and both ends of its range."
            raise ValueError(message)
        if not 0 <= self.from_time < self.until_time <= MAX_TIME:
            raise Invalid(
                "The window must begin after 1970 and before it ends.",
                fields={"from": "must be before until", "until": "must be after from"},
            )
        if max(len(self.anomalies), len(self.matches), len(self.events)) > MAX_MARKS:
            raise Invalid(f"A chart shows at most {MAX_MARKS} anomalies, matches or events.")
        zone(self.timezone)


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One word of the legend and which mark it explains."""

    mark: str
    label: str


def legend(chart: Chart) -> tuple[LegendEntry, ...]:
    """Return the legend's entries, in the words and the order the pages use too."""
    entries = [LegendEntry("value", "Value")]
    if has_expected_range(chart):
        entries.append(LegendEntry("band", "Expected range"))
    if chart.look.display_anomalies:
        entries.append(LegendEntry("anomaly", f"Anomaly ({len(visible(chart, chart.anomalies))})"))
    matches = visible(chart, chart.matches)
    if chart.look.display_matches and matches:
        entries.append(LegendEntry("match", f"Match ({len(matches)})"))
    if events := visible_events(chart):
        entries.append(LegendEntry("event", f"Event ({len(events)})"))
    return tuple(entries)


def visible(chart: Chart, marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Return the marks of which at least a moment lies in the chart's window."""
    return tuple(
        mark
        for mark in marks
        if mark.first_time <= chart.until_time
        and (mark.last_time is None or mark.last_time >= chart.from_time)
    )


def visible_events(chart: Chart) -> tuple[ChartEvent, ...]:
    """Return the events that are to be shown, oldest first; none where the look has none."""
    if not chart.look.display_events:
        return ()
    inside = [one for one in chart.events if chart.from_time <= one.time <= chart.until_time]
    return tuple(sorted(inside, key=lambda event: event.time))


def has_expected_range(chart: Chart) -> bool:
    """Return whether any point in the window has an expected range."""
    inside = (chart.times >= chart.from_time) & (chart.times <= chart.until_time)
    return bool(np.any(inside & np.isfinite(chart.lowers) & np.isfinite(chart.uppers)))


def zone(name: str) -> ZoneInfo:
    """Return the time zone of that name, or refuse the name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise Invalid(
            "We do not know this time zone; use a name such as Europe/Berlin.",
            fields={"timezone": "unknown"},
        ) from unknown


def check_size(width: int, height: int, scale: int) -> None:
    """Refuse a picture that is too small to read or too large to draw."""
    if scale not in SCALES:
        raise Invalid("The scale of a picture is 1 or 2.", fields={"scale": "1 or 2"})
    sides = (
        ("width", width, MIN_WIDTH, MAX_WIDTH // scale),
        ("height", height, MIN_HEIGHT, MAX_HEIGHT // scale),
    )
    for side, pixels, least, most in sides:
        if not least <= pixels <= most:
            raise Invalid(
                f"The {side} of a picture is {least} to {most} pixels.",
                fields={side: f"{least} to {most}"},
            )

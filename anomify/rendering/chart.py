"""The contents of a picture of one metric as checked values; nothing here draws."""

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
# The first moment of the year 2200, unix milliseconds; calendars of libraries end somewhat later.
MAX_TIME: Final = 7_258_118_400_000


@dataclass(frozen=True, slots=True)
class Mark:
    """An anomaly or a match, from its first time to its last, both unix milliseconds.

    `last_time` is None while it is open; `score` is the display score 0..1.
    """

    first_time: int
    last_time: int | None
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class ChartEvent:
    """An event beside the metric, such as a deploy; `time` in unix milliseconds."""

    time: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLook:
    """The size of a chart, its theme, and which of its parts are shown.

    `width` and `height` are CSS pixels; the picture has `scale` times as many in each direction.
    Raises `Invalid` for a size outside the limits and an unknown theme.

    >>> ChartLook(width=10)
    Traceback (most recent call last):
    anomify.errors.Invalid: The width of a picture is 200 to 2000 pixels.
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
        """Raise `Invalid` for a size outside the limits and for an unknown theme."""
        check_size(self.width, self.height, self.scale)
        if self.theme not in THEMES:
            raise Invalid("The theme is light or dark.", fields={"theme": "light or dark"})


@dataclass(frozen=True, slots=True, eq=False)
class ForecastRange:
    """The expected range after the newest point at n times, unix milliseconds, ascending.

    `times` int64 (n,); `lowers` and `uppers` float64 (n,).
    """

    times: Int64s
    lowers: Float64s
    uppers: Float64s


@dataclass(frozen=True, slots=True, eq=False)
class PatternCurve:
    """A pattern that is drawn over the window, at the times of the window, unix milliseconds.

    `times` int64 (n,), ascending, and `values` float64 (n,). `label` is its entry in the legend.
    """

    times: Int64s
    values: Float64s
    label: str


NO_FORECAST = ForecastRange(np.empty(0, np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chart:
    """One metric over one window, `from_time` to `until_time` in unix milliseconds.

    `times` int64 (n,), unix milliseconds, ascending; `values` float64 (n,); `lowers` and `uppers`
    (n,) are the expected range of each point, NaN where there is none. `step` is the metric's usual
    time from point to point in milliseconds, None where it is unknown; the line is interrupted at a
    much longer one. `notes` are sentences that are written below the title. Raises ValueError for
    arrays of different lengths, and `Invalid` for a window, a time zone or a number of marks that
    cannot be drawn.
    """

    title: str
    times: Int64s
    values: Float64s
    lowers: Float32s | Float64s
    uppers: Float32s | Float64s
    forecast: ForecastRange = field(default_factory=lambda: NO_FORECAST)
    from_time: int
    until_time: int
    anomalies: tuple[Mark, ...] = ()
    matches: tuple[Mark, ...] = ()
    events: tuple[ChartEvent, ...] = ()
    pattern: PatternCurve | None = None
    notes: tuple[str, ...] = ()
    value_label: str = "Value"
    match_label: str = "Match"
    step: int | None = None
    timezone: str = "UTC"
    unit: str = ""
    look: ChartLook = field(default_factory=ChartLook)

    def __post_init__(self) -> None:
        """Raise `Invalid` for what cannot be drawn, with the field and its limits."""
        if {len(self.values), len(self.lowers), len(self.uppers)} != {len(self.times)}:
            message = "Each point of a chart needs a time, a value and both ends of its range."
            raise ValueError(message)
        if self.pattern is not None and len(self.pattern.times) != len(self.pattern.values):
            raise ValueError("Each point of a pattern needs a time and a value.")
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
    """One entry of the legend: the kind of mark, and its label."""

    mark: str
    label: str


def legend(chart: Chart) -> tuple[LegendEntry, ...]:
    """Return the entries of the legend, with the labels and in the order of the pages."""
    entries = [LegendEntry("value", chart.value_label)]
    if chart.pattern is not None:
        entries.append(LegendEntry("pattern", chart.pattern.label))
    if has_expected_range(chart):
        entries.append(LegendEntry("band", "Expected range"))
    anomalies = visible(chart, chart.anomalies)
    # A chart of a pattern is not about anomalies, so that it has none is not worth an entry.
    if chart.look.display_anomalies and (anomalies or chart.pattern is None):
        entries.append(LegendEntry("anomaly", f"Anomaly ({len(anomalies)})"))
    matches = visible(chart, chart.matches)
    if chart.look.display_matches and matches:
        entries.append(LegendEntry("match", f"{chart.match_label} ({len(matches)})"))
    if events := visible_events(chart):
        entries.append(LegendEntry("event", f"Event ({len(events)})"))
    return tuple(entries)


def visible(chart: Chart, marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Return the marks that overlap the chart's window."""
    return tuple(
        mark
        for mark in marks
        if mark.first_time <= chart.until_time
        and (mark.last_time is None or mark.last_time >= chart.from_time)
    )


def visible_events(chart: Chart) -> tuple[ChartEvent, ...]:
    """Return the events in the chart's window, oldest first; none if the look hides them."""
    if not chart.look.display_events:
        return ()
    inside = [one for one in chart.events if chart.from_time <= one.time <= chart.until_time]
    return tuple(sorted(inside, key=lambda event: event.time))


def has_expected_range(chart: Chart) -> bool:
    """Return whether any point in the window has an expected range."""
    inside = (chart.times >= chart.from_time) & (chart.times <= chart.until_time)
    return bool(np.any(inside & np.isfinite(chart.lowers) & np.isfinite(chart.uppers)))


def zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name. Raises `Invalid` for an unknown one.

    >>> zone("Europe/Berlin").key
    'Europe/Berlin'
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise Invalid(
            "We do not know this time zone; use a name such as Europe/Berlin.",
            fields={"timezone": "unknown"},
        ) from unknown


def check_size(width: int, height: int, scale: int) -> None:
    """Raise `Invalid` for a size in CSS pixels or a scale outside the limits."""
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

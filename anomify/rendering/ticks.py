"""Chooses the ticks of an axis and their labels: round values, and round local times.

Steps of 1, 2, 2.5 and 5 times a power of ten follow P. S. Heckbert, "Nice Numbers for Graph
Labels", Graphics Gems (1990). Prefixes such as k and M are those of the International System of
Units.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

MAX_TICKS: Final = 64

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
CLOCK_STEPS: Final = (1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE)
CLOCK_STEPS_LONG: Final = (15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR)
DAY_STEPS: Final = (1, 2, 7, 14)
MONTH_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240)
MONTH_SECONDS: Final = 30.44 * DAY
# Not from the locale of the server, so that equal charts give equal pictures.
MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

# Exponents of ten and their SI prefixes; below one only where three decimals do not suffice.
PREFIXES: Final = (
    (12, "T"),
    (9, "G"),
    (6, "M"),
    (3, "k"),
    (0, ""),
    (-3, "m"),
    (-6, "µ"),
    (-9, "n"),
)
MAX_DECIMALS: Final = 3
# Outside of these limits labels have an exponent instead of a prefix.
SMALLEST_NAMED: Final = 1e-9
LARGEST_NAMED: Final = 1e15


@dataclass(frozen=True, slots=True)
class TimeTick:
    """A tick of the time axis: unix milliseconds, its label, and the label of a date or year.

    `wider` is the date (or year) that begins at this tick, empty where none does.
    """

    time: int
    label: str
    wider: str


def value_ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round values from `low` to `high`, ascending.

    >>> value_ticks(0.0, 95.0, 4)
    [0.0, 25.0, 50.0, 75.0]
    """
    step = _round_step((high - low) / max(count, 1))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [number * step for number in range(first, min(last, first + MAX_TICKS) + 1)]


def value_labels(ticks: list[float]) -> list[str]:
    """Return the label of each tick; all have the same prefix and number of decimals.

    >>> value_labels([0.0, 2500.0, 5000.0])
    ['0', '2.5k', '5.0k']
    """
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest == 0.0:
        return ["0"] * len(ticks)
    step = min((b - a for a, b in pairwise(ticks)), default=largest)
    if not SMALLEST_NAMED <= largest < LARGEST_NAMED:
        return [f"{tick:.3g}" for tick in ticks]
    exponent, letter = _prefix(largest, step)
    decimals = _decimals(step / 10.0**exponent)
    labels = [f"{tick / 10.0**exponent:,.{decimals}f}" for tick in ticks]
    return ["0" if float(label.replace(",", "")) == 0 else label + letter for label in labels]


def time_ticks(from_time: int, until_time: int, zone: ZoneInfo, count: int) -> list[TimeTick]:
    """Return about `count` round local times of a window in unix milliseconds, ascending.

    >>> [tick.label for tick in time_ticks(0, 3_600_000, ZoneInfo("UTC"), 4)]
    ['00:00', '00:15', '00:30', '00:45', '01:00']
    """
    span = (until_time - from_time) / 1000
    spacing = span / max(count, 1)
    for step in CLOCK_STEPS + CLOCK_STEPS_LONG:
        if step >= spacing:
            return _clock_ticks(from_time, until_time, zone, step)
    for days in DAY_STEPS:
        if days * DAY >= spacing:
            return _date_ticks(from_time, until_time, zone, _days(from_time, zone, days))
    months = next((m for m in MONTH_STEPS if m * MONTH_SECONDS >= spacing), MONTH_STEPS[-1])
    return _date_ticks(
        from_time, until_time, zone, _months(from_time, zone, months), with_day=False
    )


def zone_label(time: int, zone: ZoneInfo) -> str:
    """Return the abbreviation of a zone at a time in unix milliseconds, or its offset from UTC.

    >>> zone_label(0, ZoneInfo("Europe/Berlin")), zone_label(0, ZoneInfo("Asia/Kathmandu"))
    ('CET', 'UTC+05:30')
    """
    local = _local(time, zone)
    name = local.tzname() or zone.key
    return name if name.isalpha() else f"UTC{local.isoformat()[-6:]}"


def _round_step(rough: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough * (1 - 1e-9))


def _prefix(largest: float, step: float) -> tuple[int, str]:
    """Return the exponent and prefix with which labels are short and still differ by the step."""
    for exponent, letter in PREFIXES:
        if largest < 10.0**exponent * (0.01 if exponent == 0 else 1):
            continue
        if exponent <= 0 or _decimals(step / 10.0**exponent) <= MAX_DECIMALS:
            return exponent, letter
    return PREFIXES[-1]


def _decimals(step: float) -> int:
    """Return how many decimals a multiple of `step` needs."""
    if step <= 0:
        return MAX_DECIMALS
    for decimals in range(10):
        scaled = step * 10**decimals
        if scaled >= 1 - 1e-9 and abs(scaled - round(scaled)) < 1e-6 * scaled:
            return decimals
    return 9


def _clock_ticks(from_time: int, until_time: int, zone: ZoneInfo, step: int) -> list[TimeTick]:
    """Return the times whose local clock shows a multiple of `step` seconds since midnight."""
    ticks: list[TimeTick] = []
    day = None
    form = "%H:%M" if step >= MINUTE else "%H:%M:%S"
    moments = _even_moments if step < HOUR else _wall_moments
    for time in moments(from_time, zone, step):
        if time > until_time or len(ticks) >= MAX_TICKS:
            break
        if time < from_time:
            continue
        local = _local(time, zone)
        date = f"{local.day} {MONTHS[local.month - 1]}"
        ticks.append(TimeTick(time, local.strftime(form), date if date != day else ""))
        day = date
    return ticks


def _even_moments(from_time: int, zone: ZoneInfo, step: int) -> Iterator[int]:
    """Yield times in milliseconds, `step` seconds apart, aligned to the local clock at first."""
    offset = _local(from_time, zone).utcoffset() or timedelta()
    shift = int(offset.total_seconds())
    moment = (from_time // 1000 + shift) // step * step - shift
    while True:
        yield moment * 1000
        moment += step


def _wall_moments(from_time: int, zone: ZoneInfo, step: int) -> Iterator[int]:
    """Yield the times of round local hours in milliseconds, each once at changes of clocks too."""
    local = _local(from_time, zone).replace(tzinfo=None)
    wall = local.replace(hour=local.hour // (step // HOUR) * (step // HOUR))
    wall = wall.replace(minute=0, second=0, microsecond=0)
    while True:
        aware = wall.replace(tzinfo=zone)
        # A local time that is skipped when clocks go forward does not exist.
        if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall:
            yield int(aware.timestamp()) * 1000
        wall += timedelta(seconds=step)


def _days(from_time: int, zone: ZoneInfo, step: int) -> Iterator[datetime]:
    """Yield every `step`-th local midnight; weeks begin on Monday."""
    start = _local(from_time, zone).replace(tzinfo=None)
    ordinal = (start.toordinal() - 1) // step * step + 1
    while True:
        yield datetime.fromordinal(ordinal)
        ordinal += step


def _months(from_time: int, zone: ZoneInfo, step: int) -> Iterator[datetime]:
    """Yield the first midnight of every `step`-th month."""
    start = _local(from_time, zone)
    month = (start.year * 12 + start.month - 1) // step * step
    while True:
        yield datetime(month // 12, month % 12 + 1, 1)  # noqa: DTZ001, a wall time; the caller adds the zone
        month += step


def _date_ticks(
    from_time: int,
    until_time: int,
    zone: ZoneInfo,
    midnights: Iterator[datetime],
    *,
    with_day: bool = True,
) -> list[TimeTick]:
    """Return the midnights inside the window, labelled with day or month, and the year."""
    ticks: list[TimeTick] = []
    year = None
    for midnight in midnights:
        time = int(midnight.replace(tzinfo=zone).timestamp()) * 1000
        if time > until_time or len(ticks) >= MAX_TICKS:
            break
        if time < from_time:
            continue
        month = MONTHS[midnight.month - 1]
        label = f"{midnight.day} {month}" if with_day else month
        ticks.append(TimeTick(time, label, str(midnight.year) if midnight.year != year else ""))
        year = midnight.year
    return ticks


def _local(time: int, zone: ZoneInfo) -> datetime:
    """Return the local date and time, in whole seconds."""
    return datetime.fromtimestamp(time // 1000, zone)

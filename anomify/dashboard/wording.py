"""Format times, numbers and metric names for pages, the same way as static/js/numbers.js."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from anomify.clock import datetime_from_ms
from anomify.metric.name import NAME_LABEL, NameRefused, parse_name

NO_VALUE: Final = "\N{EN DASH}"
MINUS: Final = "\N{MINUS SIGN}"
SIGNIFICANT_DIGITS: Final = 6
TINY_DIGITS: Final = 4
# Outside of these, a number is easier to read with an exponent.
PLAIN_FROM: Final = 1e-4
PLAIN_BELOW: Final = 1e15
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for a page: in ISO format, in words in the org's time zone, and in UTC."""

    iso: str
    words: str
    utc: str


def moment(time_ms: int, zone: ZoneInfo, at: datetime) -> Moment:
    """Return a time in a time zone in words, such as Today 14:05 or 18 Nov 09:12."""
    utc = datetime_from_ms(time_ms)
    local, today = utc.astimezone(zone), at.astimezone(zone)
    if local.date() == today.date():
        day = "Today"
    elif local.date() == today.date() - timedelta(days=1):
        day = "Yesterday"
    else:
        day = f"{local.day} {MONTHS[local.month - 1]}"
        if local.year != today.year:
            day += f" {local.year}"
    return Moment(
        utc.isoformat(timespec="seconds"), f"{day} {local:%H:%M}", f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    )


def number(value: float | None) -> str:
    """Return a value with six significant digits, and all digits before the decimal point."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    if value and not PLAIN_FROM <= abs(value) < PLAIN_BELOW:
        rounded = _exact(value, TINY_DIGITS)
        exponent = rounded.adjusted()
        return _signed(f"{rounded.scaleb(-exponent).normalize():f}e{exponent}")
    if abs(value) >= 10.0**SIGNIFICANT_DIGITS:
        return _signed(_plain(value, 0))
    return _signed(f"{_exact(value, SIGNIFICANT_DIGITS).normalize():,f}")


def expected(lower: float, upper: float) -> str:
    """Return an expected range as text, with as many decimals as its width justifies.

    A no-data anomaly has no range: any point was expected.
    """
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return "a point"
    width = upper - lower
    if not (PLAIN_FROM <= width < PLAIN_BELOW and max(abs(lower), abs(upper)) < PLAIN_BELOW):
        return f"{number(lower)} to {number(upper)}"
    places = max(0, 1 - math.floor(math.log10(width)))
    return " to ".join(_signed(_plain(end, places)) for end in (lower, upper))


def thousands(count: int) -> str:
    """Return a count with separators, such as 12,345."""
    return f"{count:,}"


def plain_name(name: str) -> str:
    """Return a metric's name without its labels."""
    return dict(_parsed(name)).get(NAME_LABEL, name)


def labels(name: str) -> list[tuple[str, str]]:
    """Return a metric's labels, without its name."""
    return [(label, value) for label, value in _parsed(name) if label != NAME_LABEL]


def initials(name: str) -> str:
    """Return the one or two initials of a name."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


def _exact(value: float, digits: int) -> Decimal:
    # From the shortest text of the number, halves rounded away from zero, as browsers do.
    return Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(repr(value))


def _plain(value: float, places: int) -> str:
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    text = f"{rounded:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(text: str) -> str:
    if not text.startswith("-"):
        return text
    return text.replace("-", MINUS, 1) if text.strip("-0.,") else "0"


def _parsed(name: str) -> tuple[tuple[str, str], ...]:
    found = parse_name(name)
    return () if isinstance(found, NameRefused) else found

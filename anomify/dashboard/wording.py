"""Format times, numbers and metric names for pages, the same way as static/js/numbers.js."""

import math
from dataclasses import dataclass, replace
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
# With so many more digits any two different numbers differ as text.
MOST_EXTRA: Final = 17
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


def within_sentence(found: Moment) -> Moment:
    """Return a time whose words stand within a sentence: today 14:05."""
    return replace(found, words=f"{found.words[0].lower()}{found.words[1:]}")


def number(value: float | None, extra: int = 0) -> str:
    """Return a value with six significant digits, and all digits before the decimal point.

    `extra` is the number of further digits after that.
    """
    if value is None or not math.isfinite(value):
        return NO_VALUE
    if value and not PLAIN_FROM <= abs(value) < PLAIN_BELOW:
        rounded = _exact(value, TINY_DIGITS + extra)
        exponent = rounded.adjusted()
        return _signed(f"{rounded.scaleb(-exponent).normalize():f}e{exponent}")
    if abs(value) >= 10.0**SIGNIFICANT_DIGITS:
        return _signed(_plain(value, extra))
    return _signed(f"{_exact(value, SIGNIFICANT_DIGITS + extra).normalize():,f}")


def value_and_expected(value: float, lower: float, upper: float) -> tuple[str, str]:
    """Return a value and its expected range as text.

    The range has as many decimals as its width justifies. Both have more where the value would
    otherwise look as if it were inside of its range though it is not, or the other way round. A
    no-data anomaly has no range: any point was expected.
    """
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return number(value), "a point"
    place = _place(value, lower, upper)
    shown, ends = number(value), _ends(lower, upper, 0)
    for extra in range(1, MOST_EXTRA if math.isfinite(value) else 0):
        if _place(*map(_read, (shown, *ends))) == place:
            break
        shown, ends = number(value, extra), _ends(lower, upper, extra)
    return shown, " to ".join(ends)


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


def _ends(lower: float, upper: float, extra: int) -> tuple[str, str]:
    width = upper - lower
    if not (PLAIN_FROM <= width < PLAIN_BELOW and max(abs(lower), abs(upper)) < PLAIN_BELOW):
        return number(lower, extra), number(upper, extra)
    places = max(0, 1 - math.floor(math.log10(width))) + extra
    return _signed(_plain(lower, places)), _signed(_plain(upper, places))


def _place(
    value: float | Decimal, lower: float | Decimal, upper: float | Decimal
) -> tuple[bool, bool]:
    """Return whether a value is below its range, and whether it is above."""
    return value < lower, value > upper


def _read(text: str) -> Decimal:
    """Return the number that a text shows."""
    return Decimal(text.replace(",", "").replace(MINUS, "-"))


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

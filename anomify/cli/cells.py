"""Parse a cell of a table as a number or a time, in the formats that programs write."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Final

# Numbers of ASCII digits alone: neither `1_000` nor digits of other scripts are accepted.
_SIGNED: Final = re.compile(r"([+-]?)([0-9].*|[.,][0-9].*)\Z", re.DOTALL)
_EXPONENT: Final = re.compile(r"[eE][+-]?[0-9]+\Z")
# Groups of thousands separated by a space, a no-break or thin space or an apostrophe.
_SPACED: Final = re.compile(
    "[0-9]{1,3}(?:([ \u00a0\u2009\u202f'\u2019])[0-9]{3})(?:\\1[0-9]{3})*(?![0-9])"
)
_DIGITS: Final = re.compile(r"[0-9]+\Z")
_GROUPED: Final = {
    ",": re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+\Z"),
    ".": re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+\Z"),
}
# Numbers in which a point, if there is one, can only be the decimal separator.
_USUAL: Final = re.compile(
    r"[+-]?(?:[0-9]+|0?\.[0-9]+|0\.|[1-9][0-9]*\.(?:[0-9]{0,2}|[0-9]{4,})|[0-9]{4,}\.[0-9]*)"
    r"(?:[eE][+-]?[0-9]+)?\Z"
)
_MISSING: Final = frozenset(
    {"", "nan", "+nan", "-nan", "null", "none", "na", "n/a", "nil", "undefined", "-", "\\n"}
)
_SHOWN_CHARACTERS: Final = 60

# The size of a number shows its unit: this many seconds are in the year 5138, and this many
# milliseconds, microseconds and nanoseconds are in 1973.
_SECONDS_BELOW: Final = 10**11
UNIX_SECONDS: Final = "unix seconds"
# Each with its limit and how many of the unit are a millisecond.
_SMALLER_UNITS: Final = (
    (10**14, 1, "unix milliseconds"),
    (10**17, 1_000, "unix microseconds"),
    (10**20, 1_000_000, "unix nanoseconds"),
)
UNIX_KINDS: Final = frozenset({UNIX_SECONDS, *(kind for _, _, kind in _SMALLER_UNITS)})
_NUMERIC_TIME: Final = re.compile(r"([+-]?)([0-9]{1,25})(?:[.,]([0-9]*))?\Z")
_SCIENTIFIC: Final = re.compile(r"([0-9])\.([0-9]+)[eE]\+?([0-9]{1,2})\Z")
_COMPACT: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_COMPACT_YEARS: Final = (1970, 2100)
_ZONE_NAME: Final = re.compile(r"\s*(?:UTC|GMT|Z)\Z", re.IGNORECASE)
_ZONE_OFFSET: Final = re.compile(r"\s+([+-][0-9]{2}:?[0-9]{2})\Z")
_YEAR_FIRST: Final = re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})(.*)\Z", re.DOTALL)
_YEAR_LAST: Final = re.compile(
    r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})(?:[ T,]+([0-9].*))?\Z", re.DOTALL
)
_CLOCK: Final = re.compile(
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?(?:\s*([AaPp])\.?[Mm]\.?)?\Z"
)
# A number with so many digits before the point is taken for a time, from 1973 on.
_MOMENT_DIGITS: Final = 9


class Decimal(StrEnum):
    """The decimal separator of a number; the other of the two separates thousands."""

    POINT = "point"
    COMMA = "comma"


class Writing(Enum):
    """What the format of one number shows about decimals and thousands."""

    # No point and no comma.
    WHOLE = 0
    POINT = 1
    COMMA = 2
    # 1.234 and 1,234: decimals or thousands.
    EITHER_POINT = 3
    EITHER_COMMA = 4


@dataclass(slots=True)
class ParsedTime:
    """A time as unix milliseconds, and how it was written."""

    ms: int
    kind: str
    # Whether the day comes before the month, where the format shows it; else None.
    day_first: bool | None = None
    is_order_unknown: bool = False


COMPACT_DATES: Final = "dates such as 20261128"
ISO_ZONED: Final = "ISO 8601"
ISO_UTC: Final = "ISO 8601 taken as UTC"
DAY_FIRST: Final = "day.month.year taken as UTC"
MONTH_FIRST: Final = "month/day/year taken as UTC"


def is_missing(text: str) -> bool:
    """Return whether a cell stands for a missing value."""
    return text.lower() in _MISSING


def is_usual(text: str) -> bool:
    """Return whether a cell is a number that needs no decimal separator from other cells.

    >>> is_usual("21.5"), is_usual("1.234"), is_usual("1_000")
    (True, False, False)
    """
    return _USUAL.match(text) is not None


def writing_of(text: str) -> Writing | None:
    """Return what the format of a number shows, or None where this is no number.

    >>> [writing_of(text).name for text in ("1,5", "1.234", "1.234,5", "1 234", "1,234,567")]
    ['COMMA', 'EITHER_POINT', 'COMMA', 'WHOLE', 'POINT']
    >>> writing_of("1_000") is writing_of("1,23,456") is writing_of("21.5%") is None
    True
    """
    found = _SIGNED.match(text)
    if found is None:
        return None
    body, has_exponent = found[2], False
    if exponent := _EXPONENT.search(body):
        body, has_exponent = body[: exponent.start()], True
    spaced = _SPACED.match(body)
    if spaced is not None:
        body = "0000" + re.sub("[^0-9]", "", spaced[0]) + body[spaced.end() :]
    if not body.strip(".,") or body.strip("0123456789.,"):
        return None
    marks = [character for character in body if character in ".,"]
    if not marks:
        return Writing.WHOLE
    decimal = marks[-1]
    whole, _, decimals = body.rpartition(decimal)
    means = Writing.POINT if decimal == "." else Writing.COMMA
    if len(set(marks)) == 2:  # noqa: PLR2004 -- both a point and a comma
        other = "," if decimal == "." else "."
        return means if _GROUPED[other].match(whole) and not has_exponent else None
    if len(marks) > 1:
        if not _GROUPED[decimal].match(body) or has_exponent:
            return None
        return Writing.COMMA if decimal == "." else Writing.POINT
    if not _GROUPED[decimal].match(body) or has_exponent or not decimals:
        return means
    return Writing.EITHER_POINT if decimal == "." else Writing.EITHER_COMMA


def number_of(text: str, decimal: Decimal) -> float:
    """Return a number. Raises ValueError for other texts, and for the other separator."""
    writing = writing_of(text)
    wrong = Writing.COMMA if decimal is Decimal.POINT else Writing.POINT
    if writing is None or writing is wrong:
        raise ValueError(f"{shown(text)} is not a number")
    text = re.sub("[ \u00a0\u2009\u202f'\u2019]", "", text)
    if decimal is Decimal.COMMA:
        text = text.replace(".", "").replace(",", ".")
    return finite(text.replace(",", ""), text)


def finite(text: str, written: str) -> float:
    """Return the parsed number. Raises ValueError, quoting `written`, if it is infinite."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{shown(written)} is too large for a number")
    return value


def is_moment(text: str) -> bool:
    """Return whether a cell alone looks like a time: a date, or that many seconds since 1970."""
    found = _NUMERIC_TIME.match(text)
    if found is not None and len(found[2].lstrip("0")) < _MOMENT_DIGITS:
        return _compact(found) is not None
    try:
        moment_of(text)
    except ValueError:
        return False
    return True


def moment_of(text: str, *, day_first: bool | None = None) -> ParsedTime:
    """Return the time in a cell. Raises ValueError where there is none.

    `day_first` applies to dates such as 11/12/2026.

    >>> moment_of("1795890000").ms == moment_of("1795890000000000000").ms == 1795890000000
    True
    >>> moment_of("20261128").ms == moment_of("2026-11-28").ms == moment_of("28.11.2026 00:00").ms
    True
    """
    if not text.isascii():
        raise ValueError(f"{shown(text)} is not a timestamp")
    found = _NUMERIC_TIME.match(text)
    if found is not None:
        return _compact(found) or _unix(found)
    found = _SCIENTIFIC.match(text)
    if found is not None:
        power = int(found[3])
        if len(found[2]) < power:
            raise ValueError(f"{shown(text)} has lost digits; write timestamps in full")
        plain = f"{found[1]}{found[2][:power]}.{found[2][power:]}"
        return moment_of(plain, day_first=day_first)
    found = _YEAR_LAST.match(text)
    if found is not None:
        return _year_last(text, found, day_first=day_first)
    return _iso(text)


def moment_with_clock(date: str, clock: str, *, day_first: bool | None = None) -> ParsedTime:
    """Return the time of a date and a time of day. Raises ValueError where they are none."""
    day = moment_of(date, day_first=day_first)
    kind = day.kind if day.kind in {DAY_FIRST, MONTH_FIRST} else ISO_UTC
    return ParsedTime(day.ms + _clock_ms(clock), kind, day.day_first, day.is_order_unknown)


def is_clock(text: str) -> bool:
    """Return whether a cell is a time of day and nothing else."""
    return _CLOCK.match(text) is not None


def is_date(text: str) -> bool:
    """Return whether a cell is a date without a time of day."""
    found = _NUMERIC_TIME.match(text)
    if found is not None:
        return len(found[2]) == 8 and _compact(found) is not None  # noqa: PLR2004 -- the digits of 20261128
    return ":" not in text and "T" not in text and is_moment(text)


def shown(text: str) -> str:
    """Return a cell as a message quotes it."""
    return ascii(text[:_SHOWN_CHARACTERS])


def _unix(found: re.Match[str]) -> ParsedTime:
    sign, digits, decimals = found[1], found[2], found[3] or ""
    whole = int(digits)
    if whole < _SECONDS_BELOW:
        ms = round(float(f"{digits}.{decimals}") * 1000) if decimals else whole * 1000
        return ParsedTime(-ms if sign == "-" else ms, UNIX_SECONDS)
    for limit, per_ms, kind in _SMALLER_UNITS:
        if whole < limit:
            ms = (whole + per_ms // 2) // per_ms
            return ParsedTime(-ms if sign == "-" else ms, kind)
    raise ValueError(f"{shown(found[0])} is not a timestamp")


def _compact(found: re.Match[str]) -> ParsedTime | None:
    form = _COMPACT.get(len(found[2]))
    if form is None or found[1] or (found[3] or "").strip("0"):
        return None
    try:
        at = datetime.strptime(found[2], form).replace(tzinfo=UTC)
    except ValueError:
        return None
    if not _COMPACT_YEARS[0] <= at.year < _COMPACT_YEARS[1]:
        return None
    return ParsedTime(round(at.timestamp() * 1000), COMPACT_DATES)


def _iso(text: str) -> ParsedTime:
    written = text
    has_zone = _ZONE_NAME.search(text) is not None
    text = _ZONE_OFFSET.sub(r"\1", _ZONE_NAME.sub("", text))
    slashed = _YEAR_FIRST.match(text)
    if slashed is not None:
        text = f"{slashed[1]}-{slashed[2]:0>2}-{slashed[3]:0>2}{slashed[4]}"
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        else:
            has_zone = True
        # Without floats, so that every millisecond of every year is exact.
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(written)} is not a timestamp") from None
    ms = (since.days * 86_400 + since.seconds) * 1000 + (since.microseconds + 500) // 1000
    return ParsedTime(ms, ISO_ZONED if has_zone else ISO_UTC)


def _year_last(text: str, found: re.Match[str], *, day_first: bool | None) -> ParsedTime:
    one, mark, other, year, clock = found.groups()
    is_unknown = False
    shown_order: bool | None = None
    if mark == ".":
        first_is_day = True
    elif int(one) > 12 or int(other) > 12:  # noqa: PLR2004 -- months of a year
        shown_order = first_is_day = int(one) > 12  # noqa: PLR2004 -- months of a year
        if int(one) > 12 and int(other) > 12:  # noqa: PLR2004 -- months of a year
            raise ValueError(f"{shown(text)} is not a timestamp")
    else:
        is_unknown = one != other
        first_is_day = bool(day_first)
    day, month = (one, other) if first_is_day else (other, one)
    at = _iso(f"{year}-{month:0>2}-{day:0>2}")
    ms = at.ms + (_clock_ms(clock.strip()) if clock else 0)
    return ParsedTime(ms, DAY_FIRST if first_is_day else MONTH_FIRST, shown_order, is_unknown)


def _clock_ms(text: str) -> int:
    found = _CLOCK.match(_ZONE_NAME.sub("", text))
    if found is None:
        raise ValueError(f"{shown(text)} is not the time of a day")
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if not 1 <= hour <= 12:  # noqa: PLR2004 -- of a clock with AM and PM
            raise ValueError(f"{shown(text)} is not the time of a day")
        hour = hour % 12 + (12 if found[5] in "Pp" else 0)
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 -- limits of a clock
        raise ValueError(f"{shown(text)} is not the time of a day")
    return ((hour * 60 + minute) * 60 + second) * 1000 + int(f"{found[4] or 0:0<3}"[:3])

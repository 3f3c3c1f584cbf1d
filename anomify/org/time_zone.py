"""Time zones, and moments in words: how long ago something was."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale
from babel.core import get_global
from babel.dates import format_timedelta

LANGUAGE: Final = "en_GB"
UTC_NAME: Final = "UTC"
NOW: Final = "now"
# Shorter times are written as now.
LEAST: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A time zone with its IANA name; UTC has no country."""

    name: str
    country: str | None
    country_code: str | None
    utc_offset_seconds: int


def zones(at: datetime) -> list[TimeZone]:
    """Return the zones of countries and UTC, by name, with their offsets at that moment."""
    return [_zone(name, at) for name in zone_names()]


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Return the names of UTC and of the zones of countries."""
    lived_in = set(get_global("zone_territories")) & available_timezones()
    return (UTC_NAME, *sorted(lived_in - {UTC_NAME}))


def ago(then: datetime, at: datetime) -> str:
    """Return how long ago a moment was, or how far ahead it is, in one unit: 2 weeks ago."""
    elapsed = at - then
    if abs(elapsed) < LEAST:
        return NOW
    return format_timedelta(-elapsed, add_direction=True, threshold=1.0, locale=LANGUAGE)


def until_in_words(then: datetime, at: datetime) -> str:
    """Return how far ahead a moment is: in 42 minutes; `now` for one that has come."""
    return NOW if then <= at else ago(then, at)


def _zone(name: str, at: datetime) -> TimeZone:
    code = get_global("zone_territories").get(name)
    offset = at.astimezone(ZoneInfo(name)).utcoffset() or timedelta()
    country = Locale.parse(LANGUAGE).territories.get(code) if code else None
    return TimeZone(name, country, code, round(offset.total_seconds()))

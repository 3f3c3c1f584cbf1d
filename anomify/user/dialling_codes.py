"""The dialling codes of all countries."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import phonenumbers
from babel import Locale

LANGUAGE: Final = "en_GB"


@dataclass(frozen=True, slots=True)
class DiallingCode:
    """A country: its name, two-letter code and dialling code."""

    country: str
    iso: str
    code: str


@lru_cache(maxsize=1)
def dialling_codes() -> tuple[DiallingCode, ...]:
    """Return the dialling codes of all countries, by the countries' English names."""
    countries = Locale.parse(LANGUAGE).territories
    found = (
        DiallingCode(
            country=countries.get(iso, iso),
            iso=iso,
            code=f"+{phonenumbers.country_code_for_region(iso)}",
        )
        for iso in phonenumbers.SUPPORTED_REGIONS
    )
    return tuple(sorted(found, key=lambda one: one.country.casefold()))

"""Create an org."""

from zoneinfo import available_timezones

from anomify.clock import now
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.model import Org

NAME_CHARACTERS_MAX = 200


def create_org(name: str, *, timezone: str = "UTC", is_demo: bool = False) -> Org:
    """Create an org; names need not be unique.

    Raises `Invalid` for an unreadable name and for a time zone that does not exist.
    """
    org = Org(
        name=checked_name(name),
        timezone=checked_timezone(timezone),
        is_demo=is_demo,
        created_at=now(),
    )
    session().add(org)
    session().flush()
    return org


def checked_name(name: str) -> str:
    """Return the name without surrounding spaces. Raises `Invalid` for an unreadable name."""
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "An org needs a name.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    return named


def checked_timezone(timezone: str) -> str:
    """Return the time zone. Raises `Invalid` for one that does not exist."""
    if timezone not in available_timezones():
        raise Invalid(
            "There is no such time zone.", fields={"timezone": "A name like Europe/Berlin."}
        )
    return timezone

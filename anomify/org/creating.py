"""A new org."""

from zoneinfo import available_timezones

from anomify.clock import now
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.model import Org

NAME_CHARACTERS_MAX = 200


def create_org(name: str, *, timezone: str = "UTC", is_demo: bool = False) -> Org:
    """Make an org. Names need not be unique.

    Raises `Invalid` for a name nobody could read and for a time zone that does not exist.
    """
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "An org needs a name.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    if timezone not in available_timezones():
        raise Invalid(
            "There is no such time zone.", fields={"timezone": "A name like Europe/Berlin."}
        )
    org = Org(name=named, timezone=timezone, is_demo=is_demo, created_at=now())
    session().add(org)
    session().flush()
    return org

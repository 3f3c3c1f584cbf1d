"""A new org."""

from anomify.clock import now
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.model import Org

NAME_CHARACTERS_MAX = 200


def create_org(name: str, *, is_demo: bool = False) -> Org:
    """Make an org. Names need not be unique. Raises `Invalid` for a name nobody could read."""
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "An org needs a name.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    org = Org(name=named, is_demo=is_demo, created_at=now())
    session().add(org)
    session().flush()
    return org

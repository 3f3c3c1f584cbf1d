"""A new user of an org."""

import re

from sqlalchemy.exc import IntegrityError

from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Invalid
from anomify.org.model import Org
from anomify.user.model import User
from anomify.user.password import check_password_rule, hash_password
from anomify.user.queries import count_users, find_user_by_email

ROLES = ("owner", "admin", "editor", "viewer")
FIRST_ROLE = "owner"
NAME_CHARACTERS_MAX = 200
EMAIL_CHARACTERS_MAX = 320
# Whether an address exists only a mail can tell; this keeps out what cannot be one, and anything
# that would be more than an address in the header of a mail.
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+\Z")


def create_user(org: Org, email: str, name: str, role: str, password: str) -> User:
    """Make a user; the first one of an org is its owner, whatever the role says.

    Raises `Invalid` for an address, name, role or password that cannot be, and `Conflict` for an
    address that somebody has: it belongs to one org only.
    """
    address = fold_email(email)
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "A user needs a name.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    if role not in ROLES:
        raise Invalid(
            f"There is no role {role}; there are {', '.join(ROLES)}.",
            fields={"role": f"One of {', '.join(ROLES)}."},
        )
    check_password_rule(password)
    if find_user_by_email(address) is not None:
        raise _taken()
    user = User(
        org_id=org.id,
        name=named,
        email=address,
        password_hash=hash_password(password),
        role=role if count_users(org) else FIRST_ROLE,
        created_at=now(),
    )
    session().add(user)
    try:
        session().flush()
    except IntegrityError as error:
        # Somebody else took the address between our look and our writing.
        raise _taken() from error
    return user


def fold_email(email: str) -> str:
    """Return an address as it is kept. Raises `Invalid` for what is no address."""
    address = email.strip().lower()
    if (
        len(address) > EMAIL_CHARACTERS_MAX
        or not _EMAIL.match(address)
        or not address.isprintable()
    ):
        raise Invalid(
            "This is not an e-mail address.", fields={"email": "An address like ann@example.com."}
        )
    return address


def _taken() -> Conflict:
    return Conflict(
        "This e-mail address is in use already. An address belongs to one org only; use another.",
        code="email_taken",
        fields={"email": "Use another address."},
    )

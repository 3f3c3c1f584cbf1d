"""A new user of an org."""

import re

from sqlalchemy.exc import IntegrityError

from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Invalid
from anomify.mail_address import address_problem
from anomify.org.model import Org
from anomify.user.model import User
from anomify.user.password import check_password_rule, hash_password
from anomify.user.queries import count_users, find_user_by_email

ROLES = ("owner", "admin", "editor", "viewer")
FIRST_ROLE = "owner"
NAME_CHARACTERS_MAX = 200
EMAIL_CHARACTERS_MAX = 320
# Of a name that somebody typed and a stranger reads in a mail of ours.
SHOWN_CHARACTERS_MAX = 60


def create_user(org: Org, email: str, name: str, role: str, password: str) -> User:
    """Make a user; the first one of an org is its owner, whatever the role says.

    Raises `Invalid` for an address, name, role or password that cannot be, and `Conflict` for an
    address that somebody has: it belongs to one org only. Hashing is slow on purpose; where that
    must not hold a lock, call `hash_new_password` before and `add_user` then.
    """
    check_role(role)
    hashed = hash_new_password(password, email=email, name=name, org_name=org.name)
    return add_user(org, email, name, role, hashed)


def hash_new_password(
    password: str, *, email: str = "", name: str = "", org_name: str = "", field: str = "password"
) -> str:
    """Return the hash of a password that somebody chose, for `add_user`; needs no unit of work.

    Raises `Invalid`, naming `field`, for one that is no good for this user.
    """
    known = [word for text in (email, name, org_name) for word in re.split(r"[\s@.]+", text)]
    check_password_rule(password, known=[*filter(None, known), email, name], field=field)
    return hash_password(password)


def add_user(org: Org, email: str, name: str, role: str, password_hash: str) -> User:
    """Make a user whose password is hashed already; otherwise like `create_user`."""
    address, named = fold_email(email), checked_name(name)
    check_role(role)
    if find_user_by_email(address) is not None:
        raise _taken()
    user = User(
        org_id=org.id,
        name=named,
        email=address,
        password_hash=password_hash,
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


def checked_name(name: str) -> str:
    """Return the name without spaces around it. Raises `Invalid` for one nobody could read."""
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "A user needs a name.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    return named


def check_role(role: str) -> None:
    """Raise `Invalid` for a role that there is not."""
    if role not in ROLES:
        raise Invalid(
            f"There is no role {role}; there are {', '.join(ROLES)}.",
            fields={"role": f"One of {', '.join(ROLES)}."},
        )


def shown_name(typed: str) -> str:
    """Return what somebody typed so that it stays a name, and leads nowhere from a mail of ours."""
    plain = typed.replace("://", " ").replace("www.", " ")
    return " ".join(plain.split())[:SHOWN_CHARACTERS_MAX]


def fold_email(email: str) -> str:
    """Return an address as it is kept. Raises `Invalid` for one that cannot be written to."""
    address = email.strip().lower()
    if problem := address_problem(address):
        raise Invalid(
            f"No mail can be sent to this e-mail address: {problem}.",
            fields={"email": f"An address like ann@example.com is needed: {problem}."},
        )
    return address


def _taken() -> Conflict:
    return Conflict(
        "This e-mail address has an account already, and an address belongs to one org only. Use"
        " another address, or delete that account first.",
        code="email_taken",
        fields={"email": "Use another address, or delete its account first."},
    )

"""Create users of an org."""

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
# The most characters of a typed name in a mail to another person.
SHOWN_CHARACTERS_MAX = 60


def create_user(org: Org, email: str, name: str, role: str, password: str) -> User:
    """Create a user; the first user of an org becomes its owner, whatever `role` is.

    Raises `Invalid` for an unusable address, name, role or password, and `Conflict` for an address
    that has an account in any org. Hashing is slow on purpose; to avoid it while holding a lock,
    call `hash_new_password` first and then `add_user`.
    """
    check_role(role)
    hashed = hash_new_password(password, email=email, name=name, org_name=org.name)
    return add_user(org, email, name, role, hashed)


def hash_new_password(
    password: str, *, email: str = "", name: str = "", org_name: str = "", field: str = "password"
) -> str:
    """Return the hash of a chosen password, for `add_user`; needs no unit of work.

    Raises `Invalid`, naming `field`, for a password that is too weak for this user.
    """
    known = [word for text in (email, name, org_name) for word in re.split(r"[\s@.]+", text)]
    check_password_rule(password, known=[*filter(None, known), email, name], field=field)
    return hash_password(password)


def add_user(org: Org, email: str, name: str, role: str, password_hash: str) -> User:
    """Create a user with a hashed password; otherwise like `create_user`."""
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
        # Another request took the address between the check and the insert.
        raise _taken() from error
    return user


def checked_name(name: str) -> str:
    """Return the name without surrounding spaces. Raises `Invalid` for an unreadable name."""
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "A user needs a name.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    return named


def check_role(role: str) -> None:
    """Raise `Invalid` for an unknown role."""
    if role not in ROLES:
        raise Invalid(
            f"There is no role {role}; there are {', '.join(ROLES)}.",
            fields={"role": f"One of {', '.join(ROLES)}."},
        )


def shown_name(typed: str) -> str:
    """Return a typed name such that mail programs do not make a link of any part of it."""
    plain = typed.replace("://", " ").replace("www.", " ")
    return " ".join(plain.split())[:SHOWN_CHARACTERS_MAX]


def fold_email(email: str) -> str:
    """Return the normalised address. Raises `Invalid` for an address that cannot receive mail."""
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

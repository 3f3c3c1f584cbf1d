"""Visitors of a demo org: temporary users who may read and change nothing."""

import secrets

from sqlalchemy import delete, select

from anomify.clock import now
from anomify.db import session
from anomify.errors import NotFound
from anomify.org.model import Org
from anomify.user.model import User

NAME = "Visitor"
ROLE = "viewer"
# An address that cannot exist: the top-level domain is reserved (RFC 2606).
DOMAIN = "demo.invalid"
# Not a valid hash, so no password matches.
NO_PASSWORD = "*"  # noqa: S105 -- what stands where a hash would
VISITORS_MAX = 1_000


def create_demo_visitor(org: Org) -> User:
    """Create a visitor of a demo org; beyond a thousand, the oldest visitors are deleted.

    Raises `NotFound` for an org that is not a demo.
    """
    if not org.is_demo:
        raise NotFound("There is no such demo.")
    earlier = (
        select(User.id)
        .where(User.org_id == org.id, User.is_visitor)
        .order_by(User.id.desc())
        .offset(VISITORS_MAX - 1)
    )
    session().execute(delete(User).where(User.id.in_(list(session().scalars(earlier)))))
    visitor = User(
        org_id=org.id,
        name=NAME,
        email=f"{secrets.token_hex(8)}@{DOMAIN}",
        password_hash=NO_PASSWORD,
        role=ROLE,
        wants_email_alerts=False,
        created_at=now(),
        is_visitor=True,
    )
    session().add(visitor)
    session().flush()
    return visitor

"""Visitors of a demo org: each a user of their own for a while, who may look and change nothing."""

import secrets

from sqlalchemy import delete, select

from anomify.clock import now
from anomify.db import session
from anomify.errors import NotFound
from anomify.org.model import Org
from anomify.user.model import User

NAME = "Visitor"
ROLE = "viewer"
# Nobody's mailbox: the top-level domain is reserved.
DOMAIN = "demo.invalid"
# No hash begins like this, so no password opens it.
NO_PASSWORD = "*"  # noqa: S105 -- what stands where a hash would
VISITORS_MAX = 1_000


def create_demo_visitor(org: Org) -> User:
    """Make a visitor of a demo org; beyond a thousand the earliest ones are gone.

    Raises `NotFound` for an org that is no demo.
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

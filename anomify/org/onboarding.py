"""The one-time set-up link, with which the first owner of an installation is created."""

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import update

from anomify.clock import now
from anomify.db import session
from anomify.errors import Denied
from anomify.org.model import SetupLink

LIFETIME = timedelta(hours=24)
SECRET_BYTES = 32


def create_setup_link() -> str:
    """Create a set-up link and return its secret, which is not stored; earlier links stay valid."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    moment = now()
    session().add(
        SetupLink(secret_hash=_hash(secret), created_at=moment, expires_at=moment + LIFETIME)
    )
    session().flush()
    return secret


def find_setup_link(secret: str) -> SetupLink | None:
    """Return the link of this secret, or None if there is none, or it is used or expired."""
    link = session().get(SetupLink, _hash(secret))
    is_good = link is not None and link.used_at is None and link.expires_at > now()
    return link if is_good else None


def use_setup_link(secret: str) -> None:
    """Use up a link. Raises `Denied` if it is not valid; of two attempts at once one succeeds."""
    used = session().execute(
        update(SetupLink)
        .where(
            SetupLink.secret_hash == _hash(secret),
            SetupLink.used_at.is_(None),
            SetupLink.expires_at > now(),
        )
        .values(used_at=now())
        .returning(SetupLink.secret_hash)
    )
    if used.first() is None:
        raise Denied(
            "This set-up link was used already or has expired. Start the product again to get "
            "a new one.",
            code="bad_setup_link",
        )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()

"""Known clients: browsers and programs from which a user has signed in before."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from anomify.clock import now
from anomify.db import session
from anomify.user.model import KnownClient, User

ID_BYTES = 16
# A client known by a correct password, when no code was required; one may be required later.
PASSWORD = "password"  # noqa: S105 -- a kind of proof
# How long a client stays known, by what was entered: a kind of code, or a password alone.
KNOWN_FOR = {
    "email": timedelta(days=90),
    "totp": timedelta(days=30),
    PASSWORD: timedelta(days=90),
}
# The most clients of a user; beyond it the oldest are deleted.
CLIENTS_PER_USER_MAX = 50


def is_known_client(user: User, client_id: str | None, way: str) -> bool:
    """Return whether the user has recently entered a code of this kind from this client."""
    if not client_id:
        return False
    row = session().get(KnownClient, (_hash(client_id), user.id))
    return row is not None and row.way == way and row.expires_at > now()


def is_client_of(user_id: int | None, client_id: str | None) -> bool:
    """Return whether a user has recently signed in from this client.

    Without a user: whether any user has.
    """
    if not client_id:
        return False
    known = select(KnownClient.user_id).where(
        KnownClient.id_hash == _hash(client_id), KnownClient.expires_at > now()
    )
    if user_id is not None:
        known = known.where(KnownClient.user_id == user_id)
    return session().scalar(known.limit(1)) is not None


def record_client(user: User, client_id: str | None, way: str) -> str:
    """Record a client and return its id.

    An id that was issued for another user of the same browser is kept; any other is replaced.
    """
    moment = now()
    forget_expired_clients(moment)
    given = client_id if client_id and _is_ours(client_id) else secrets.token_hex(ID_BYTES)
    session().execute(
        delete(KnownClient).where(
            KnownClient.id_hash == _hash(given), KnownClient.user_id == user.id
        )
    )
    kept = (
        select(KnownClient.id_hash)
        .where(KnownClient.user_id == user.id)
        .order_by(KnownClient.created_at.desc())
        .limit(CLIENTS_PER_USER_MAX - 1)
    )
    session().execute(
        delete(KnownClient).where(
            KnownClient.user_id == user.id,
            KnownClient.id_hash.not_in(list(session().scalars(kept))),
        )
    )
    session().add(
        KnownClient(
            id_hash=_hash(given),
            user_id=user.id,
            way=way,
            created_at=moment,
            expires_at=moment + KNOWN_FOR[way],
        )
    )
    session().flush()
    return given


def forget_clients(user: User) -> None:
    """Delete all known clients of the user."""
    session().execute(delete(KnownClient).where(KnownClient.user_id == user.id))


def forget_expired_clients(moment: datetime) -> None:
    """Delete expired clients."""
    session().execute(delete(KnownClient).where(KnownClient.expires_at <= moment))


def _is_ours(client_id: str) -> bool:
    known = select(KnownClient.user_id).where(KnownClient.id_hash == _hash(client_id)).limit(1)
    return session().scalar(known) is not None


def _hash(client_id: str) -> bytes:
    return hashlib.sha256(client_id.encode(errors="replace")).digest()

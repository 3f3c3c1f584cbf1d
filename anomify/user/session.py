"""Sessions: opened anonymously, replaced at sign-in, and stored only by the hash of their id."""

import hashlib
import hmac
import secrets
import struct
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from anomify.clock import now, now_timestamp
from anomify.db import session
from anomify.errors import NotFound
from anomify.user.model import SessionRow, User

IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(days=14)
ANONYMOUS = timedelta(hours=1)
# How often the time of the last request is written; more often would make every read a write.
LAST_SEEN_EVERY = timedelta(minutes=1)
ANONYMOUS_MAX = 10_000
# Sessions that other threads may open between the count and the insert.
ANONYMOUS_HEADROOM = 600
SESSIONS_PER_USER_MAX = 20
CLIENT_CHARACTERS_MAX = 200
SESSION_ID_LENGTH = 32
NAME_CHARACTERS = 16
# A stateless id: the minute of issue, random bytes, and the first half of an HMAC over both.
_BODY = struct.Struct(">I4s")
_SEAL_BYTES = 8


def session_key(session_id: str) -> bytes:
    """Return the key of a session's row: the SHA-256 of its id."""
    return hashlib.sha256(session_id.encode()).digest()


def find_session(session_id: str) -> SessionRow | None:
    """Return the session of this id, or None if there is none or it has expired."""
    row = session().get(SessionRow, session_key(session_id))
    return None if row is None or row.expires_at <= now() else row


def open_anonymous_session(client: str, address: str) -> str | None:
    """Create an anonymous session and return its id; None if there are too many.

    Expired ones are deleted first when the limit is reached.
    """
    anonymous = SessionRow.user_id.is_(None)
    counted = select(func.count()).select_from(SessionRow).where(anonymous)
    limit = ANONYMOUS_MAX - ANONYMOUS_HEADROOM
    if (session().scalar(counted) or 0) >= limit:
        session().execute(delete(SessionRow).where(anonymous, SessionRow.expires_at <= now()))
        if (session().scalar(counted) or 0) >= limit:
            return None
    return _open(None, ANONYMOUS, client, address)


def open_user_session(user: User, client: str, address: str) -> str:
    """Create a session for a user who has just signed in, and return its id.

    Deletes expired sessions, and of more than twenty the ones unused for longest.
    """
    prune_sessions(now())
    kept = (
        select(SessionRow.id_hash)
        .where(SessionRow.user_id == user.id)
        .order_by(SessionRow.last_seen_at.desc(), SessionRow.created_at.desc())
        .limit(SESSIONS_PER_USER_MAX - 1)
    )
    session().execute(
        delete(SessionRow).where(
            SessionRow.user_id == user.id,
            SessionRow.id_hash.not_in(list(session().scalars(kept))),
        )
    )
    return _open(user.id, IDLE, client, address)


def session_name(key: bytes) -> str:
    """Return the name of a session in lists: the beginning of its key, which gives no access."""
    return key.hex()[:NAME_CHARACTERS]


def get_user_session(user: User, name: str) -> SessionRow:
    """Return a session of the user by its name. Raises `NotFound` if the user has no such one."""
    theirs = select(SessionRow).where(SessionRow.user_id == user.id)
    for row in session().scalars(theirs):
        if session_name(row.id_hash) == name:
            return row
    raise NotFound("You have no such session.")


def session_age(key: bytes) -> timedelta:
    """Return how long ago a session was opened; zero for one that has ended."""
    row = session().get(SessionRow, key)
    return now() - row.created_at if row else timedelta(0)


def record_session_use(key: bytes) -> None:
    """Record that the session was just used and extend it, up to its absolute end."""
    row = session().get(SessionRow, key)
    if row is None:
        return
    moment = now()
    row.last_seen_at = moment
    row.expires_at = _end(row.created_at, moment, IDLE if row.user_id else ANONYMOUS)


def needs_use_recorded(row: SessionRow) -> bool:
    """Return whether the recorded last use is old enough to be updated."""
    return now() - row.last_seen_at >= LAST_SEEN_EVERY


def change_session(key: bytes, state: str) -> None:
    """Replace the state of a session, JSON text; of two writers the last one wins."""
    session().execute(update(SessionRow).where(SessionRow.id_hash == key).values(state=state))


def end_session(key: bytes) -> None:
    """End a session at once; ending it again is harmless."""
    session().execute(delete(SessionRow).where(SessionRow.id_hash == key))


def end_user_sessions(user: User, *, but: bytes | None = None) -> None:
    """End the sessions of a user at once, all of them or all but one."""
    ended = delete(SessionRow).where(SessionRow.user_id == user.id)
    session().execute(ended if but is None else ended.where(SessionRow.id_hash != but))


def prune_sessions(moment: datetime) -> None:
    """Delete expired sessions."""
    session().execute(delete(SessionRow).where(SessionRow.expires_at <= moment))


def new_stateless_id(key: bytes) -> str:
    """Return an id that can be verified without a row, for when there are too many sessions."""
    body = _BODY.pack(now_timestamp() // 60, secrets.token_bytes(4))
    return (body + _seal(key, body)).hex()


def is_stateless_id(key: bytes, session_id: str) -> bool:
    """Return whether `new_stateless_id` made this id within the last hour."""
    try:
        raw = bytes.fromhex(session_id)
    except ValueError:
        return False
    body, seal = raw[: _BODY.size], raw[_BODY.size :]
    if len(raw) != SESSION_ID_LENGTH // 2 or not hmac.compare_digest(seal, _seal(key, body)):
        return False
    issued_minute, _ = _BODY.unpack(body)
    age = timedelta(minutes=now_timestamp() // 60 - issued_minute)
    return timedelta(0) <= age <= ANONYMOUS


def _open(user_id: int | None, idle: timedelta, client: str, address: str) -> str:
    session_id = secrets.token_hex(SESSION_ID_LENGTH // 2)
    moment = now()
    session().add(
        SessionRow(
            id_hash=session_key(session_id),
            user_id=user_id,
            created_at=moment,
            last_seen_at=moment,
            expires_at=_end(moment, moment, idle),
            client=client[:CLIENT_CHARACTERS_MAX],
            address=address,
        )
    )
    session().flush()
    return session_id


def _end(created_at: datetime, seen_at: datetime, idle: timedelta) -> datetime:
    return min(seen_at + idle, created_at + ABSOLUTE)


def _seal(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()[:_SEAL_BYTES]

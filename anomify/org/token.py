"""Tokens of an org: made once, shown once, found again by what was shown."""

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select

from anomify.clock import now
from anomify.db import session
from anomify.errors import Invalid, NotFound
from anomify.org.model import Org, Token

SCOPES = ("ingest", "read", "write", "admin")
NAME_CHARACTERS_MAX = 200
# How often the time of the last use is written; more often would make every read a write.
LAST_USED_EVERY = timedelta(minutes=1)
_SHAPE = re.compile(
    r"anm_(?P<public_id>[0-9a-z]{8})_(?P<secret>[0-9a-z]{32})_(?P<check>[0-9a-f]{8})\Z"
)
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
# Compared with where no token has the public id, so that the work is the same.
_NOBODYS_HASH = hashlib.sha256(b"").digest()


def create_token(
    org: Org,
    name: str,
    scopes: Iterable[str],
    created_by: str,
    *,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Make a token; the text returned beside it is kept nowhere and cannot be had again.

    Raises `Invalid` for an empty name, for scopes that do not exist and for none.
    """
    wanted = set(scopes)
    if unknown := wanted - set(SCOPES):
        raise Invalid(
            f"There is no scope {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}.",
            fields={"scopes": f"Some of {', '.join(SCOPES)}."},
        )
    if not wanted:
        raise Invalid(
            f"A token needs a scope; there are {', '.join(SCOPES)}.",
            fields={"scopes": f"Some of {', '.join(SCOPES)}."},
        )
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "A token needs a name, so that you know it again.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    body = f"anm_{_random(8)}_{_random(32)}"
    text = f"{body}_{zlib.crc32(body.encode()):08x}"
    token = Token(
        org_id=org.id,
        name=named,
        public_id=body.split("_")[1],
        secret_hash=_hash(text),
        scopes=",".join(scope for scope in SCOPES if scope in wanted),
        created_by=created_by,
        created_at=now(),
        expires_at=expires_at,
    )
    session().add(token)
    session().flush()
    return token, text


def is_token_shaped(text: str) -> bool:
    """Tell whether a text could be a token; needs no database, and says nothing of its worth."""
    found = _SHAPE.match(text)
    return found is not None and f"{zlib.crc32(text[:-9].encode()):08x}" == found["check"]


def find_token(text: str) -> Token | None:
    """Return the token of this text, or None if it is not one, has expired or was revoked.

    The work does not depend on whether the public id is known.
    """
    if not is_token_shaped(text):
        return None
    token = session().scalar(select(Token).where(Token.public_id == text.split("_")[1]))
    is_right = hmac.compare_digest(_hash(text), token.secret_hash if token else _NOBODYS_HASH)
    return token if token and is_right and is_valid(token) else None


def is_valid(token: Token) -> bool:
    """Tell whether a token may still be used."""
    has_expired = token.expires_at is not None and token.expires_at <= now()
    return token.revoked_at is None and not has_expired


def has_scope(token: Token, scope: str) -> bool:
    """Tell whether a token was made for this."""
    return scope in token.scopes.split(",")


def is_use_noted(token: Token) -> bool:
    """Tell whether the last use was written so lately that it need not be written again."""
    return token.last_used_at is not None and now() - token.last_used_at < LAST_USED_EVERY


def note_use(token_id: int) -> None:
    """Write that the token has just been used."""
    token = session().get(Token, token_id)
    if token is not None:
        token.last_used_at = now()


def list_tokens(org: Org) -> list[Token]:
    """Return the org's tokens, newest first, revoked ones too."""
    rows = select(Token).where(Token.org_id == org.id).order_by(Token.id.desc())
    return list(session().scalars(rows))


def revoke_token(org: Org, token_id: int) -> Token:
    """Make a token worthless from now on. Raises `NotFound` if the org has none of that id."""
    token = session().scalar(select(Token).where(Token.org_id == org.id, Token.id == token_id))
    if token is None:
        raise NotFound("Your org has no such token.")
    token.revoked_at = token.revoked_at or now()
    return token


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()

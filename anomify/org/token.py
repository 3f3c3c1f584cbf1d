"""Tokens of an org: create, rotate, revoke and find them; the text is shown once."""

import hashlib
import hmac
import ipaddress
import re
import secrets
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import Page, publish, session
from anomify.errors import Conflict, Denied, Invalid, NotFound, QuotaExceeded
from anomify.org.model import Org, Token

SCOPES = ("ingest", "events", "read", "write", "admin")
# It is readable in web pages, so it must not be combined with other scopes.
EVENTS_SCOPE = "events"
NAME_CHARACTERS_MAX = 200
# The most valid tokens of an org.
TOKENS_MAX = 200
NETWORKS_MAX = 20
# How often the time of the last use is written; more often would make every read a write.
LAST_USED_EVERY = timedelta(minutes=1)
# How long a rotated token stays valid.
OVERLAP = timedelta(hours=24)
_SHAPE = re.compile(
    r"anm_(?P<public_id>[0-9a-z]{8})_(?P<secret>[0-9a-z]{32})_(?P<check>[0-9a-f]{8})\Z"
)
# The former form of tokens, which some senders require.
_LEGACY_SHAPE = re.compile(r"[0-9a-f]{32}\Z")
# Longer than our own tokens' eight, so that both can be distinguished.
LEGACY_PUBLIC_ID_LENGTH = 16
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
# Compared with if no token has the public id, so that the work is the same.
_HASH_OF_NO_TOKEN = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class TokensEnded:
    """Published when tokens of an org were revoked or expire earlier than before."""

    org_id: int


def create_token(
    org: Org,
    name: str,
    scopes: Iterable[str],
    created_by: str,
    *,
    expires_at: datetime | None = None,
    networks: Iterable[str] = (),
    grantable: Collection[str] = SCOPES,
    is_legacy: bool = False,
) -> tuple[Token, str]:
    """Create a token, and return it with its text, which is not stored.

    `grantable` are the scopes that the creator may grant; with `networks` the token is valid only
    from these; a legacy token is 32 hexadecimal digits. Raises `Invalid` naming the unusable field,
    `Denied` for a scope that may not be granted, and `QuotaExceeded` for too many tokens.
    """
    wanted = set(scopes)
    _check_scopes(wanted, grantable)
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "A token needs a name, so that you recognize it in lists.",
            fields={"name": f"1 to {NAME_CHARACTERS_MAX} characters that can be seen."},
        )
    if expires_at is not None and expires_at <= now():
        raise Invalid(
            "A token that has expired already is of no use.",
            fields={"expires": "A time to come."},
        )
    if _count_working(org) >= TOKENS_MAX:
        raise QuotaExceeded(f"An org may have {TOKENS_MAX} tokens; revoke some first.")
    text = secrets.token_hex(16) if is_legacy else _new_text()
    token = Token(
        org_id=org.id,
        name=named,
        public_id=_public_id(text),
        secret_hash=_hash(text),
        scopes=",".join(scope for scope in SCOPES if scope in wanted),
        networks=",".join(_networks(networks)),
        created_by=created_by,
        created_at=now(),
        expires_at=expires_at,
    )
    session().add(token)
    session().flush()
    _record(token, created_by, "token.create", after=_audit_fields(token))
    return token, text


def rotate_token(
    org: Org, token_id: int, actor: str, *, grantable: Collection[str] = SCOPES
) -> tuple[Token, str]:
    """Create a token that replaces a valid one, which stays valid for another 24 hours.

    The new one has the same scopes, networks and lifetime. Raises `NotFound`, `Denied` as
    `create_token` does, and `Conflict` for a token that is not valid or was replaced already.
    """
    old = _get_token(org, token_id)
    if not is_valid(old) or old.replaced_by_id is not None:
        raise Conflict(
            "This token is not valid any more or was rotated already; rotate the latest one."
        )
    moment = now()
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    fresh, text = create_token(
        org,
        old.name,
        old.scopes.split(","),
        actor,
        expires_at=None if lifetime is None else moment + lifetime,
        networks=_split(old.networks),
        grantable=grantable,
        is_legacy=is_legacy(old),
    )
    until = moment + OVERLAP
    old.expires_at = until if old.expires_at is None else min(old.expires_at, until)
    old.replaced_by_id = fresh.id
    publish(TokensEnded(org.id))
    _record(
        old, actor, "token.rotate", after={"expires_at": old.expires_at, "replaced_by": fresh.id}
    )
    return fresh, text


def revoke_token(org: Org, token_id: int, actor: str) -> Token:
    """Revoke a token at once. Raises `NotFound` if the org has none of that id."""
    token = _get_token(org, token_id)
    if token.revoked_at is None:
        token.revoked_at = now()
        publish(TokensEnded(org.id))
        _record(token, actor, "token.revoke", before=_audit_fields(token))
    return token


def is_token_shaped(text: str) -> bool:
    """Return whether a text has the form of a token; needs no database and does not verify it."""
    return is_unmistakable(text) or _LEGACY_SHAPE.match(text) is not None


def is_unmistakable(text: str) -> bool:
    """Return whether a text has the form of our own tokens, with a correct checksum."""
    found = _SHAPE.match(text)
    return found is not None and f"{zlib.crc32(text[:-9].encode()):08x}" == found["check"]


def find_token(text: str) -> Token | None:
    """Return the token of this text, or None if it is not one, has expired or was revoked.

    The work does not depend on whether the public id is known.
    """
    if not is_token_shaped(text):
        return None
    token = session().scalar(select(Token).where(Token.public_id == _public_id(text)))
    is_right = hmac.compare_digest(_hash(text), token.secret_hash if token else _HASH_OF_NO_TOKEN)
    return token if token and is_right and is_valid(token) else None


def is_valid(token: Token) -> bool:
    """Return whether a token may still be used."""
    has_expired = token.expires_at is not None and token.expires_at <= now()
    return token.revoked_at is None and not has_expired


def is_legacy(token: Token) -> bool:
    """Return whether the token's text is 32 hexadecimal digits."""
    return len(token.public_id) == LEGACY_PUBLIC_ID_LENGTH


def beginning_of(token: Token) -> str:
    """Return the part of a token's text that may be shown; nothing of a legacy one."""
    return "..." if is_legacy(token) else f"anm_{token.public_id}_..."


def has_scope(token: Token, scope: str) -> bool:
    """Return whether a token has the scope."""
    return scope in token.scopes.split(",")


def check_address(networks: str, address: str) -> None:
    """Raise `Denied` for an address outside of a token's networks; no networks allow all."""
    if not networks:
        return
    if not _is_in(address, _split(networks)):
        raise Denied("This token does not work from your address.", code="token_address")


def is_use_noted(token: Token) -> bool:
    """Return whether the recorded last use is recent enough."""
    return token.last_used_at is not None and now() - token.last_used_at < LAST_USED_EVERY


def note_use(token_id: int, address: str) -> None:
    """Record that the token has just been used, and from which address."""
    token = session().get(Token, token_id)
    if token is not None:
        token.last_used_at = now()
        token.last_used_address = address[:64]


def list_tokens(org: Org, *, limit: int = 500, offset: int = 0) -> Page[Token]:
    """Return the org's tokens, newest first, with revoked and expired ones."""
    own = Token.org_id == org.id
    rows = select(Token).where(own).order_by(Token.id.desc()).limit(limit).offset(offset)
    counted = select(func.count()).select_from(Token).where(own)
    return Page(list(session().scalars(rows)), counted)


def _get_token(org: Org, token_id: int) -> Token:
    token = session().scalar(select(Token).where(Token.org_id == org.id, Token.id == token_id))
    if token is None:
        raise NotFound("Your org has no such token.")
    return token


def _count_working(org: Org) -> int:
    working = (
        select(func.count())
        .select_from(Token)
        .where(
            Token.org_id == org.id,
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > now()),
        )
    )
    return session().scalar(working) or 0


def _check_scopes(wanted: set[str], grantable: Collection[str]) -> None:
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
    if EVENTS_SCOPE in wanted and len(wanted) > 1:
        raise Invalid(
            "A key for web pages is read by everybody, so it may do nothing else.",
            fields={"scopes": f"{EVENTS_SCOPE} alone, or without {EVENTS_SCOPE}."},
        )
    if beyond := wanted - set(grantable):
        raise Denied(
            f"You may not do what {', '.join(sorted(beyond))} allows, so no token of yours may.",
            code="scope_beyond_yours",
            fields={
                "scopes": f"Some of {', '.join(scope for scope in SCOPES if scope in grantable)}."
            },
        )


def _networks(given: Iterable[str]) -> list[str]:
    try:
        found = [str(ipaddress.ip_network(each.strip(), strict=False)) for each in given]
    except ValueError:
        raise Invalid(
            "This is not a network.", fields={"networks": "Networks such as 192.0.2.0/24."}
        ) from None
    if len(found) > NETWORKS_MAX:
        raise Invalid(
            "These are too many networks.", fields={"networks": f"At most {NETWORKS_MAX}."}
        )
    return list(dict.fromkeys(found))


def _record(token: Token, actor: str, action: str, **how: dict[str, object]) -> None:
    target = f"{token.name} ({token.public_id})"
    record_audit(token.org_id, actor=actor, action=action, target=target, **how)


def _audit_fields(token: Token) -> dict[str, object]:
    return {
        "scopes": token.scopes,
        "expires_at": token.expires_at,
        "networks": _split(token.networks),
    }


def _is_in(address: str, networks: Iterable[str]) -> bool:
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped
    return any(client in ipaddress.ip_network(each) for each in networks)


def _split(listed: str) -> list[str]:
    return [each for each in listed.split(",") if each]


def _public_id(text: str) -> str:
    """Return the public part of a token; for a legacy one a part of its hash."""
    if _SHAPE.match(text):
        return text.split("_")[1]
    digest = hashlib.sha256(f"public id of {text}".encode()).hexdigest()
    return digest[:LEGACY_PUBLIC_ID_LENGTH]


def _new_text() -> str:
    body = f"anm_{_random(8)}_{_random(32)}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()

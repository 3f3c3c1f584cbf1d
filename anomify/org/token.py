"""Tokens of an org: made once, shown once, found again by what was shown."""

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
# It stands in web pages for everybody to read, so it is good for nothing else.
EVENTS_SCOPE = "events"
NAME_CHARACTERS_MAX = 200
# Of those that still work.
TOKENS_MAX = 200
NETWORKS_MAX = 20
# How often the time of the last use is written; more often would make every read a write.
LAST_USED_EVERY = timedelta(minutes=1)
# After a rotation senders have so long to change over.
OVERLAP = timedelta(hours=24)
_SHAPE = re.compile(
    r"anm_(?P<public_id>[0-9a-z]{8})_(?P<secret>[0-9a-z]{32})_(?P<check>[0-9a-f]{8})\Z"
)
# What senders were given before; some of them take nothing else for a token.
_LEGACY_SHAPE = re.compile(r"[0-9a-f]{32}\Z")
# Longer than our own tokens' eight, so that both can be distinguished.
LEGACY_PUBLIC_ID_LENGTH = 16
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
# Compared with where no token has the public id, so that the work is the same.
_NOBODYS_HASH = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class TokensEnded:
    """Published when tokens of an org, or all of them, work no more or shorter than before."""

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
    """Make a token; the text returned beside it is kept nowhere and cannot be had again.

    `grantable` are the scopes that whoever makes it has themselves; `networks` are those from
    which alone it works; a legacy one is 32 hexadecimal digits. Raises `Invalid` naming the field
    that cannot be, `Denied` for a scope that may not be granted, and `QuotaExceeded`.
    """
    wanted = set(scopes)
    _check_scopes(wanted, grantable)
    named = name.strip()
    if not 1 <= len(named) <= NAME_CHARACTERS_MAX or not named.isprintable():
        raise Invalid(
            "A token needs a name, so that you know it again.",
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
    _record(token, created_by, "token.create", after=_told(token))
    return token, text


def rotate_token(
    org: Org, token_id: int, actor: str, *, grantable: Collection[str] = SCOPES
) -> tuple[Token, str]:
    """Make a token to take the place of one that works, which goes on for another 24 hours.

    The new one may do the same from the same networks, and lasts as long as the old one was made
    to last. Raises `NotFound`, `Denied` as `create_token` does, and `Conflict` for one that works
    no more or has been replaced already.
    """
    old = _get_token(org, token_id)
    if not is_valid(old) or old.replaced_by_id is not None:
        raise Conflict("This token works no more or was rotated already; rotate the latest one.")
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
    """Make a token worthless from now on. Raises `NotFound` if the org has none of that id."""
    token = _get_token(org, token_id)
    if token.revoked_at is None:
        token.revoked_at = now()
        publish(TokensEnded(org.id))
        _record(token, actor, "token.revoke", before=_told(token))
    return token


def is_token_shaped(text: str) -> bool:
    """Return whether a text has the form of a token; needs no database and does not verify it."""
    return is_unmistakable(text) or _LEGACY_SHAPE.match(text) is not None


def is_unmistakable(text: str) -> bool:
    """Return whether a text is shaped as our own tokens and nothing else is."""
    found = _SHAPE.match(text)
    return found is not None and f"{zlib.crc32(text[:-9].encode()):08x}" == found["check"]


def find_token(text: str) -> Token | None:
    """Return the token of this text, or None if it is not one, has expired or was revoked.

    The work does not depend on whether the public id is known.
    """
    if not is_token_shaped(text):
        return None
    token = session().scalar(select(Token).where(Token.public_id == _public_id(text)))
    is_right = hmac.compare_digest(_hash(text), token.secret_hash if token else _NOBODYS_HASH)
    return token if token and is_right and is_valid(token) else None


def is_valid(token: Token) -> bool:
    """Return whether a token may still be used."""
    has_expired = token.expires_at is not None and token.expires_at <= now()
    return token.revoked_at is None and not has_expired


def is_legacy(token: Token) -> bool:
    """Return whether the token's text is 32 hexadecimal digits."""
    return len(token.public_id) == LEGACY_PUBLIC_ID_LENGTH


def beginning_of(token: Token) -> str:
    """Return how a token's text begins, as far as that may be shown; of a legacy one nothing."""
    return "..." if is_legacy(token) else f"anm_{token.public_id}_..."


def has_scope(token: Token, scope: str) -> bool:
    """Return whether a token was made for this."""
    return scope in token.scopes.split(",")


def check_address(networks: str, address: str) -> None:
    """Raise `Denied` for an address in none of a token's networks, where it has any."""
    if not networks:
        return
    if not _is_in(address, _split(networks)):
        raise Denied("This token does not work from your address.", code="token_address")


def is_use_noted(token: Token) -> bool:
    """Return whether the last use was written so lately that it need not be written again."""
    return token.last_used_at is not None and now() - token.last_used_at < LAST_USED_EVERY


def note_use(token_id: int, address: str) -> None:
    """Write that the token has just been used, and from where."""
    token = session().get(Token, token_id)
    if token is not None:
        token.last_used_at = now()
        token.last_used_address = address[:64]


def list_tokens(org: Org, *, limit: int = 500, offset: int = 0) -> Page[Token]:
    """Return the org's tokens, newest first, those that work no more too."""
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


def _told(token: Token) -> dict[str, object]:
    return {
        "scopes": token.scopes,
        "expires_at": token.expires_at,
        "networks": _split(token.networks),
    }


def _is_in(address: str, networks: Iterable[str]) -> bool:
    try:
        asked_from = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(asked_from, ipaddress.IPv6Address) and asked_from.ipv4_mapped is not None:
        asked_from = asked_from.ipv4_mapped
    return any(asked_from in ipaddress.ip_network(each) for each in networks)


def _split(listed: str) -> list[str]:
    return [each for each in listed.split(",") if each]


def _public_id(text: str) -> str:
    """Return what names a token in lists: a part of ours, and for a legacy one a part of a hash."""
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

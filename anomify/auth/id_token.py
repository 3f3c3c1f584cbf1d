"""Verification of the ID token of an OpenID Connect provider."""

import base64
import binascii
import hmac
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from anomify.clock import to_timestamp
from anomify.errors import Denied

log = logging.getLogger(__name__)

# Asymmetric signatures only: with a shared key we could have signed the token ourselves.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
TOKEN_CHARACTERS_MAX = 16_384
SUBJECT_CHARACTERS_MAX = 255
# Allowed difference between our clock and the issuer's.
LEEWAY_SECONDS = 60
# A token made for this sign-in is seconds old.
AGE_SECONDS_MAX = 600


class KeyUnknown(Exception):
    """The token names a key that is not among the issuer's keys as last read."""


def verified_claims(
    text: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str | None,
    moment: datetime,
) -> Mapping[str, Any]:
    """Return the claims of an ID token that this issuer just made for us and this sign-in.

    Raises `Denied` for any other token and logs the reason. Raises `KeyUnknown` if reading the
    issuer's keys again may help.
    """
    try:
        _check_header(_header(text), keys)
        token = jwt.decode(text, keys, algorithms=ALGORITHMS)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": client_id},
                "sub": {"essential": True},
            },
            params={"client_id": client_id, "access_token": access_token},
        )
        seconds = to_timestamp(moment)
        claims.validate(now=seconds, leeway=LEEWAY_SECONDS)
        _check_more(claims, client_id, nonce, seconds)
    except (_InvalidToken, JoseError, ValueError, TypeError, KeyError) as doubt:
        log.warning("an ID token of %s was refused: %s", issuer, doubt)
        raise Denied(
            "The reply of the other server could not be verified. Try again; if it happens again, "
            "contact the operator of this server.",
            code="oidc_refused",
        ) from None
    return dict(claims)


class _InvalidToken(Exception):
    pass


def _header(text: str) -> dict[str, Any]:
    if len(text) > TOKEN_CHARACTERS_MAX or text.count(".") != 2:  # noqa: PLR2004 -- three parts
        raise _InvalidToken("it is no signed token")
    encoded = text.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError):
        raise _InvalidToken("its header cannot be read") from None
    if not isinstance(header, dict):
        raise _InvalidToken("its header is no object")
    return header


def _check_header(header: Mapping[str, Any], keys: KeySet) -> None:
    if header.get("alg") not in ALGORITHMS:
        raise _InvalidToken(f"it is signed with {header.get('alg')!r}")
    kid = header.get("kid")
    known = [key.kid for key in keys]
    if kid is None and len(known) == 1:
        return
    if kid not in known:
        raise KeyUnknown


def _check_more(claims: Mapping[str, Any], client_id: str, nonce: str, seconds: int) -> None:
    """Check the claims that the library does not check."""
    audience = claims["aud"]
    if audience not in (client_id, [client_id]) and claims.get("azp") != client_id:
        raise _InvalidToken("its audience has other clients, too, and azp is not this client")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _InvalidToken("it is of another sign-in")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise _InvalidToken("it has no valid subject")
    if seconds - claims["iat"] > AGE_SECONDS_MAX:
        raise _InvalidToken("it is old")

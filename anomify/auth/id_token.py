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
    """The token names a key that the issuer has not published, or not when we last looked."""


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
    """Return the claims of an ID token that this issuer made for us, for this sign-in, just now.

    Raises `Denied` for any other and logs the reason. Raises `KeyUnknown` where newer
    keys of the issuer may help.
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
    except (_Doubt, JoseError, ValueError, TypeError, KeyError) as doubt:
        log.warning("an ID token of %s was refused: %s", issuer, doubt)
        raise Denied(
            "The other server's word could not be verified. Try again; if it happens again, tell "
            "whoever runs this server.",
            code="oidc_refused",
        ) from None
    return dict(claims)


class _Doubt(Exception):
    pass


def _header(text: str) -> dict[str, Any]:
    if len(text) > TOKEN_CHARACTERS_MAX or text.count(".") != 2:  # noqa: PLR2004 -- three parts
        raise _Doubt("it is no signed token")
    encoded = text.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError):
        raise _Doubt("its header cannot be read") from None
    if not isinstance(header, dict):
        raise _Doubt("its header is no object")
    return header


def _check_header(header: Mapping[str, Any], keys: KeySet) -> None:
    if header.get("alg") not in ALGORITHMS:
        raise _Doubt(f"it is signed with {header.get('alg')!r}")
    kid = header.get("kid")
    known = [key.kid for key in keys]
    if kid is None and len(known) == 1:
        return
    if kid not in known:
        raise KeyUnknown


def _check_more(claims: Mapping[str, Any], client_id: str, nonce: str, seconds: int) -> None:
    """Check what the library leaves open."""
    audience = claims["aud"]
    if audience not in (client_id, [client_id]) and claims.get("azp") != client_id:
        raise _Doubt("it is for others, too, and does not say that we asked for it")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _Doubt("it is of another sign-in")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise _Doubt("it names nobody")
    if seconds - claims["iat"] > AGE_SECONDS_MAX:
        raise _Doubt("it is old")

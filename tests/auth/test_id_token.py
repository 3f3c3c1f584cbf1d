"""Verification of ID tokens: valid ones, and each kind of invalid one."""

import base64
import hmac
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from anomify.auth.id_token import KeyUnknown, verified_claims
from anomify.errors import Denied
from tests.kit.issuer import CLIENT_ID, KEY

ISSUER = "https://id.example"
NONCE = "the nonce of this sign-in"
NOW = 1_800_000_000
OTHER = RSAKey.generate_key(2048, {"kid": "first"})
CURVE = ECKey.generate_key("P-256", {"kid": "curve", "alg": "ES256", "use": "sig"})
RIGHT = {
    "iss": ISSUER,
    "aud": CLIENT_ID,
    "sub": "ann",
    "iat": NOW,
    "exp": NOW + 300,
    "nonce": NONCE,
}


def signed(claims=None, header=None, key=KEY, **changed):
    claims = {**RIGHT, **(claims or {}), **changed}
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "RS256", "kid": "first", **(header or {})}
    header = {name: value for name, value in header.items() if value is not None}
    return jwt.encode(header, claims, key, algorithms=[header["alg"]])


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned():
    return f"{part({'alg': 'none', 'kid': 'first'})}.{part(RIGHT)}."


def by_hand(header, digest=None):
    """A token that the library would not make."""
    signed = f"{part({'kid': 'first', **header})}.{part(RIGHT)}"
    if digest is None:
        # As if the public key were a shared secret: everyone who has it could sign.
        secret = KEY.as_pem(private=False)
        signature = hmac.digest(secret, signed.encode(), "sha256")
    else:
        signature = KEY.private_key.sign(signed.encode(), PKCS1v15(), digest)
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def tampered():
    head, _, signature = signed().split(".")
    return f"{head}.{part({**RIGHT, 'sub': 'somebody else'})}.{signature}"


def with_its_own_key():
    header = {"jwk": OTHER.as_dict(private=False)}
    return signed(header=header, key=OTHER)


def verify(text, keys=None):
    return verified_claims(
        text,
        keys or KeySet([KEY]),
        issuer=ISSUER,
        client_id=CLIENT_ID,
        nonce=NONCE,
        access_token="access",
        moment=datetime.fromtimestamp(NOW, UTC),
    )


BAD = {
    "another audience": lambda: signed(aud="others"),
    "many audiences and no word of who asked": lambda: signed(aud=[CLIENT_ID, "others"]),
    "many audiences, asked for by another": lambda: signed(aud=[CLIENT_ID, "x"], azp="x"),
    "one audience, asked for by another": lambda: signed(azp="others"),
    "no audience": lambda: signed(aud=None),
    "another issuer": lambda: signed(iss="https://evil.example"),
    "an issuer that only begins alike": lambda: signed(iss=f"{ISSUER}.evil.example"),
    "no issuer": lambda: signed(iss=None),
    "another nonce": lambda: signed(nonce="of another sign-in"),
    "no nonce": lambda: signed(nonce=None),
    "no signature": unsigned,
    "a signature with the public key as secret": lambda: by_hand({"alg": "HS256"}),
    "a key of somebody else": lambda: signed(key=OTHER),
    "a key that it brings along": with_its_own_key,
    "claims that were changed": tampered,
    "a time that is over": lambda: signed(exp=NOW - 61),
    "no end": lambda: signed(exp=None),
    "a time to come": lambda: signed(iat=NOW + 120, exp=NOW + 600),
    "not yet": lambda: signed(nbf=NOW + 120),
    "made long ago": lambda: signed(iat=NOW - 1000),
    "no time of making": lambda: signed(iat=None),
    "nobody": lambda: signed(sub=None),
    "an empty name": lambda: signed(sub=""),
    "a name that is a number": lambda: signed(sub=7),
    "a name without end": lambda: signed(sub="x" * 256),
    "the hash of another access token": lambda: signed(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "a part too many": lambda: signed() + ".x",
    "no token at all": lambda: "",
    "no end of it": lambda: signed(claims={"filler": "x" * 20_000}),
    "a text for a number": lambda: signed(iat="now"),
    "a header that is critical and not known": lambda: by_hand(
        {"alg": "RS256", "crit": ["b65"], "b65": True}, SHA256()
    ),
    "an algorithm that the key is not for": lambda: by_hand({"alg": "RS512"}, SHA512()),
}


class TestVerifiedClaims:
    def test_accepts_valid_tokens(self):
        assert verify(signed())["sub"] == "ann"
        assert verify(signed(aud=[CLIENT_ID]))["sub"] == "ann"
        assert verify(signed(aud=[CLIENT_ID, "others"], azp=CLIENT_ID))["sub"] == "ann"
        assert verify(by_hand({"alg": "RS256"}, SHA256()))["sub"] == "ann"
        # The only key there is needs no name, and clocks differ a little.
        assert verify(signed(header={"kid": None}, iat=NOW + 30))["sub"] == "ann"
        curved = signed(header={"alg": "ES256", "kid": "curve"}, key=CURVE)
        assert verify(curved, KeySet([KEY, CURVE]))["sub"] == "ann"

    @pytest.mark.parametrize("wrong", BAD)
    def test_refuses_invalid_tokens(self, wrong):
        with pytest.raises(Denied, match="could not be verified"):
            verify(BAD[wrong]())

    def test_raises_key_unknown_for_an_unknown_key(self):
        with pytest.raises(KeyUnknown):
            verify(signed(header={"kid": "newer"}))
        with pytest.raises(KeyUnknown):
            verify(signed(header={"kid": None}), KeySet([KEY, CURVE]))

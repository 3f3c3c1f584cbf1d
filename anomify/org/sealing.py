"""Encrypt secrets that must be read again later, so that the database does not reveal them."""

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The purpose of the key of config.Settings.key_for().
PURPOSE = "webhook-secret"
# The purpose of the key for sealed values in rows; see db.sealing_key().
ROWS_PURPOSE = "sealed-rows"
NONCE_BYTES = 12
_KEY_ID_CHARACTERS = 8


class SealBroken(Exception):
    """A sealed text cannot be read: the key or the org is another one, or the text was changed."""


def seal(key: bytes, org_id: int, text: str) -> str:
    """Return the text encrypted with AES-256-GCM, readable for this org only.

    The name of the key stands before it, so that a changed key is recognised as such.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), _bound_to(org_id))
    return f"{_key_id(key)}.{base64.b64encode(nonce + sealed).decode()}"


def unseal(key: bytes, org_id: int, sealed: str) -> str:
    """Return the text. Raises SealBroken when it cannot be read with this key."""
    key_id, _, body = sealed.partition(".")
    if key_id != _key_id(key):
        raise SealBroken("The secret was sealed with another key than the present secret_key.")
    try:
        raw = base64.b64decode(body, validate=True)
        return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound_to(org_id)).decode()
    except (InvalidTag, binascii.Error, ValueError):
        raise SealBroken("The sealed secret has been changed.") from None


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:_KEY_ID_CHARACTERS]


def _bound_to(org_id: int) -> bytes:
    return f"org:{org_id}".encode()

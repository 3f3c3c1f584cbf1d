"""Secrets and signatures of webhooks, as Standard Webhooks 1.0 defines them."""

import base64
import binascii
import hashlib
import hmac
import secrets

PREFIX = "whsec_"
VERSION = "v1"
# The specification allows lengths between these two.
KEY_LEAST_BYTES = 24
KEY_MOST_BYTES = 64


def new_secret() -> str:
    """Return a new random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_LEAST_BYTES)).decode()


def key_of(secret: str) -> bytes | None:
    """Return the key that a secret encodes, or None if it is not a valid secret."""
    if not secret.startswith(PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if KEY_LEAST_BYTES <= len(key) <= KEY_MOST_BYTES else None


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the part of the webhook-signature header for one key."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"{VERSION},{base64.b64encode(digest).decode()}"

"""Signed links: they show one page or picture of an org without signing in, until they expire."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from anomify.clock import now_timestamp, to_timestamp

# The purpose of the derived key; changing the number invalidates all links that were issued.
KEY_PURPOSE = "signed-links-2"
DEFAULT_LIFETIME = timedelta(days=7)
ORG = "org"
EXPIRES = "expires"
SIGNATURE = "sig"


def signed_link(
    key: bytes, org_uuid: str, path: str, parameters: Mapping[str, str], expires_at: datetime
) -> str:
    """Return the path with its parameters and a signature over all of it, for one org."""
    query = {
        **parameters,
        ORG: org_uuid,
        EXPIRES: str(to_timestamp(expires_at)),
    }
    return f"{quote(path)}?{urlencode({**query, SIGNATURE: _signature(key, path, query)})}"


def org_of_link(key: bytes, path: str, query: Mapping[str, str]) -> str | None:
    """Return the uuid of the org of a valid link, or None.

    None means that a part of the link was changed, added or left out, or that it has expired.
    """
    rest = dict(query)
    signature = rest.pop(SIGNATURE, "")
    expected = _signature(key, path, rest)
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return None
    return rest[ORG] if int(rest[EXPIRES]) > now_timestamp() else None


def _signature(key: bytes, path: str, query: Mapping[str, str]) -> str:
    signed = f"{path}\n{urlencode(sorted(query.items()))}"
    return hmac.new(key, signed.encode(errors="replace"), hashlib.sha256).hexdigest()

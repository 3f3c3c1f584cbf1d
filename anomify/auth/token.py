"""The token of a request: from the header, or else from data.token in the body."""

import threading
from typing import cast

from flask import current_app, request

from anomify.edge.app_state import app_state
from anomify.edge.parameters import body_parameters
from anomify.errors import Invalid, Unsupported
from anomify.org.token import is_unmistakable
from anomify.org.verified_token import VerifiedTokens

HEADER = "X-Auth-Token"
VERIFIED_KEY = "anomify_verified_tokens"
_making = threading.Lock()


def presented_token() -> str | None:
    """Return the token of the request, valid or not; None if it has none.

    Raises `Invalid` for a token in the address, which ends up in logs and histories.
    """
    for name, value in request.args.items(multi=True):
        if is_unmistakable(value):
            raise Invalid(
                f"A token does not belong in an address; send it as {HEADER}, and revoke this one.",
                code="token_in_address",
                fields={name: f"Send it as {HEADER}."},
            )
    return request.headers.get(HEADER) or _in_body()


def verified_tokens() -> VerifiedTokens:
    """Return the app's cache of verified tokens, without those revoked in this process."""
    with _making:
        kept = current_app.extensions.get(VERIFIED_KEY)
        if kept is None:
            database = app_state().database
            kept = current_app.extensions[VERIFIED_KEY] = VerifiedTokens(database)
            database.subscribe(kept.take_notice)
    return cast("VerifiedTokens", kept)


def _in_body() -> str | None:
    if not request.is_json:
        return None
    try:
        wrapped = body_parameters().get("data")
    except (Invalid, Unsupported):
        # The view reports what is wrong with the body.
        return None
    token = wrapped.get("token") if isinstance(wrapped, dict) else None
    return token if isinstance(token, str) and token else None

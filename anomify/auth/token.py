"""Tokens of an org as a request presents them: the header, then the body's data.token."""

from flask import request

from anomify.edge.parameters import body_parameters
from anomify.errors import Invalid, Unsupported
from anomify.org.token import is_unmistakable

HEADER = "X-Auth-Token"


def presented_token() -> str | None:
    """Return the token that the request presents, good or bad, or None.

    Raises `Invalid` for one in the address, where it would end up in logs and histories.
    """
    for name, value in request.args.items(multi=True):
        if is_unmistakable(value):
            raise Invalid(
                f"A token does not belong in an address; send it as {HEADER}, and revoke this one.",
                code="token_in_address",
                fields={name: f"Send it as {HEADER}."},
            )
    return request.headers.get(HEADER) or _in_body()


def _in_body() -> str | None:
    if not request.is_json:
        return None
    try:
        wrapped = body_parameters().get("data")
    except (Invalid, Unsupported):
        # Whoever needs the body says what is wrong with it.
        return None
    token = wrapped.get("token") if isinstance(wrapped, dict) else None
    return token if isinstance(token, str) and token else None

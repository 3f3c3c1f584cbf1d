"""How callers authenticate, as security schemes of the document."""

from typing import Final

from anomify.edge.access import Credential
from anomify.edge.contract import Declared
from anomify.edge.openapi.schemas import Schema

READING_METHODS: Final = {"GET", "HEAD"}


def security_schemes(*, has_parameter: bool) -> Schema:
    """Return every way to authenticate, with the session parameter if it is allowed."""
    found: Schema = {
        "session_header": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Session-Id",
            "description": "The session's id, which every reply has as `status.session_id`.",
        },
        "session_parameter": {
            "type": "apiKey",
            "in": "query",
            "name": "session_id",
            "description": "The same as a parameter. Deprecated: addresses end up in logs.",
        },
        "session_cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "session_id",
            "description": "The same as a cookie, which browsers are given.",
        },
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Auth-Token",
            "description": (
                "A token of the org: `anm_...`. A signed-in user wins where both are sent. "
                'In a JSON body it may stand as `{"data": {"token": "anm_..."}}`.'
            ),
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the org with the scope `ingest`.",
        },
        "basic": {
            "type": "http",
            "scheme": "basic",
            "description": "The token as the password; the name is not looked at.",
        },
        "link": {
            "type": "apiKey",
            "in": "query",
            "name": "sig",
            "description": "The signature of a link that we made; everything else in it counts.",
        },
    }
    if not has_parameter:
        del found["session_parameter"]
    return found


def security_of(route: Declared, method: str, *, has_parameter: bool) -> list[Schema]:
    """Return the ways to authenticate for a route with this method; each of them is enough."""
    found: list[Schema] = []
    for credential in route.access.credentials:
        if credential is Credential.SESSION:
            found.append({"session_header": []})
            # A link that a browser follows must not change anything.
            if not (route.changes and method in READING_METHODS):
                if has_parameter:
                    found.append({"session_parameter": []})
                found.append({"session_cookie": []})
        else:
            found.append({} if credential is Credential.NONE else {str(credential): []})
    return found

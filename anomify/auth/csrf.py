"""Protection against cross-site request forgery (CSRF) of requests that change something."""

import hashlib
import hmac
from urllib.parse import urlsplit

from flask import request
from werkzeug.exceptions import MethodNotAllowed

from anomify.auth.session_id import Source, current_session_id, web_session
from anomify.auth.subject import OrgSubject, Subject, UserSubject
from anomify.edge.app_state import app_state
from anomify.edge.contract import Declared
from anomify.edge.parameters import find_parameter
from anomify.errors import Denied

HEADER = "X-CSRF-Token"
PARAMETER = "csrf_token"
KEY_PURPOSE = "csrf"
READING_METHODS = {"GET", "HEAD"}
# Values of Sec-Fetch-Site for requests of our own pages or of the user directly.
OWN_SITES = {"same-origin", "none"}


def csrf_token() -> str:
    """Return the token that forms of the current session carry as `csrf_token`."""
    key = app_state().settings.key_for(KEY_PURPOSE)
    return hmac.new(key, (current_session_id() or "").encode(), hashlib.sha256).hexdigest()


def check_csrf(route: Declared, caller: Subject) -> None:
    """Raise `Denied` or `MethodNotAllowed` for a change that another site may have forged.

    Requests authenticated by X-Session-Id or by a token cannot be forged, because no other site can
    send these. Routes that only read are not checked with any method.
    """
    source = web_session().source
    if not route.changes or isinstance(caller, OrgSubject) or source is Source.HEADER:
        return
    if request.method in READING_METHODS:
        raise MethodNotAllowed(valid_methods=["POST"])
    if source is Source.PARAMETER:
        return
    if not is_same_origin():
        raise _forged()
    # A page that sends no referrer posts its forms with the origin "null".
    origin = request.headers.get("Origin")
    if origin not in {None, "null"}:
        if not _is_ours(str(origin)):
            raise _forged()
        return
    if origin is None and not isinstance(caller, UserSubject):
        # Not a browser, which would send an origin, and no user whose rights could be misused.
        return
    if not _has_right_token():
        raise _forged()


def is_same_origin() -> bool:
    """Return whether Sec-Fetch-Site allows the request; it does where the header is missing."""
    return request.headers.get("Sec-Fetch-Site", "none") in OWN_SITES


def _has_right_token() -> bool:
    sent = request.headers.get(HEADER) or find_parameter(PARAMETER) or ""
    return hmac.compare_digest(sent.encode(errors="replace"), csrf_token().encode())


def _is_ours(origin: str) -> bool:
    """Return whether it is the configured base URL's origin, or the host of this request."""
    if origin == _origin(app_state().settings.base_url):
        return True
    # A page elsewhere cannot choose the Host that its visitor's browser sends us.
    return urlsplit(origin).netloc == request.host


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _forged() -> Denied:
    return Denied(
        f"This change did not come from a page of ours. Send the header {HEADER}, or authenticate "
        "with X-Session-Id or X-Auth-Token instead of a cookie.",
        code="not_meant",
    )

"""Compresses replies with gzip where that saves much and reveals no secret.

A reply with a secret and text that an attacker chose must not be compressed: its length would
reveal how much both have in common (BREACH). Pages contain CSRF tokens, and JSON for a session
contains its id. So a reply to a request with a cookie is compressed only if it is a page, and only
if the browser states that one of our pages or the user requested it (Sec-Fetch-Site).
"""

import cramjam
from flask import Flask, Response, request

TYPES = {
    *("text/html", "text/css", "text/plain", "text/javascript", "application/javascript"),
    *("application/json", "application/problem+json", "image/svg+xml"),
}
LEAST_BYTES = 1024
# Values of Sec-Fetch-Site for requests of our own pages or of the user directly.
OWN_SITES = {"same-origin", "none"}
GZIP = "gzip"
LEVEL = 5
_NO_CONTENT = 204
_NOT_MODIFIED = 304


def install(app: Flask) -> None:
    """Compress each reply of the app that is large enough and may be compressed."""

    @app.after_request
    def compress(reply: Response) -> Response:
        status = reply.status_code
        if status == _NO_CONTENT or (reply.mimetype not in TYPES and status != _NOT_MODIFIED):
            return reply
        reply.vary.add("Accept-Encoding")
        if _is_compressible(reply) and request.accept_encodings.quality(GZIP) > 0:
            body = reply.get_data()
            if len(body) >= LEAST_BYTES and not _may_leak(reply):
                set_compressed(reply, bytes(cramjam.gzip.compress(body, LEVEL)), GZIP)
        return reply


def set_compressed(reply: Response, body: bytes, encoding: str) -> None:
    """Set the compressed body of a reply. Its ETag becomes weak, because the bytes differ."""
    # Closes a file that was opened for the reply.
    close = getattr(reply.response, "close", None)
    if close is not None:
        close()
    reply.direct_passthrough = False
    reply.set_data(body)
    reply.headers["Content-Encoding"] = encoding
    reply.headers.pop("Accept-Ranges", None)
    etag, is_weak = reply.get_etag()
    if etag is not None and not is_weak:
        reply.set_etag(etag, weak=True)


def _is_compressible(reply: Response) -> bool:
    return (
        200 <= reply.status_code < 600  # noqa: PLR2004 -- statuses with a body
        and reply.status_code not in {206, _NOT_MODIFIED}
        and not reply.direct_passthrough
        and not reply.is_streamed
        and "Content-Encoding" not in reply.headers
        and not reply.cache_control.no_transform
    )


def _may_leak(reply: Response) -> bool:
    if "Cookie" not in request.headers:
        return False
    return reply.mimetype != "text/html" or (request.headers.get("Sec-Fetch-Site") not in OWN_SITES)

"""Compresses replies with gzip where that is worth it and gives nothing away.

A reply that holds a secret beside text that somebody else chose must not be compressed: its length
would tell how much both have in common (BREACH). Pages hold tokens against forged requests, and
JSON for a session holds its id. So what is answered to a browser's cookie is compressed only where
it is a page, and only where the browser says that a page of ours or the person asked for it.
"""

import cramjam
from flask import Flask, Response, request

TYPES = {
    *("text/html", "text/css", "text/plain", "text/javascript", "application/javascript"),
    *("application/json", "application/problem+json", "image/svg+xml"),
}
LEAST_BYTES = 1024
# What a browser says of a request that our own page, or the person at the keyboard, made.
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
    """Put a compressed body into a reply. Its ETag becomes weak: the bytes are others."""
    # A file that was opened to be sent.
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
        200 <= reply.status_code < 600  # noqa: PLR2004 -- whatever has a body
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

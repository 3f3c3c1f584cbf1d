"""The headers that every reply carries, whatever it is and whoever asked."""

from flask import Flask, Response

from anomify.config import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "object-src 'none'; frame-ancestors 'none'"
)
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": PERMISSIONS_POLICY,
    # In the place of the server's own, which would say what we are built on.
    "Server": "anomify",
}
# One year, as browsers' preload lists ask for.
STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"


def install(app: Flask, settings: Settings) -> None:
    """Put the headers on each reply; only files and pictures may be kept by caches."""
    is_encrypted = settings.base_url.startswith("https://")

    @app.after_request
    def put_headers(reply: Response) -> Response:
        for name, value in HEADERS.items():
            # A picture behind a signed link says itself who may embed it.
            reply.headers.setdefault(name, value)
        if is_encrypted:
            reply.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
        reply.headers.setdefault("Cache-Control", "no-store")
        return reply

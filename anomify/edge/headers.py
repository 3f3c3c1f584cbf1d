"""The security headers of every reply."""

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
    # Replaces the server's own value, which would name the software and its version.
    "Server": "anomify",
}
# One year, as the preload lists of browsers require.
STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"


def install(app: Flask, settings: Settings) -> None:
    """Add the headers to each reply; only files and pictures may be cached."""
    wanted = {**HEADERS, "Cache-Control": "no-store"}
    if settings.base_url.startswith("https://"):
        wanted["Strict-Transport-Security"] = STRICT_TRANSPORT
    every_reply = [(name, name.lower(), value) for name, value in wanted.items()]

    @app.after_request
    def put_headers(reply: Response) -> Response:
        headers = reply.headers
        # A picture behind a signed link has its own rule for embedding.
        present = {name.lower() for name, _ in headers}
        for name, lowered, value in every_reply:
            if lowered not in present:
                headers.add(name, value)
        return reply

"""Cross-origin requests (CORS): allowed from origins that the operator lists, without cookies."""

from flask import Flask, Response, request

from anomify.config import Settings
from anomify.edge.contract import current_route

# The headers that a page may send, and those of a reply that it may read.
SENT = "X-Session-Id, X-Auth-Token, Content-Type"
READ = "X-Request-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
METHODS = "GET, POST"
REMEMBERED_SECONDS = 600
ALLOWED_ORIGIN = "Access-Control-Allow-Origin"


def install(app: Flask, settings: Settings) -> None:
    """Allow the listed origins to read replies of the API; without a list this does nothing.

    Credentials are never allowed: a cookie sent along would lend its user's rights to the page, and
    every reply contains the id of the session. HTML pages get no such headers.
    """
    origins = frozenset(settings.cors_origins)
    if not origins:
        return

    @app.after_request
    def let_read(reply: Response) -> Response:
        route = current_route()
        if (route is not None and route.is_page) or ALLOWED_ORIGIN in reply.headers:
            return reply
        # Caches keep one reply for each origin.
        reply.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin not in origins:
            return reply
        reply.headers[ALLOWED_ORIGIN] = origin
        reply.headers["Access-Control-Expose-Headers"] = READ
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            reply.headers["Access-Control-Allow-Methods"] = METHODS
            reply.headers["Access-Control-Allow-Headers"] = SENT
            reply.headers["Access-Control-Max-Age"] = str(REMEMBERED_SECONDS)
        return reply

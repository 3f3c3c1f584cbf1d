"""The id of a request, in the reply and in the log, and how long the request has taken so far."""

import secrets
import time

from flask import Flask, Response, g

HEADER = "X-Request-Id"


def request_id() -> str:
    """Return the id of the current request; it is generated, never taken from the caller."""
    if "request_id" not in g:
        g.request_id = secrets.token_hex(8)
    found: str = g.request_id
    return found


def elapsed_seconds() -> float:
    """Return how long the current request has taken so far."""
    return time.perf_counter() - float(g.get("started_seconds", time.perf_counter()))


def install(app: Flask) -> None:
    """Record the start of each request, and add its id to the reply."""

    @app.before_request
    def start_clock() -> None:
        g.started_seconds = time.perf_counter()

    @app.after_request
    def name_request(reply: Response) -> Response:
        reply.headers[HEADER] = request_id()
        return reply

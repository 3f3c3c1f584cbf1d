"""Counts and durations of answered requests by route, for the operator's metrics."""

from flask import Flask, Response, request
from prometheus_client import Counter, Histogram

from anomify.edge.request_id import elapsed_seconds

ANSWERED = Counter(
    "anomify_http_requests", "Requests that were answered, by route.", ("route", "code")
)
SECONDS = Histogram(
    "anomify_http_request_seconds",
    "How long a request took.",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
UNKNOWN = "unknown"


def install(app: Flask) -> None:
    """Count each reply by its route's name, never by the requested URL."""

    @app.after_request
    def count(reply: Response) -> Response:
        route = request.endpoint or UNKNOWN
        ANSWERED.labels(route, reply.status_code).inc()
        SECONDS.labels(route).observe(elapsed_seconds())
        return reply

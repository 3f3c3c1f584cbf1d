"""/-: for load balancers and operators; no session, and no data of any org."""

import ipaddress
from collections import Counter

from flask import Response, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Gauge,
    generate_latest,
)

from anomify.auth.token import presented_token
from anomify.edge.access import PUBLIC
from anomify.edge.app_state import app_state
from anomify.edge.contract import DeclaredReply, Wire
from anomify.edge.health import DATABASE, LOG, Component, components
from anomify.edge.transaction import transaction
from anomify.errors import Denied
from anomify.native.envelope import NativeBlueprint
from anomify.org.token import check_address, find_token, has_scope

blueprint = NativeBlueprint("operators", __name__)

# The parts without which no request can be answered; the worker is not one of them.
NEEDED = {DATABASE, LOG}

# Headers of a proxy on this machine, whose requests come from other machines.
PASSED_ON = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
TAG = "operators"
TEXT = "text/plain"
HEALTHY = Wire(
    replies=(
        DeclaredReply(200, "The process answers.", TEXT),
        DeclaredReply(503, "A thread of the process is gone; it has to be started again.", TEXT),
    )
)
READY = Wire(
    replies=(
        DeclaredReply(200, "Requests can be answered.", TEXT),
        DeclaredReply(503, "They cannot; the text names what is missing.", TEXT),
    )
)
COUNTED = Wire(replies=(DeclaredReply(200, "The counts, in Prometheus' text format.", TEXT),))


@blueprint.route("/-/healthy", tag=TAG, wire=HEALTHY, access=PUBLIC, has_own_transactions=True)
def healthy() -> Response:
    """Return whether the process answers and its threads run; if not, it has to be restarted.

    It does not check the database; /-/ready returns whether requests can be answered.
    """
    if not app_state().points.is_following:
        sentence = "unhealthy: the thread that follows the log of points is gone\n"
        return Response(sentence, 503, mimetype="text/plain")
    return Response("healthy\n", mimetype="text/plain")


@blueprint.route("/-/ready", tag=TAG, wire=READY, access=PUBLIC, has_own_transactions=True)
def ready() -> Response:
    """Return whether requests can be answered: the database and the point log work.

    The lag of the worker is not checked, because points are accepted anyway. Damaged stored data
    is reported in a line of its own and does not make the server unready.
    """
    parts = components(app_state())
    missing = [part.name for part in parts if part.name in NEEDED and not part.is_ok]
    problems = "".join(f"{part.name}: {part.problem}\n" for part in parts if part.problem)
    if missing:
        return Response(f"not ready: {', '.join(missing)}\n{problems}", 503, mimetype="text/plain")
    return Response(f"ready\n{problems}", mimetype="text/plain")


@blueprint.route(
    "/-/metrics",
    tag=TAG,
    wire=COUNTED,
    errors=(401, 403),
    access=PUBLIC,
    has_own_transactions=True,
)
def metrics() -> Response:
    """Return the counters of this process for Prometheus, to this machine or an admin's token."""
    if not _is_from_here() and not _has_admin_token():
        raise Denied("Ask from this machine, or send a token with the scope admin.")
    counted = generate_latest(REGISTRY) + generate_latest(_gauges(components(app_state())))
    return Response(counted, content_type=CONTENT_TYPE_LATEST)


def _gauges(parts: list[Component]) -> CollectorRegistry:
    registry = CollectorRegistry()
    is_ok = Gauge("anomify_component_ok", "1 while it works.", ("component",), registry=registry)
    lag = Gauge("anomify_lag_seconds", "How far behind.", ("component",), registry=registry)
    damaged = Gauge(
        "anomify_set_aside",
        "Stored pieces that cannot be read, by kind.",
        ("kind",),
        registry=registry,
    )
    for kind, count in Counter(each.kind for each in app_state().points.damaged.all).items():
        damaged.labels(kind.value).set(count)
    for part in parts:
        is_ok.labels(part.name).set(part.is_ok)
        if part.lag_seconds is not None:
            lag.labels(part.name).set(part.lag_seconds)
    return registry


def _is_from_here() -> bool:
    if any(name in request.headers for name in PASSED_ON):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _has_admin_token() -> bool:
    text = presented_token()
    if text is None:
        return False
    with transaction(write=False):
        token = find_token(text)
    if token is None or not has_scope(token, "admin"):
        return False
    check_address(token.networks, request.remote_addr or "")
    return True

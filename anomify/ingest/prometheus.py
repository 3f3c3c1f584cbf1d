"""Prometheus remote write 1.0 and 2.0, at the usual path, and at /flux with a report.

Prometheus repeats a request after 5xx and discards it after 4xx. So `/api/v1/write` stores the
valid items of a body and counts the others. For remote write 1.0 it answers 204 if anything was
stored; for 2.0 it answers 400 if anything was refused, with the numbers of written items in
headers, as that specification requires. A body without a valid item gets 400, and a failure of the
server 5xx.
`/flux/prometheus/write` lists the refused items; for 1.0 with 207.
"""

from collections.abc import Callable
from functools import partial

from flask import Response, jsonify, make_response, request

from anomify.edge.access import INGEST
from anomify.edge.app_state import app_state
from anomify.edge.request_id import request_id
from anomify.errors import Invalid, Unsupported
from anomify.ingest import counters
from anomify.ingest import shapes as described
from anomify.ingest.accept import Accepted, accept, dry_run, known_to
from anomify.ingest.flux import receive_json
from anomify.ingest.wire import (
    BODY_BYTES_MAX,
    IngestBlueprint,
    is_dry_run,
    read_body,
    report,
    sender_of,
    sent_token,
    summed_up,
    turn_for,
)
from anomify.protocol.batch import MetricIdLookup
from anomify.protocol.compression import unsnappied_length, unsnappy
from anomify.protocol.prometheus import parse_write_1, parse_write_2
from anomify.protocol.prometheus_layout import BodyLayouts
from anomify.protocol.prometheus_rows import RemoteWrite

PROTO_1 = "prometheus.WriteRequest"
PROTO_2 = "io.prometheus.write.v2.Request"
# The layouts are bytes of bodies without their values and ids, and so the same for every org.
_PARSERS: dict[str, Callable[[bytes, MetricIdLookup], RemoteWrite]] = {
    PROTO_1: partial(parse_write_1, layouts=BodyLayouts()),
    PROTO_2: parse_write_2,
}
_PROTOBUF_TYPES = {"application/x-protobuf", "application/protobuf", "application/octet-stream", ""}
_JSON_TYPES = {"application/json", "text/json"}
# The content type of clients that set none.
_TYPES_OF_NOTHING = {"", "application/x-www-form-urlencoded", "text/plain"}
_JSON_HINT = "Send JSON to /flux/metric_data_post, with Content-Type: application/json."

blueprint = IngestBlueprint("prometheus", __name__)


@blueprint.route(
    "/api/v1/write",
    "/api/v1/write/",
    access=INGEST,
    methods=["POST"],
    wire=described.REMOTE_WRITE,
    tag="flux",
    has_own_transactions=True,
)
def write() -> Response:
    """Take remote write 1.0 or 2.0 with the replies that senders expect."""
    proto = _proto()
    accepted = _receive("prometheus", proto)
    is_success = not accepted.refused_total or (proto == PROTO_1 and accepted.stored > 0)
    reply = (
        make_response("", 204)
        if is_success
        else make_response(
            jsonify(
                status="error",
                code="partly_stored" if accepted.stored else "nothing_stored",
                message=summed_up(accepted),
                request_id=request_id(),
            ),
            400,
        )
    )
    return _with_counts(reply, proto, accepted)


@blueprint.route(
    "/flux/prometheus/write",
    "/flux/prometheus/write/",
    access=INGEST,
    methods=["POST"],
    wire=described.REPORTED_WRITE,
    has_own_transactions=True,
)
def write_reported() -> Response:
    """Take remote write, or JSON of labelled names, and report item by item what was refused."""
    if _is_json():
        return receive_json("flux_prometheus")
    proto = _proto()
    accepted = _receive("flux_prometheus", proto, is_dry_run=is_dry_run())
    if is_dry_run():
        return make_response(jsonify(report(accepted, is_dry_run=True)), 200)
    if not accepted.refused_total:
        return _with_counts(make_response("", 204), proto, accepted)
    is_success = proto == PROTO_1 and accepted.stored > 0
    reply = make_response(jsonify(report(accepted)), 207 if is_success else 400)
    return _with_counts(reply, proto, accepted)


def _is_json() -> bool:
    """Return whether the body is JSON by its type, or, without a type, by its braces."""
    if request.mimetype in _JSON_TYPES:
        return True
    if request.mimetype not in _TYPES_OF_NOTHING or "Content-Encoding" in request.headers:
        return False
    request.max_content_length = BODY_BYTES_MAX
    body = request.stream.read().strip()
    request.stream.seek(0)
    return body[:1] + body[-1:] in {b"{}", b"[]"}


def _receive(blueprint: str, proto: str, *, is_dry_run: bool = False) -> Accepted:
    """Store a remote write body, and count its accepted and refused items."""
    sender = sender_of(sent_token(), blueprint)
    body = read_body()
    try:
        with turn_for(unsnappied_length(body)):
            written = _PARSERS[proto](unsnappy(body, BODY_BYTES_MAX), known_to(app_state(), sender))
    except Invalid as damage:
        if damage.code == "bad_snappy" and body.lstrip()[:1] in {b"{", b"["}:
            raise Invalid(
                f"the body is not snappy; it looks like JSON. {_JSON_HINT}", code=damage.code
            ) from damage
        raise
    batches = [(written.batch, False)]
    if is_dry_run:
        return dry_run(app_state(), sender, batches)
    accepted = accept(app_state(), sender, batches)
    counters.count(blueprint, sender.org_id, accepted.stored, accepted.refused)
    return accepted


def _with_counts(reply: Response, proto: str, accepted: Accepted) -> Response:
    """Add the headers of remote write 2.0: how many items of each kind were written."""
    if proto == PROTO_2:
        reply.headers["X-Prometheus-Remote-Write-Samples-Written"] = str(accepted.stored)
        reply.headers["X-Prometheus-Remote-Write-Histograms-Written"] = "0"
        reply.headers["X-Prometheus-Remote-Write-Exemplars-Written"] = "0"
    return reply


def _proto() -> str:
    """Return the message type of the body. Raises `Unsupported`, so that senders fall back."""
    if request.mimetype not in _PROTOBUF_TYPES:
        raise Unsupported(
            f"Remote write is application/x-protobuf; {request.mimetype[:60]!r} is not taken here."
            f" {_JSON_HINT}"
        )
    proto = request.mimetype_params.get("proto", PROTO_1)
    if proto not in _PARSERS:
        raise Unsupported(
            f"The message {proto[:60]!r} is not known here; {PROTO_1} and {PROTO_2} are."
        )
    encoding = request.headers.get("Content-Encoding", "snappy").strip().lower()
    if encoding != "snappy":
        raise Unsupported(f"The content encoding {encoding[:40]!r} is not taken here; snappy is.")
    return proto

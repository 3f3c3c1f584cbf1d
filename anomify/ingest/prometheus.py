"""The Prometheus doors: remote write 1.0 and 2.0, at the usual path and with a report at Flux's.

Prometheus sends again after 5xx, and throws the whole body away after 4xx. So `/api/v1/write`
stores what is good, counts the rest and answers 204; 400 is for a body that can never be taken, and
whatever is wrong with us is 5xx. `/flux/prometheus/write` answers 207 with what was refused.
"""

from flask import Response, jsonify, make_response, request

from anomify.edge.contract import Access
from anomify.edge.house import house
from anomify.errors import Unsupported
from anomify.ingest import counters, described
from anomify.ingest.accept import Accepted, accept, known_to, rehearse
from anomify.ingest.flux import BODY_BYTES_MAX, answer_post
from anomify.ingest.wire import (
    IngestDoor,
    is_rehearsal,
    read_body,
    read_text_body,
    report,
    sender_of,
    sent_token,
    turn_for,
)
from anomify.protocol.compression import unsnappied_length, unsnappy
from anomify.protocol.flux import parse_post
from anomify.protocol.prometheus import RemoteWrite, parse_write_1, parse_write_2

# Senders put 2,000 samples into a body, some 300 kB; both sizes count, before and after snappy.
WRITE_BYTES_MAX = 16 * 1024 * 1024
PROTO_1 = "prometheus.WriteRequest"
PROTO_2 = "io.prometheus.write.v2.Request"
_PARSERS = {PROTO_1: parse_write_1, PROTO_2: parse_write_2}
_PROTOBUF_TYPES = {"application/x-protobuf", "application/protobuf", "application/octet-stream", ""}
_JSON_TYPES = {"application/json", "text/json"}

prometheus = IngestDoor("prometheus", __name__)


@prometheus.route(
    "/api/v1/write",
    "/api/v1/write/",
    access=Access.INGEST,
    methods=["POST"],
    wire=described.REMOTE_WRITE,
    tag="flux",
    has_own_transactions=True,
)
def write() -> Response:
    """Take remote write 1.0 or 2.0 as senders expect it to be taken."""
    written, accepted = _receive("prometheus")
    del accepted
    return written


@prometheus.route(
    "/flux/prometheus/write",
    "/flux/prometheus/write/",
    access=Access.INGEST,
    methods=["POST"],
    wire=described.REPORTED_WRITE,
    has_own_transactions=True,
)
def write_reported() -> Response:
    """Take remote write, or JSON of labelled names, and report item by item what was refused."""
    if request.mimetype in _JSON_TYPES:
        return answer_post(parse_post(read_text_body(BODY_BYTES_MAX)), door="flux_prometheus")
    reply, accepted = _receive("flux_prometheus", is_rehearsal=is_rehearsal())
    if is_rehearsal():
        return make_response(jsonify(report(accepted, is_rehearsal=True)), 200)
    if accepted.refused_total:
        told = make_response(jsonify(report(accepted)), 207)
        told.headers.update(
            {name: value for name, value in reply.headers if name.startswith("X-Prometheus")}
        )
        return told
    return reply


def _receive(door: str, *, is_rehearsal: bool = False) -> tuple[Response, Accepted]:
    """Store a remote write body and make the reply of the usual path."""
    proto = _proto()
    sender = sender_of(sent_token())
    body = read_body(WRITE_BYTES_MAX)
    with turn_for(unsnappied_length(body)):
        written: RemoteWrite = _PARSERS[proto](
            unsnappy(body, WRITE_BYTES_MAX), known_to(house(), sender)
        )
    if is_rehearsal:
        accepted = rehearse(house(), sender, [(written.batch, False)])
    else:
        accepted = accept(house(), sender, [(written.batch, False)])
        counters.count(door, accepted.stored, accepted.refused)
    reply = make_response("", 204)
    if proto == PROTO_2:
        reply.headers["X-Prometheus-Remote-Write-Samples-Written"] = str(accepted.stored)
        reply.headers["X-Prometheus-Remote-Write-Histograms-Written"] = "0"
        reply.headers["X-Prometheus-Remote-Write-Exemplars-Written"] = "0"
    return reply, accepted


def _proto() -> str:
    """Return which message the body says it is. Raises `Unsupported`, so that senders fall back."""
    if request.mimetype not in _PROTOBUF_TYPES:
        raise Unsupported(
            f"Remote write is application/x-protobuf; {request.mimetype[:60]!r} is not taken here."
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

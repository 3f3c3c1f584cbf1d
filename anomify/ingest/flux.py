"""The Flux door: datapoints as JSON or in a query, and Telegraf's JSON.

Limits: 1 MiB of JSON once uncompressed, as the reference service has, and up to 10,000 datapoints
in it, where that one takes 500. A datapoint is history, and judged as such, where it says
`fill: "true"`; the whole request is, where the body or a header of that name says so.
"""

from urllib.parse import unquote_to_bytes

from flask import Response, jsonify, make_response, request

from anomify.edge.contract import Access
from anomify.edge.house import house
from anomify.errors import Invalid
from anomify.ingest import counters, described
from anomify.ingest.accept import accept, known_to, rehearse
from anomify.ingest.wire import (
    IngestDoor,
    is_rehearsal,
    read_text_body,
    report,
    sender_of,
    sent_token,
)
from anomify.protocol.flux import FluxPost, is_true, parse_post, parse_query

BODY_BYTES_MAX = 1024 * 1024

flux = IngestDoor("flux", __name__, url_prefix="/flux")


@flux.route(
    "/metric_data",
    access=Access.INGEST,
    methods=["GET"],
    wire=described.ONE_POINT,
    has_own_transactions=True,
)
def metric_data() -> Response:
    """Take one datapoint as a query, or say with `status=true` whether datapoints are taken."""
    _check_readable()
    _check_said_once()
    if is_true(request.args.get("status")):
        house().registry.check()
        return make_response(jsonify(status="ok"), 200)
    return answer_post(parse_query(request.args), door="flux")


@flux.route(
    "/metric_data_post",
    access=Access.INGEST,
    methods=["POST"],
    wire=described.POINTS,
    has_own_transactions=True,
)
def metric_data_post() -> Response:
    """Take one datapoint or many as JSON: 204, or 207 with a report where some were refused."""
    is_telegraf = is_true(request.headers.get("telegraf"))
    post = parse_post(
        read_text_body(BODY_BYTES_MAX),
        is_telegraf=is_telegraf,
        prefix=request.headers.get("prefix", ""),
        is_fill=is_true(request.headers.get("fill")),
    )
    return answer_post(post, door="telegraf" if is_telegraf else "flux")


def _check_readable() -> None:
    """Refuse a query that is not UTF-8: whatever it was read as, another one would be read so."""
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError:
        raise Invalid("The query is not UTF-8; encode it so.", code="bad_encoding") from None


def _check_said_once() -> None:
    """Refuse a query that says two things of one: which of them is meant nobody knows."""
    for name, values in request.args.lists():
        if len(set(values)) > 1:
            raise Invalid(
                f"{name} has different values in one query.",
                code="conflicting_parameter",
                fields={name: "Send it once."},
            )


def answer_post(post: FluxPost, *, door: str) -> Response:
    """Store what was read and say what became of it.

    204 where all is stored, 207 with a report where some of a list is not, 400 with the same
    report where the one datapoint that was sent is not; 200 for dry runs and for checks of a key.
    """
    sender = sender_of(sent_token() or post.key)
    if post.is_key_check:
        return make_response(jsonify(status="key valid"), 200)
    live, history = post.batches(known_to(house(), sender))
    batches = [(live, False), (history, True)]
    if post.is_test or is_rehearsal():
        rehearsed = rehearse(house(), sender, batches)
        return make_response(jsonify(report(rehearsed, is_rehearsal=True)), 200)
    accepted = accept(house(), sender, batches)
    counters.count(door, accepted.stored, accepted.refused)
    if not accepted.refused_total:
        return make_response("", 204)
    return make_response(jsonify(report(accepted)), 400 if post.is_single else 207)

"""/flux: datapoints as JSON or in a query, and Telegraf's JSON.

Limits: 32 MiB of JSON once uncompressed, and up to 100,000 datapoints in it. A datapoint is
history, and judged as such, if it has `fill: "true"`; the whole request is, if the body or a header
of that name has this value.
"""

from urllib.parse import unquote_to_bytes

from flask import Response, jsonify, make_response, request

from anomify.edge.access import INGEST
from anomify.edge.app_state import app_state
from anomify.errors import Invalid
from anomify.ingest import counters
from anomify.ingest import shapes as described
from anomify.ingest.accept import Sender, accept, dry_run, known_to
from anomify.ingest.wire import (
    IngestBlueprint,
    is_dry_run,
    read_body,
    report,
    sender_of,
    sent_token,
    unpacked,
)
from anomify.protocol.flux import FluxPost, is_true, parse_post, parse_query

blueprint = IngestBlueprint("flux", __name__, url_prefix="/flux")


@blueprint.route(
    "/metric_data",
    access=INGEST,
    methods=["GET"],
    wire=described.ONE_POINT,
    has_own_transactions=True,
)
def metric_data() -> Response:
    """Take one datapoint as a query, or say with `status=true` whether datapoints are taken."""
    _check_query()
    if is_true(request.args.get("status")):
        app_state().registry.check()
        return make_response(jsonify(status="ok"), 200)
    post = parse_query(request.args)
    return answer_post(post, sender_of(sent_token() or post.key, "flux"), blueprint="flux")


@blueprint.route(
    "/metric_data_post",
    access=INGEST,
    methods=["POST"],
    wire=described.POINTS,
    has_own_transactions=True,
)
def metric_data_post() -> Response:
    """Take one datapoint or many as JSON: 204, or 207 with a report where some were refused.

    The body is read as JSON, with any content type. If nothing was stored, the answer is 400.
    """
    blueprint = "telegraf" if is_true(request.headers.get("telegraf")) else "flux"
    return receive_json(blueprint, is_telegraf=blueprint == "telegraf")


def receive_json(blueprint: str, *, is_telegraf: bool = False) -> Response:
    """Store a JSON body; a token in a header is verified before the body is read."""
    token = sent_token()
    sender = sender_of(token, blueprint) if token else None
    with unpacked(read_body()) as text:
        post = parse_post(
            text,
            is_telegraf=is_telegraf,
            prefix=request.headers.get("prefix", ""),
            is_fill=is_true(request.headers.get("fill")),
        )
    return answer_post(post, sender or sender_of(post.key, blueprint), blueprint=blueprint)


def _check_query() -> None:
    """Raise `Invalid` for a query that is not UTF-8, or that has two values for one name."""
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError:
        raise Invalid(
            "The address is not UTF-8; percent-encode names as UTF-8.", code="not_utf8"
        ) from None
    for name, values in request.args.lists():
        if len(set(values)) > 1:
            raise Invalid(
                f"{name} has different values in one query.",
                code="conflicting_parameter",
                fields={name: "Send it once."},
            )


def answer_post(post: FluxPost, sender: Sender, *, blueprint: str) -> Response:
    """Store the decoded datapoints and return the reply.

    204 where all are stored, 207 with a report where some are not, 400 with the same report where
    none is, because senders take 207 for a success. 200 for dry runs and for checks of a key.
    """
    if post.is_key_check:
        return make_response(jsonify(status="key valid"), 200)
    live, history = post.batches(known_to(app_state(), sender))
    batches = [(live, False), (history, True)]
    if post.is_test or is_dry_run():
        result = dry_run(app_state(), sender, batches)
        return make_response(jsonify(report(result, is_dry_run=True)), 200)
    accepted = accept(app_state(), sender, batches)
    counters.count(blueprint, sender.org_id, accepted.stored, accepted.refused)
    if not accepted.refused_total:
        return make_response("", 204)
    return make_response(jsonify(report(accepted)), 207 if accepted.stored else 400)

"""What all ingestion doors share: where the token is, how large a body may be, how to say no."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from flask import Response, jsonify, make_response, request

from anomify.auth.token import verified_tokens
from anomify.billing.debt import check_may_write
from anomify.clock import now
from anomify.edge.contract import Door, Outputs
from anomify.edge.problem import Problem
from anomify.edge.request_id import request_id
from anomify.errors import Unsupported
from anomify.ingest.accept import Accepted, Sender
from anomify.ingest.described import IngestProblemOut
from anomify.protocol.compression import gunzip
from anomify.protocol.flux import is_true

SCOPE = "ingest"
SERVER_HEADER = "x-server-id"
# A report names every refused item up to here, and says how many there are in all.
REPORTED_MAX = 10_000
# Bodies beyond this take turns, for they can need twenty times their size while they are read.
LARGE_BODY_BYTES = 4 * 1024 * 1024
# What a sender is told after 503 where nobody knows better.
RETRY_AFTER_SECONDS = 5

_turnstile = threading.Lock()


class IngestDoor(Door):
    """An ingestion door: plain JSON when something is wrong, no body when everything is right."""

    problem_shape: ClassVar[type[Outputs] | None] = IngestProblemOut

    def respond_problem(self, problem: Problem) -> Response:
        """Say what was wrong, in JSON that a person can read in a sender's log."""
        told: dict[str, Any] = {
            "status": "error",
            "code": problem.code,
            "message": problem.message,
            "request_id": request_id(),
        }
        if problem.fields:
            told["fields"] = dict(problem.fields)
        reply = make_response(jsonify(told), problem.status)
        if problem.status == 503:  # noqa: PLR2004 -- HTTP's "not now"
            reply.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if problem.status == 401:  # noqa: PLR2004 -- HTTP's "who are you" demands to say how to answer
            reply.headers["WWW-Authenticate"] = 'Bearer realm="anomify", Basic realm="anomify"'
        return reply


def sent_token() -> str | None:
    """Return the token in the request's headers: Bearer, basic auth's password, or by name."""
    authorization = request.authorization
    if authorization is not None:
        if authorization.type == "basic":
            return authorization.password
        if authorization.token:
            return authorization.token
    return request.headers.get("X-Auth-Token") or request.headers.get("key")


def sender_of(token: str | None) -> Sender:
    """Return who sends. Raises `Unauthenticated`, `Denied` or `Unavailable`.

    An org that has not paid for so long that it may only read is denied.
    X-Scope-OrgID and x-tenant-id are not looked at: the token alone says which org it is.
    """
    holder = verified_tokens().holder(token, SCOPE, request.remote_addr or "")
    check_may_write(holder.overdue_since, now())
    return Sender(holder, request.headers.get(SERVER_HEADER) or None)


def is_rehearsal() -> bool:
    """Tell whether the sender only wants to know what would be stored."""
    return is_true(request.headers.get("x-test-only"))


def read_body(limit_bytes: int) -> bytes:
    """Return the body as it came. Raises HTTP's 413 where it is over the limit."""
    request.max_content_length = limit_bytes
    return request.get_data(cache=False, parse_form_data=False)


def read_text_body(limit_bytes: int) -> bytes:
    """Return the body of a door that speaks JSON, uncompressed if it came as gzip."""
    body = read_body(limit_bytes)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip"}:
        return gunzip(body, limit_bytes)
    raise Unsupported(f"The content encoding {encoding[:40]!r} is not taken here; gzip is.")


@contextmanager
def turn_for(size_bytes: int) -> Iterator[None]:
    """Let large bodies be read one after the other, so that memory stays bounded."""
    if size_bytes <= LARGE_BODY_BYTES:
        yield
        return
    with _turnstile:
        yield


def report(accepted: Accepted, *, is_rehearsal: bool = False) -> dict[str, Any]:
    """Return what became of each item, for 207 and for dry runs."""
    refusals = accepted.refusals()
    told: dict[str, Any] = {
        "accepted": accepted.stored,
        "rejected": [
            {"index": refusal.index, "metric": refusal.metric, "reason": refusal.reason}
            for refusal in refusals[:REPORTED_MAX]
        ],
        "rejected_total": len(refusals),
    }
    if is_rehearsal:
        return {"status": "test, nothing was stored", **told, "new": list(accepted.new_metrics)}
    return {"status": "partly stored" if accepted.stored else "nothing was stored", **told}

"""Common parts of the ingestion routes: token, body size, reports and error replies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from flask import Response, g, jsonify, make_response, request
from werkzeug.exceptions import RequestEntityTooLarge

from anomify.auth.token import verified_tokens
from anomify.billing.debt import check_may_write
from anomify.clock import now
from anomify.edge.contract import DeclaredBlueprint, Outputs
from anomify.edge.problem import Problem
from anomify.edge.request_id import request_id
from anomify.errors import Invalid, TooLarge, Unavailable, Unsupported
from anomify.ingest import counters
from anomify.ingest.accept import Accepted, Sender
from anomify.ingest.shapes import IngestProblemOut
from anomify.org.refused_items import Refused
from anomify.org.token import is_token_shaped
from anomify.protocol.compression import gunzip
from anomify.protocol.flux import is_true

SCOPE = "ingest"
SERVER_HEADER = "x-server-id"
# Headers that determine the org, the name or the handling of datapoints.
SELECTING_HEADERS = (
    "authorization",
    "x-auth-token",
    "key",
    SERVER_HEADER,
    "prefix",
    "telegraf",
    "fill",
    "x-test-only",
)
# Telegraf's 1,000 measurements are some 2 MB; larger decompressed bodies are mistakes.
BODY_BYTES_MAX = 32 * 1024 * 1024
# A report lists at most this many refused items, and their total number.
REPORTED_MAX = 10_000
# Larger bodies are decoded one at a time, because decoding can need twenty times their size.
LARGE_BODY_BYTES = 4 * 1024 * 1024
# The default of Retry-After in a 503 reply.
RETRY_AFTER_SECONDS = 5

_SENDER_KEY = "anomify_ingest_sender"
# The statuses of requests that are refused finally; rate limits are counted elsewhere.
_REFUSED_FOR_GOOD = {400, 413, 415}
# The most large bodies at once, including the one that is decoded: each occupies a thread and
# memory, which small bodies and reads need too. Further ones get 503.
LARGE_BODIES_MAX = 8
_decoding = threading.Lock()
_large_bodies = threading.BoundedSemaphore(LARGE_BODIES_MAX)


class IngestBlueprint(DeclaredBlueprint):
    """A blueprint that answers errors as plain JSON, and success without a body."""

    problem_shape: ClassVar[type[Outputs] | None] = IngestProblemOut

    def __init__(self, name: str, import_name: str, **more: Any) -> None:
        """Create the blueprint; `more` is what any blueprint takes."""
        super().__init__(name, import_name, **more)
        self.before_request(check_headers)

    def respond_problem(self, problem: Problem) -> Response:
        """Return the error as JSON that is readable in a sender's log."""
        _count_refused_request(problem)
        body: dict[str, Any] = {
            "status": "error",
            "code": problem.code,
            "message": problem.message,
            "request_id": request_id(),
        }
        if problem.fields:
            body["fields"] = dict(problem.fields)
        reply = make_response(jsonify(body), problem.status)
        if problem.status == 503:  # noqa: PLR2004 -- Service Unavailable
            reply.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if problem.status == 401:  # noqa: PLR2004 -- Unauthorized requires this header
            reply.headers["WWW-Authenticate"] = 'Bearer realm="anomify", Basic realm="anomify"'
        return reply


def sent_token() -> str | None:
    """Return the token in the request's headers: Bearer, basic auth, or by name.

    Of basic auth it is the password; or the user, as with `curl -u TOKEN:`, where that alone looks
    like a token.
    """
    authorization = request.authorization
    if authorization is not None:
        if authorization.type == "basic":
            user, password = authorization.username or "", authorization.password or ""
            is_user = is_token_shaped(user) and not is_token_shaped(password)
            return user if is_user else password or user
        if authorization.token:
            return authorization.token
    return request.headers.get("X-Auth-Token") or request.headers.get("key")


def check_headers() -> None:
    """Raise `Invalid` for one of these headers if it cannot be read.

    Headers are ASCII; the server empties a header with other characters. Ignoring it would store
    the points under another name or for another sender.
    """
    for name in SELECTING_HEADERS:
        value = request.headers.get(name)
        if value is not None and (not value or not value.isascii()):
            raise Invalid(
                f"The header {name} is empty or holds characters that are not ASCII, so it cannot"
                " be read. Write it in ASCII, or leave it out.",
                code="header_unreadable",
                fields={name: "ASCII characters only"},
            )


def sender_of(token: str | None, blueprint: str) -> Sender:
    """Return the request's token. Raises `Unauthenticated`, `Denied` or `Unavailable`.

    An org that has not paid for so long that it may only read is denied.
    X-Scope-OrgID and x-tenant-id are ignored: the token alone determines the org.
    """
    holder = verified_tokens().holder(token, SCOPE, request.remote_addr or "")
    check_may_write(holder.overdue_since, now())
    setattr(g, _SENDER_KEY, (holder.org_id, blueprint))
    return Sender(holder, request.headers.get(SERVER_HEADER))


def _count_refused_request(problem: Problem) -> None:
    """Count a request of a known sender that is refused as a whole, as one item."""
    found: tuple[int, str] | None = g.get(_SENDER_KEY)
    if found is not None and problem.status in _REFUSED_FOR_GOOD:
        org_id, blueprint = found
        counters.count(blueprint, org_id, 0, {problem.code: Refused(1, "", problem.message)})


def is_dry_run() -> bool:
    """Return whether the request is a test that stores nothing."""
    return is_true(request.headers.get("x-test-only"))


def read_body(limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """Return the body as it was sent. Raises `TooLarge` where it is over the limit."""
    request.max_content_length = limit_bytes
    try:
        return request.get_data(cache=False, parse_form_data=False)
    except RequestEntityTooLarge:
        raise TooLarge(
            f"the body is larger than {limit_bytes:,} bytes; send it in several requests"
        ) from None


@contextmanager
def unpacked(body: bytes) -> Iterator[bytes]:
    """Yield the decompressed body; large ones are decoded one at a time."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        with turn_for(len(body)):
            yield body
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise Unsupported(f"The content encoding {encoding[:40]!r} is not taken here; gzip is.")
    try:
        text = gunzip(body, LARGE_BODY_BYTES)
    except TooLarge:
        text = None
    if text is not None:
        yield text
        return
    with turn_for(BODY_BYTES_MAX):
        yield gunzip(body, BODY_BYTES_MAX)


@contextmanager
def turn_for(size_bytes: int) -> Iterator[None]:
    """Wait until no other large body is decoded, so that memory stays bounded.

    Raises `Unavailable` where too many of them wait already.
    """
    if size_bytes <= LARGE_BODY_BYTES:
        yield
        return
    if not _large_bodies.acquire(blocking=False):
        raise Unavailable(
            f"{LARGE_BODIES_MAX} bodies of more than {LARGE_BODY_BYTES // 1024**2} MiB are being"
            " read already; send the same again shortly, or in smaller parts.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    try:
        with _decoding:
            yield
    finally:
        _large_bodies.release()


def report(accepted: Accepted, *, is_dry_run: bool = False) -> dict[str, Any]:
    """Return the report of a request, for 207 and for dry runs."""
    refusals = accepted.refusals()
    counts: dict[str, Any] = {
        "accepted": accepted.stored,
        "rejected": [
            {"index": refusal.index, "metric": refusal.metric, "reason": refusal.reason}
            for refusal in refusals[:REPORTED_MAX]
        ],
        "rejected_total": len(refusals),
    }
    if not accepted.stored and not is_dry_run:
        counts["message"] = summed_up(accepted)
    if is_dry_run:
        return {"status": "test, nothing was stored", **counts, "new": list(accepted.new_metrics)}
    return {"status": "partly stored" if accepted.stored else "nothing was stored", **counts}


def summed_up(accepted: Accepted) -> str:
    """Return a sentence on how many items were not stored and why, for a sender's log."""
    total = accepted.stored + accepted.refused_total
    found = sorted(accepted.refused.items(), key=lambda each: -each[1].items)
    reasons = [
        f"{one.items:,} {kind} (such as {one.metric or 'an item without a name'}: {one.reason})"
        for kind, one in found
    ]
    return f"{accepted.refused_total:,} of {total:,} items were not stored: {'; '.join(reasons)}."

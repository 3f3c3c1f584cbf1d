"""Errors of requests as data, which each blueprint renders in its own format."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from flask import Flask, Response, make_response, request
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from anomify.edge.request_id import request_id
from anomify.errors import AnomifyError, Unavailable

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

log = logging.getLogger(__name__)

RENDERERS_KEY = "anomify_error_renderers"
RETRY_AFTER_SECONDS = 2
# HTTP statuses from here on are server errors; below are client errors.
SERVERS_FAULT = 500
CALLERS_FAULT = 400
# The code and the message of each of HTTP's own errors.
SENTENCES = {
    400: ("invalid", "The request cannot be understood."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    408: ("timeout", "The request took too long to arrive; send it again."),
    411: ("length_required", "Say how long the body is."),
    413: ("too_large", "The body is larger than is taken here."),
    414: ("too_large", "The address is too long; send the parameters as a POST."),
    415: ("unsupported_media_type", "This type of body is not taken here."),
    429: ("quota_exceeded", "Too many requests; wait a little."),
    431: ("too_large", "The headers are too large."),
}


@dataclass(frozen=True)
class Problem:
    """An error as it is sent: the message holds no internals."""

    status: int
    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: int | None = None
    allow: str | None = None


class RendersProblems(Protocol):
    """A blueprint that renders problems."""

    def respond_problem(self, problem: Problem) -> Response:
        """Return the reply for an error."""


def answer_problems_under(app: Flask, prefix: str, blueprint: RendersProblems) -> None:
    """Let a blueprint answer unknown URLs under a prefix; the longest prefix wins."""
    app.extensions.setdefault(RENDERERS_KEY, {})[prefix] = blueprint


def problem_of(error: Exception) -> Problem:
    """Return the problem of an exception; an unexpected one is logged once and is a 500."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        log.warning("request %s: the database cannot answer: %s", request_id(), cause_of(error))
        error = Unavailable(
            "The database cannot answer just now; try again.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    if isinstance(error, AnomifyError):
        return Problem(
            error.status, error.code, error.message, error.fields, error.retry_after_seconds
        )
    if isinstance(error, HTTPException) and error.code is not None and error.code < SERVERS_FAULT:
        code, message = SENTENCES.get(error.code, ("invalid", f"{error.name}."))
        allow = None
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            methods = sorted(error.valid_methods)
            allow = ", ".join(methods)
            # HEAD and OPTIONS are left out: people do not send them by hand.
            taken = [method for method in methods if method not in {"HEAD", "OPTIONS"}] or methods
            message = f"This address takes {' or '.join(taken)}, not {request.method}."
        return Problem(error.code, code, message, allow=allow)
    log.error("request %s failed", request_id(), exc_info=error)
    return Problem(
        500,
        "internal_error",
        "Something went wrong on our side; it has been noted. If you write to us about it, "
        f"name request {request_id()}.",
    )


def install(app: Flask) -> None:
    """Have every exception rendered by the blueprint of the requested URL."""

    @app.errorhandler(Exception)
    def reply_to(error: Exception) -> "ResponseReturnValue":
        if isinstance(error, HTTPException) and (error.code or SERVERS_FAULT) < CALLERS_FAULT:
            return cast("Response", error.get_response())
        return respond_problem(problem_of(error), app)


def respond_problem(problem: Problem, app: Flask) -> Response:
    """Return the reply for a problem in the format of the current request's URL."""
    reply = _blueprint_of(app).respond_problem(problem)
    if problem.retry_after_seconds is not None:
        reply.headers["Retry-After"] = str(problem.retry_after_seconds)
    if problem.allow:
        reply.headers["Allow"] = problem.allow
    return reply


def _blueprint_of(app: Flask) -> RendersProblems:
    blueprint = app.blueprints.get(request.blueprint or "")
    if blueprint is not None and hasattr(blueprint, "respond_problem"):
        return cast("RendersProblems", blueprint)
    renderers: dict[str, RendersProblems] = app.extensions.get(RENDERERS_KEY, {})
    for prefix in sorted(renderers, key=len, reverse=True):
        if f"{request.path}/".startswith(f"{prefix.rstrip('/')}/"):
            return renderers[prefix]
    return _Plain()


def cause_of(error: Exception) -> object:
    """Return the driver's message, for the log; the full one contains values of the query."""
    return getattr(error, "orig", None) or type(error).__name__


class _Plain:
    def respond_problem(self, problem: Problem) -> Response:
        reply = make_response(f"{problem.message}\n", problem.status)
        reply.mimetype = "text/plain"
        return reply

"""The envelope of native replies: `status` and `data`, for failures, too."""

from datetime import UTC, tzinfo
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Response
from pydantic import Field

from anomify.auth.session_id import current_session_id
from anomify.auth.subject import Anonymous, UserSubject, subject
from anomify.clock import now, to_timestamp
from anomify.edge.app_state import app_state
from anomify.edge.contract import DeclaredBlueprint, Outputs
from anomify.edge.problem import Problem
from anomify.edge.request_id import elapsed_seconds
from anomify.edge.strict_json import encode
from anomify.user.queries import onboarding_flags

LANGUAGE = "en-gb"
# The timezone_type of a time zone that is given by its name.
TIMEZONE_BY_NAME = 3


class TimezoneOut(Outputs):
    """The time zone that texts of times are written in."""

    timezone_type: int = Field(description="Always 3: given by name.")
    timezone: str = Field(description="Its IANA name, the org's own.")


class ReplyStatusOut(Outputs):
    """The status of every reply."""

    created_timestamp: int = Field(description="When the reply was made, unix seconds.")
    created_string: str = Field(description="The same, in the org's time zone.")
    duration: float = Field(description="Seconds that it took.")
    language: str = Field(description="The language of texts.")
    timezone: TimezoneOut = Field(description="The time zone of texts.")
    code: int = Field(description="The HTTP status.")
    oldest_cached_component_age: int = Field(
        description="How old the oldest part of the reply is, seconds; nothing comes from a cache."
    )
    session_id: str | None = Field(
        description="The session of the reply; null for a request that needs none, as with a token."
    )
    org_onboarding_status_id: int | None = Field(
        description="How far the org has come: 1 no metrics yet, 300 fully live."
    )
    api_host: str = Field(description="How this server is reached.")
    user_onboarding_flags: dict[str, bool] = Field(
        description="The onboarding steps of the signed-in user."
    )


class ErrorOut(Outputs):
    """What went wrong."""

    code: str = Field(description="A word for programs, such as not_found.")
    message: str = Field(description="A sentence for people: what happened, and what to do.")
    fields: dict[str, str] = Field(description="What is wrong with which parameter.")


class FailedStatusOut(ReplyStatusOut):
    """The status of a failure."""

    error: ErrorOut = Field(
        description="The error, with a code for programs and a message for people."
    )


class NothingOut(Outputs):
    """A failure has no data."""


class ProblemOut(Outputs):
    """A failure; the header X-Request-Id identifies the request in reports."""

    status: FailedStatusOut = Field(description="The status with the error.")
    data: NothingOut = Field(description="Always empty.")


class NativeBlueprint(DeclaredBlueprint):
    """A blueprint with the envelope: a view returns its `Outputs`, or a finished response."""

    answers_under = ("/",)
    status_shape: ClassVar[type[Outputs] | None] = ReplyStatusOut
    problem_shape: ClassVar[type[Outputs] | None] = ProblemOut

    def respond(self, found: Outputs | Response) -> Response:
        """Return the reply with the result of a view as `data`."""
        return found if isinstance(found, Response) else _reply(200, found)

    def respond_problem(self, problem: Problem) -> Response:
        """Return the reply with the failure as `status.error`."""
        error = {"code": problem.code, "message": problem.message, "fields": dict(problem.fields)}
        return _reply(problem.status, {}, error=error)


def _reply(code: int, data: object, **more_status: object) -> Response:
    body = {"status": {**_status(code), **more_status}, "data": data}
    reply = Response(encode(body), code, mimetype="application/json")
    reply.vary.update(("Cookie", "X-Session-Id"))
    return reply


def _status(code: int) -> dict[str, Any]:
    caller = subject()
    org = None if isinstance(caller, Anonymous) else caller.org
    moment = now()
    zone_name = org.timezone if org else "UTC"
    return {
        "created_timestamp": to_timestamp(moment),
        "created_string": moment.astimezone(_zone(zone_name)).strftime("%Y-%m-%d %H:%M:%S %Z"),
        "duration": round(elapsed_seconds(), 6),
        "language": LANGUAGE,
        "timezone": {"timezone_type": TIMEZONE_BY_NAME, "timezone": zone_name},
        "code": code,
        # Nothing in a reply is older than the request: no part of it comes from a cache.
        "oldest_cached_component_age": 0,
        "session_id": current_session_id(),
        "org_onboarding_status_id": org.onboarding_status_id if org else None,
        "api_host": urlsplit(app_state().settings.base_url).netloc,
        "user_onboarding_flags": (
            onboarding_flags(caller.user) if isinstance(caller, UserSubject) else {}
        ),
    }


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)

"""/user/sessions: where the user is signed in, and how to end that."""

from pydantic import Field

from anomify.audit.recording import record_audit
from anomify.auth.subject import UserSubject, user_subject
from anomify.clock import to_timestamp
from anomify.edge.access import USER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.errors import Invalid
from anomify.native.envelope import NativeBlueprint
from anomify.user.queries import list_sessions
from anomify.user.session import end_session, end_user_sessions, get_user_session, session_name

blueprint = NativeBlueprint("user_session", __name__)


class RevokeIn(Inputs):
    """Which sessions are to end."""

    session: str | None = Field(
        None,
        max_length=64,
        description="The name of a session of yours, as /user/sessions lists it.",
        json_schema_extra=names("session"),
    )
    others: bool = Field(default=False, description="End all your other sessions.")


class SessionOut(Outputs):
    """A session of the user."""

    session: str = Field(description="Its name, which is not the session id and gives no access.")
    is_current: bool = Field(description="Whether it is the session of this request.")
    device: str = Field(description="The User-Agent of the client.")
    address: str = Field(description="The address it began from.")
    created_timestamp: int = Field(description="When it began, unix seconds.")
    last_seen_timestamp: int = Field(description="When it was last used, to the minute.")
    expires_timestamp: int = Field(description="When it ends unless it is used.")


class SessionsOut(Outputs):
    """The sessions of the user."""

    sessions: list[SessionOut] = Field(description="The one used last first.")
    total: int = Field(description="How many there are.")


class RevokedOut(Outputs):
    """The number of ended sessions."""

    revoked: int = Field(description="How many sessions have ended.")


@blueprint.route("/user/sessions", inputs=Inputs, outputs=SessionsOut, access=USER)
def sessions(inputs: Inputs) -> SessionsOut:
    """List your sessions."""
    del inputs
    caller = user_subject()
    found = [
        SessionOut(
            session=session_name(row.id_hash),
            is_current=row.id_hash == caller.session_key,
            device=row.client,
            address=row.address,
            created_timestamp=to_timestamp(row.created_at),
            last_seen_timestamp=to_timestamp(row.last_seen_at),
            expires_timestamp=to_timestamp(row.expires_at),
        )
        for row in list_sessions(caller.user)
    ]
    return SessionsOut(sessions=found, total=len(found))


@blueprint.route(
    "/user/sessions/revoke",
    inputs=RevokeIn,
    outputs=RevokedOut,
    access=USER,
    changes=True,
    errors=(404,),
)
def revoke(inputs: RevokeIn) -> RevokedOut:
    """End a session of yours at once, or all but this one."""
    caller = user_subject()
    if inputs.others:
        ended = len(list_sessions(caller.user)) - 1
        end_user_sessions(caller.user, but=caller.session_key)
        _record(caller, f"{ended} others")
        return RevokedOut(revoked=ended)
    if not inputs.session:
        raise Invalid(
            "Send the session to end, or others=true.",
            fields={"session": "One of those /user/sessions lists."},
        )
    end_session(get_user_session(caller.user, inputs.session).id_hash)
    _record(caller, inputs.session)
    return RevokedOut(revoked=1)


def _record(caller: UserSubject, what: str) -> None:
    record_audit(caller.org.id, actor=caller.label, action="session.revoke", target=what)

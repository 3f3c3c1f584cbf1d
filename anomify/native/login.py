"""/login: sign in with a password and, where required, a code."""

from typing import Annotated

from pydantic import Field, StringConstraints

from anomify.auth.password_reset import finish_reset
from anomify.auth.session_id import current_session_id
from anomify.auth.sign_in import AwaitsCode, confirm_sign_in, known_as, sign_in
from anomify.auth.subject import UserSubject
from anomify.edge.access import ANYONE
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Address, Code, Password
from anomify.native.user.account import MessageOut, UserOut, user_out
from anomify.user.recovery import request_reset

blueprint = NativeBlueprint("login", __name__)

Secret = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)]
CLIENT_ID = Field(
    None,
    description="The id by which this client is known, for programs that keep no cookies.",
    json_schema_extra=names(None),
    repr=False,
)


class LoginIn(Inputs):
    """The credentials."""

    email: Address = Field(description="The address of the account.")
    password: Password = Field(description="Its password.", repr=False)
    remember: bool = Field(
        default=False,
        description="Remember this client for 30 days after it sent a code of the user's app. A"
        " client that sent a mailed code is remembered in any case.",
    )
    client_id: Secret | None = CLIENT_ID


class ValidateIn(Inputs):
    """The code that a sign-in waits for."""

    code: Code = Field(
        description="Six digits from the mail or the app, or a recovery code.", examples=["123456"]
    )
    token: Secret | None = Field(
        None,
        description="The token from the same mail; without it only the client that gave the "
        "password may give the code.",
        repr=False,
    )
    client_id: Secret | None = CLIENT_ID


class SessionOut(Outputs):
    """A session that has just begun."""

    id: str = Field(description="Its id, to be sent as X-Session-Id.")
    user: UserOut = Field(description="Whose it is.")


class LoginOut(Outputs):
    """The new session, or the code that is required first."""

    session: SessionOut | None = Field(description="The new session; null if a code is required.")
    needs_client_validation: bool = Field(
        description="Whether a code is required, to be sent to /login/validateclient."
    )
    validation_by: str | None = Field(
        description="Where the code comes from: email, or totp for the user's authenticator app."
    )
    message: str = Field(description="What happened, and what to do.")
    client_id: str | None = Field(
        None,
        description="The id by which this client is known from now on, if it is new: send it when "
        "you sign in again. Who guesses at the password makes known clients wait for nothing.",
    )


class ValidatedOut(Outputs):
    """The new session."""

    message: str = Field(description="What happened.")
    session: SessionOut = Field(description="The new session.")
    client_id: str | None = Field(
        description="The id by which this client is known from now on, if it is."
    )


class ForgotIn(Inputs):
    """The account with the forgotten password."""

    email: Address = Field(description="The address of the account.")


class ResetIn(Inputs):
    """The link that was mailed, and the new password twice."""

    email: Address = Field(description="The address it was mailed to.")
    reset_token: Secret = Field(description="The token in it.", repr=False)
    password_1: Password = Field(description="The new password.", repr=False)
    password_2: Password = Field(description="The new password again.", repr=False)


@blueprint.route(
    "/login",
    inputs=LoginIn,
    outputs=LoginOut,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(401,),
    # Comparing passwords is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def login(inputs: LoginIn) -> LoginOut:
    """Sign in; the session of the request ends, and the reply has a new one.

    A client that is new to the user needs a code: one that was mailed, or one of the user's
    authenticator app. Give it to /login/validateclient in the session of the reply's status.
    """
    return login_out(
        sign_in(
            inputs.email, inputs.password, client_id=inputs.client_id, remembers=inputs.remember
        )
    )


@blueprint.route(
    "/login/validateclient",
    inputs=ValidateIn,
    outputs=ValidatedOut,
    access=ANYONE,
    changes=True,
    limits=("login",),
    errors=(401,),
    has_own_transactions=True,
)
def validateclient(inputs: ValidateIn) -> ValidatedOut:
    """Finish signing in with a code; it is valid for ten minutes, five tries and one use.

    The client that sends the code is signed in.
    """
    signed_in, client = confirm_sign_in(inputs.code, inputs.token, client_id=inputs.client_id)
    return ValidatedOut(
        message="You are signed in.", session=session_out(signed_in), client_id=client
    )


@blueprint.route(
    "/login/forgotpassword",
    inputs=ForgotIn,
    outputs=MessageOut,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login",),
)
def forgotpassword(inputs: ForgotIn) -> MessageOut:
    """Mail a link that sets a new password; the reply is the same for unknown addresses."""
    settings = app_state().settings
    request_reset(inputs.email, settings.base_url)
    return MessageOut(message=forgotten_sentence(has_mail=settings.smtp_host is not None))


@blueprint.route(
    "/login/resetpassword",
    inputs=ResetIn,
    outputs=LoginOut,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login",),
    has_own_transactions=True,
)
def resetpassword(inputs: ResetIn) -> LoginOut:
    """Set a new password with the mailed link; all sessions of the user end.

    A user with an authenticator app has to send its code before the sign-in is complete.
    """
    return login_out(
        finish_reset(inputs.email, inputs.reset_token, inputs.password_1, inputs.password_2)
    )


def forgotten_sentence(*, has_mail: bool) -> str:
    """Return the message after a reset request; it does not reveal whether the account exists."""
    if has_mail:
        return "If somebody here has this address, a link to set a new password is on its way."
    return (
        "This server sends no mails. Ask its operator for a link: `anomify user reset-link` "
        "prints one."
    )


def login_out(found: UserSubject | AwaitsCode) -> LoginOut:
    """Return the reply of a finished sign-in, or of one that needs a code."""
    match found:
        case AwaitsCode(way, sentence):
            return LoginOut(
                session=None, needs_client_validation=True, validation_by=way, message=sentence
            )
        case UserSubject():
            return LoginOut(
                session=session_out(found),
                needs_client_validation=False,
                validation_by=None,
                message="You are signed in.",
                client_id=known_as(),
            )


def session_out(signed_in: UserSubject) -> SessionOut:
    """Return the reply of a new session."""
    return SessionOut(id=current_session_id() or "", user=user_out(signed_in.user, signed_in.org))

"""/login: from a password to a session."""

from pydantic import Field

from anomify.auth.session_id import current_session_id
from anomify.auth.signing_in import sign_in
from anomify.edge.contract import Access, Inputs, Outputs
from anomify.native.envelope import NativeDoor
from anomify.native.params import Address, Password
from anomify.native.user import UserOut, user_out

door = NativeDoor("login", __name__)


class LoginIn(Inputs):
    """Who wants to sign in."""

    email: Address
    password: Password = Field(repr=False)


class SessionOut(Outputs):
    """A session that has just begun."""

    id: str
    user: UserOut


class LoginOut(Outputs):
    """The session to go on with."""

    session: SessionOut


@door.route(
    "/login",
    inputs=LoginIn,
    outputs=LoginOut,
    access=Access.ANYONE,
    changes=True,
    methods=["POST"],
    # Comparing passwords is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def login(wish: LoginIn) -> LoginOut:
    """Sign in; the session the request came with is over, and the one in the reply is new."""
    signed_in = sign_in(wish.email, wish.password)
    user = user_out(signed_in.user, signed_in.org)
    return LoginOut(session=SessionOut(id=current_session_id() or "", user=user))

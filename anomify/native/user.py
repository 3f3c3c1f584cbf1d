"""/user: the signed-in user, as themselves."""

from anomify.auth.session_id import sign_out
from anomify.auth.subject import Anonymous, UserSubject, subject, user_subject
from anomify.edge.contract import Access, Inputs, Outputs
from anomify.errors import Denied
from anomify.native.envelope import NativeDoor
from anomify.native.org import OrgOut, org_out
from anomify.org.model import Org
from anomify.user.model import User
from anomify.user.queries import onboarding_flags
from anomify.user.session import session_age

door = NativeDoor("user", __name__)


class NotificationsOut(Outputs):
    """By which ways a user is told of things."""

    email_alerts: bool


class UserOut(Outputs):
    """A user, as they see themselves."""

    id: int
    org_id: int
    name: str
    email: str
    # Nothing is sent to phones or into Slack, so nobody has told us theirs.
    phone_number: str | None = None
    slack_member_id: str | None = None
    demo: bool
    # True for owners too.
    admin: bool
    role: str
    org: OrgOut
    notifications: NotificationsOut
    onboarding_flags: dict[str, bool]


class InfoOut(Outputs):
    """Who is signed in."""

    user: UserOut


class LogoutOut(Outputs):
    """That nobody is signed in any more."""

    message: str


class PingOut(Outputs):
    """That the session is alive, and for how long it has been."""

    user_id: int
    session_age: int


@door.route("/user/info", inputs=Inputs, outputs=InfoOut, access=Access.USER)
def info(wish: Inputs) -> InfoOut:
    """Say who is signed in."""
    del wish
    asker = user_subject()
    return InfoOut(user=user_out(asker.user, asker.org))


@door.route(
    "/user/logout",
    inputs=Inputs,
    outputs=LogoutOut,
    access=Access.ANYONE,
    changes=True,
    limits=("write",),
)
def logout(wish: Inputs) -> LogoutOut:
    """End the session; ending it again is harmless."""
    del wish
    match subject():
        case UserSubject():
            sign_out()
            return LogoutOut(message="You are signed out.")
        case Anonymous():
            return LogoutOut(message="Nobody was signed in.")
        case _:
            raise Denied("Tokens may not do this; it needs a user.")


@door.route("/user/ping", inputs=Inputs, outputs=PingOut, access=Access.USER)
def ping(wish: Inputs) -> PingOut:
    """Keep the session alive, and say how old it is."""
    del wish
    asker = user_subject()
    age = session_age(asker.session_key)
    return PingOut(user_id=asker.user.id, session_age=int(age.total_seconds()))


def user_out(user: User, org: Org) -> UserOut:
    """Tell of a user what they may know of themselves."""
    return UserOut(
        id=user.id,
        org_id=user.org_id,
        name=user.name,
        email=user.email,
        demo=org.is_demo,
        admin=user.is_admin,
        role=user.role,
        org=org_out(org),
        notifications=NotificationsOut(email_alerts=user.wants_email_alerts),
        onboarding_flags=onboarding_flags(user),
    )

"""/org/users and /org/invitations: the users of the org and its open invitations."""

from pydantic import Field

from anomify.auth.sign_in import renew_session
from anomify.auth.subject import UserSubject, subject
from anomify.clock import to_timestamp
from anomify.edge.access import ADMIN, OWNER, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.errors import Denied
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Address, RowId
from anomify.native.window import PageIn
from anomify.user.creating import ROLES
from anomify.user.invitation import (
    Inviter,
    invite,
    is_waiting,
    list_invitations,
    resend_invitation,
    revoke_invitation,
)
from anomify.user.model import Invitation, User
from anomify.user.queries import get_user, list_users
from anomify.user.role import change_role, transfer_ownership
from anomify.watcher.contact_changes import delete_person

blueprint = NativeBlueprint("org_user", __name__)

LEAST_ROLE = "viewer"
ROLE_FIELD = Field(
    description=f"One of {', '.join(ROLES)}; at most your own.", max_length=16, examples=["editor"]
)


class InviteIn(Inputs):
    """The person to invite."""

    email: Address = Field(description="Where the link is sent.", examples=["ann@acme.example"])
    name: str = Field(
        "",
        max_length=200,
        description="What they are called; they may choose another name.",
        json_schema_extra=names(None),
    )
    role: str = Field(
        LEAST_ROLE,
        max_length=16,
        description=f"One of {', '.join(ROLES)}; at most your own.",
        examples=["editor"],
    )
    admin: bool = Field(default=False, description="The same as the role admin, as it was once.")


class InvitationIn(Inputs):
    """Which invitation."""

    invitation_id: RowId = Field(
        description="The id of the invitation.", json_schema_extra=names("invitation")
    )


class UserIn(Inputs):
    """Which user."""

    user_id: RowId = Field(description="The id of the user.", json_schema_extra=names("user"))


class RoleIn(UserIn):
    """Which role a user is to have."""

    role: str = ROLE_FIELD


class MemberOut(Outputs):
    """A user, as others of the org see them."""

    id: int = Field(description="Their id.")
    name: str = Field(description="Their name.")
    email: str = Field(description="The address they sign in with.")
    role: str = Field(description=f"One of {', '.join(ROLES)}.")
    admin: bool = Field(description="Whether they have the rights of an admin; owners have, too.")


class UsersOut(Outputs):
    """The users of the org."""

    users: list[MemberOut] = Field(description="By name.")
    total: int = Field(description="How many there are.")


class UserOut(Outputs):
    """A user of the org."""

    user: MemberOut = Field(description="The user as they are now.")


class InvitationOut(Outputs):
    """An invitation that was not accepted yet."""

    id: int = Field(description="Its id.")
    email: str = Field(description="Whom it was sent to.")
    name: str | None = Field(description="Their name, if one was given.")
    role: str = Field(description="Their future role.")
    invited_by: str = Field(description="Who invited them.")
    created_timestamp: int = Field(description="When, unix seconds.")
    sent_timestamp: int = Field(description="When the latest letter was written.")
    expires_timestamp: int = Field(description="Until when its link works.")
    waiting: bool = Field(description="Whether it may still be accepted.")


class InvitationsOut(Outputs):
    """Invitations of the org."""

    invitations: list[InvitationOut] = Field(description="Newest first.")
    total: int = Field(description="How many there are in all.")


class OneInvitationOut(Outputs):
    """An invitation."""

    invitation: InvitationOut = Field(description="The invitation as it is now.")


class SentOut(OneInvitationOut):
    """An invitation whose letter is being sent."""

    link: str | None = Field(
        description="The link to hand over if this server sends no mail; null otherwise."
    )


@blueprint.route("/org/users", inputs=Inputs, outputs=UsersOut, access=VIEWER, methods=["GET"])
def users(inputs: Inputs) -> UsersOut:
    """List the users of the org, by name."""
    del inputs
    found = [member_json(user) for user in list_users(subject().org)]
    return UsersOut(users=found, total=len(found))


@blueprint.route(
    "/org/users",
    inputs=InviteIn,
    outputs=SentOut,
    access=ADMIN,
    changes=True,
    methods=["POST"],
    endpoint="invite",
    limits=("write", "mail"),
    errors=(409,),
)
def send_invitation(inputs: InviteIn) -> SentOut:
    """Invite a person into the org: a link is mailed to them that works once, for 72 hours.

    An address belongs to one org only. The reply does not reveal whether this one has an account in
    another org; only the letter to the invited person does, and explains that they can have another
    address invited or delete that account first.
    """
    role = "admin" if inputs.admin and inputs.role == LEAST_ROLE else inputs.role
    return _sent(*invite(subject().org, inputs.email, inputs.name, role, _inviter()))


@blueprint.route(
    "/org/users/role",
    inputs=RoleIn,
    outputs=UserOut,
    access=ADMIN,
    changes=True,
    errors=(409,),
)
def role(inputs: RoleIn) -> UserOut:
    """Change the role of a user, to at most your own; the sessions of the user end."""
    caller = subject()
    user = get_user(caller.org, inputs.user_id)
    change_role(user, inputs.role, actor=caller.label, actor_role=caller.role)
    _renew_own_session(user)
    return UserOut(user=member_json(user))


@blueprint.route(
    "/org/users/transfer",
    inputs=UserIn,
    outputs=UserOut,
    access=OWNER,
    changes=True,
    errors=(409,),
)
def transfer(inputs: UserIn) -> UserOut:
    """Transfer the ownership to another user; you become an admin."""
    caller = _user()
    heir = get_user(caller.org, inputs.user_id)
    owner = get_user(caller.org, caller.user.id)
    transfer_ownership(owner, heir)
    _renew_own_session(owner)
    return UserOut(user=member_json(heir))


@blueprint.route(
    "/org/users/remove",
    inputs=UserIn,
    outputs=UserOut,
    access=ADMIN,
    changes=True,
    errors=(409,),
)
def remove(inputs: UserIn) -> UserOut:
    """Delete a user of the org; users delete themselves with /user/delete."""
    caller = _user()
    user = get_user(caller.org, inputs.user_id)
    if user.id == caller.user.id:
        raise Denied("Use /user/delete to delete yourself.", code="yourself")
    gone = UserOut(user=member_json(user))
    delete_person(user, get_user(caller.org, caller.user.id))
    return gone


@blueprint.route("/org/invitations", inputs=PageIn, outputs=InvitationsOut, access=ADMIN)
def invitations(inputs: PageIn) -> InvitationsOut:
    """List the invitations that were not accepted yet, newest first."""
    page = list_invitations(subject().org, limit=inputs.limit, offset=inputs.offset)
    found = [invitation_json(invitation) for invitation in page.items]
    return InvitationsOut(invitations=found, total=page.total)


@blueprint.route(
    "/org/invitations/resend",
    inputs=InvitationIn,
    outputs=SentOut,
    access=ADMIN,
    changes=True,
    limits=("write", "mail"),
    errors=(409,),
)
def resend(inputs: InvitationIn) -> SentOut:
    """Mail a new link in the place of the one before, for another 72 hours."""
    return _sent(*resend_invitation(subject().org, inputs.invitation_id, _inviter()))


@blueprint.route(
    "/org/invitations/revoke",
    inputs=InvitationIn,
    outputs=OneInvitationOut,
    access=ADMIN,
    changes=True,
    errors=(409,),
)
def revoke(inputs: InvitationIn) -> OneInvitationOut:
    """Revoke an invitation; its link ends."""
    found = revoke_invitation(subject().org, inputs.invitation_id, subject().label)
    return OneInvitationOut(invitation=invitation_json(found))


def member_json(user: User) -> MemberOut:
    """Return a user as JSON, with the data that others of the org may see."""
    return MemberOut(
        id=user.id, name=user.name, email=user.email, role=user.role, admin=user.is_admin
    )


def invitation_json(invitation: Invitation) -> InvitationOut:
    """Return an invitation as JSON, without its link."""
    return InvitationOut(
        id=invitation.id,
        email=invitation.email,
        name=invitation.name or None,
        role=invitation.role,
        invited_by=invitation.invited_by,
        created_timestamp=to_timestamp(invitation.created_at),
        sent_timestamp=to_timestamp(invitation.sent_at),
        expires_timestamp=to_timestamp(invitation.expires_at),
        waiting=is_waiting(invitation),
    )


def _sent(invitation: Invitation, link: str) -> SentOut:
    has_mail = app_state().settings.smtp_host is not None
    return SentOut(invitation=invitation_json(invitation), link=None if has_mail else link)


def _inviter() -> Inviter:
    caller = subject()
    return Inviter(caller.label, caller.role, app_state().settings.base_url)


def _user() -> UserSubject:
    caller = subject()
    if not isinstance(caller, UserSubject):
        raise Denied("Tokens may not do this; it needs a user.")
    return caller


def _renew_own_session(user: User) -> None:
    """Open a new session for a user who changed their own role, which ended the former one."""
    caller = subject()
    if isinstance(caller, UserSubject) and caller.user.id == user.id:
        renew_session(user)

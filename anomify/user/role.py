"""Change roles of users; an org always keeps an owner."""

from sqlalchemy import select

from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.errors import Conflict, Denied, Invalid
from anomify.user.creating import check_role
from anomify.user.model import User
from anomify.user.session import end_user_sessions

# Each role may do everything that the roles before it may.
LADDER = ("viewer", "editor", "admin", "owner")
OWNER = "owner"


def change_role(user: User, role: str, *, actor: str, actor_role: str) -> None:
    """Change the role of a user and end the user's sessions, which had the former rights.

    Raises `Invalid` for an unknown role, `Denied` if the actor may not do it, and `Conflict` for
    the last owner.
    """
    check_role(role)
    check_may_give(role, actor_role)
    if is_above(user.role, actor_role):
        raise Denied(
            "You cannot change the role of a user with more rights than you have.",
            code="role_above",
        )
    if user.role == role:
        return
    if user.role == OWNER:
        check_not_last_owner(user)
    _give(user, role, actor)


def transfer_ownership(owner: User, heir: User) -> None:
    """Transfer the ownership to another user of the org; the present owner becomes an admin.

    The sessions of both end. Raises `Invalid` for a transfer to oneself, and `Conflict` for one to
    an owner.
    """
    if heir.id == owner.id:
        raise Invalid("You own the org already.", fields={"user_id": "Somebody else of your org."})
    if heir.role == OWNER:
        raise Conflict("This user is an owner already; change your own role instead.")
    _give(heir, OWNER, owner.name)
    _give(owner, "admin", owner.name)


def check_may_give(role: str, actor_role: str) -> None:
    """Raise `Denied` for a role above the actor's own."""
    if is_above(role, actor_role):
        raise Denied(
            f"Your role is {actor_role}, so you cannot make anybody {role}.",
            code="role_above",
            fields={"role": f"At most {actor_role}."},
        )


def is_above(role: str, other: str) -> bool:
    """Return whether a role has more rights than another one."""
    return LADDER.index(role) > LADDER.index(other)


def check_not_last_owner(user: User) -> None:
    """Raise `Conflict` if this owner is the only one of the org."""
    # Locked, so that two owners who leave at the same moment do not both see the other one.
    owners = select(User.id).where(User.org_id == user.org_id, User.role == OWNER).with_for_update()
    if len(list(session().scalars(owners))) == 1:
        raise Conflict(
            "This is the org's last owner. Make somebody else an owner first, or delete the org.",
            code="last_owner",
        )


def _give(user: User, role: str, actor: str) -> None:
    before, user.role = user.role, role
    session().flush()
    end_user_sessions(user)
    record_audit(
        user.org_id,
        actor=actor,
        action="user.role",
        target=user.email,
        before={"role": before},
        after={"role": role},
    )

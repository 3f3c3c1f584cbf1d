"""Users who leave: deleted with their sessions, but never the last owner of an org."""

from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.errors import Denied
from anomify.user.model import User
from anomify.user.role import OWNER, check_not_last_owner


def delete_user(user: User, by: User) -> None:
    """Delete a user of the org, as themselves or as somebody who may.

    Raises `Denied` where they may not, and `Conflict` for the last owner: somebody has to be able
    to give the org away or delete it.
    """
    if user.id != by.id:
        if not by.is_admin:
            raise Denied("Deleting somebody else needs the role admin.")
        if user.role == OWNER and by.role != OWNER:
            raise Denied("An owner is deleted by an owner.")
    if user.role == OWNER:
        check_not_last_owner(user)
    record_audit(
        user.org_id,
        actor=by.name,
        action="user.delete",
        target=user.email,
        before={"name": user.name, "role": user.role},
    )
    session().delete(user)
    session().flush()

"""Delete users with their sessions, but never the last owner of an org."""

from sqlalchemy import Column, Table, select, update

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import LISTS_USERS, Base, session
from anomify.errors import Denied
from anomify.org.letter import stop_letters_to
from anomify.org.lock import lock_org
from anomify.user.model import User
from anomify.user.role import OWNER, check_not_last_owner


def delete_user(user: User, by: User) -> None:
    """Delete a user of the org, on request of the user or of a user with the right to.

    Removes the user from all lists of users in the org, and discards letters to the user that are
    not sent yet. Raises `Denied` without the right to delete the user, and `Conflict` for the last
    owner, because somebody must be able to transfer or delete the org.
    """
    if user.id != by.id:
        if not by.is_admin:
            raise Denied("Deleting somebody else needs the role admin.")
        if user.role == OWNER and by.role != OWNER:
            raise Denied("An owner is deleted by an owner.")
    lock_org(user.org_id)
    if user.role == OWNER:
        check_not_last_owner(user)
    before: dict[str, object] = {"name": user.name, "role": user.role}
    if lists := _leave_lists(user):
        before["lists"] = lists
    stop_letters_to(user.email, user.org_id, now())
    record_audit(user.org_id, actor=by.name, action="user.delete", target=user.email, before=before)
    session().delete(user)
    session().flush()


def list_columns() -> list[tuple[Table, Column[list[int] | None]]]:
    """Return every column marked as a list of users, with its table."""
    return [
        (table, column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.info == LISTS_USERS
    ]


def _leave_lists(user: User) -> list[str]:
    """Remove a user from all lists of the org; return the lists that held the user."""
    left = []
    for table, column in list_columns():
        keys = list(table.primary_key.columns)
        rows = select(*keys, column).where(table.c.org_id == user.org_id).with_for_update()
        for *key, listed in session().execute(rows).all():
            if user.id not in (listed or ()):
                continue
            kept = [each for each in listed if each != user.id]
            session().execute(
                update(table)
                .where(*(part == value for part, value in zip(keys, key, strict=True)))
                # In a nullable column null means all users, and an empty list means none.
                .values({column: kept or (None if column.nullable else [])})
            )
            left.append(" ".join(map(str, (table.name, *key))))
    return left

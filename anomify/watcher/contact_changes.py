"""Changes of contact points and people that may take the last recipient from a watcher."""

from sqlalchemy import delete

from anomify.contact_point import confirmation
from anomify.contact_point.editing import (
    ContactEditor,
    ContactFields,
    SavedContact,
    delete_contact_point,
)
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.queries import get_contact_point
from anomify.db import session
from anomify.org.lock import lock_org
from anomify.user.delete_user import delete_user
from anomify.user.model import User
from anomify.user.profile import ProfileFields, update_profile
from anomify.watcher.model import WatcherContact
from anomify.watcher.reach import update_reach


def change_contact_point(
    editor: ContactEditor, org_id: int, contact_point_id: int, requested: ContactFields, actor: str
) -> SavedContact:
    """Change a contact point as `ContactEditor.update` does."""
    saved = editor.update(org_id, contact_point_id, requested, actor)
    update_reach(org_id, f"{actor} changed the contact point {saved.contact_point.name}.")
    return saved


def remove_contact_point(org_id: int, contact_point_id: int, actor: str) -> ContactPoint:
    """Delete a contact point; watchers do not notify it any more. Raises `NotFound`."""
    lock_org(org_id)
    found = get_contact_point(org_id, contact_point_id)
    session().execute(delete(WatcherContact).where(WatcherContact.contact_point_id == found.id))
    delete_contact_point(found, actor)
    update_reach(org_id, f"{actor} deleted the contact point {found.name}.")
    return found


def confirm_address(token: str) -> ContactPoint:
    """Confirm an e-mail address as `confirmation.confirm` does."""
    found = confirmation.confirm(token)
    update_reach(found.org_id, f"The address of {found.name} was confirmed.")
    return found


def withdraw_address(token: str) -> ContactPoint:
    """Stop messages to an e-mail address as `confirmation.withdraw` does."""
    found = confirmation.withdraw(token)
    update_reach(
        found.org_id, f"The owner of the address of {found.name} does not want messages any more."
    )
    return found


def delete_person(user: User, by: User) -> None:
    """Delete a user as `delete_user` does, with the contact points that name the user."""
    org_id, name = user.org_id, user.name
    delete_user(user, by)
    update_reach(org_id, f"The user {name} was deleted.")


def change_profile(user: User, requested: ProfileFields) -> None:
    """Change a user's profile as `update_profile` does."""
    update_profile(user, requested)
    if requested.wants_email_alerts is not None or requested.phone_number is not None:
        update_reach(user.org_id, f"{user.name} changed how to be notified.")

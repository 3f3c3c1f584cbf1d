"""The users who receive an org's admin alerts."""

from anomify.admin_alert.queries import list_admins, list_users
from anomify.admin_alert.settings import AlertSettings
from anomify.user.model import User


def alert_recipients(org_id: int, settings: AlertSettings) -> list[User]:
    """Return the chosen users that still exist; all admins if none are chosen or none is left."""
    if settings.email_user_ids is not None and (
        chosen := list_users(org_id, settings.email_user_ids)
    ):
        return chosen
    return list_admins(org_id)

"""Who of an org hears of trouble with its metrics, and how the org wants to be warned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from anomify.admin_alert.settings import (
    KINDS,
    AlertSettings,
    alert_settings_of,
    save_alert_settings,
)
from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.errors import Conflict, Invalid
from anomify.org.lock import lock_org
from anomify.user.model import User

WAIT_SECONDS_LEAST = 300
WAIT_SECONDS_MOST = 86_400
EXPIRATION_SECONDS_LEAST = 300
EXPIRATION_SECONDS_MOST = 7 * 86_400
ADMINS = ("admin", "owner")


@dataclass(frozen=True, slots=True)
class AlertSettingsChange:
    """What is to be different about a kind of warning; what is None stays as it is."""

    is_enabled: bool | None = None
    wait_seconds: int | None = None
    expiration_seconds: int | None = None
    # Users of the org; nobody chosen means all admins again.
    email_user_ids: Sequence[int] | None = None


def alert_settings_of_org(org_id: int) -> list[AlertSettings]:
    """Return how the org wants to be warned, one wish for each kind of trouble."""
    found = alert_settings_of([org_id])
    return [found[org_id, type_id] for type_id in KINDS]


def change_alert_settings(
    org_id: int, type_id: int, change: AlertSettingsChange, *, actor: str
) -> AlertSettings:
    """Change how an org is warned of a kind of trouble, and return how it is then.

    Raises `Conflict` for the kind that cannot be changed, and `Invalid` for times that make no
    sense and for users whom the org does not have.
    """
    before = alert_settings_of([org_id])[org_id, type_id]
    if not before.kind.is_changeable:
        raise Conflict(
            "Everybody has to hear of this, so it can be neither changed nor switched off.",
            fields={f"type_{type_id}_enabled": "cannot be changed"},
        )
    after = before
    if change.is_enabled is not None:
        after = replace(after, is_enabled=change.is_enabled)
    if change.wait_seconds is not None:
        _check(
            f"type_{type_id}_wait_seconds",
            change.wait_seconds,
            WAIT_SECONDS_LEAST,
            WAIT_SECONDS_MOST,
        )
        after = replace(after, wait_seconds=change.wait_seconds)
    if change.expiration_seconds is not None:
        _check(
            f"type_{type_id}_expiration_seconds",
            change.expiration_seconds,
            EXPIRATION_SECONDS_LEAST,
            EXPIRATION_SECONDS_MOST,
        )
        after = replace(after, expiration_seconds=change.expiration_seconds)
    if change.email_user_ids is not None:
        # Nobody is removed between being found here and being kept on the list.
        lock_org(org_id)
        wanted = tuple(dict.fromkeys(change.email_user_ids))
        known = {user.id for user in _users(org_id, wanted)}
        if missing := [user_id for user_id in wanted if user_id not in known]:
            raise Invalid(
                "Your org has no such user.",
                fields={f"type_{type_id}_email": f"no user {missing[0]}"},
            )
        after = replace(after, email_user_ids=wanted or None)
    if after != before:
        save_alert_settings(org_id, after)
        record_audit(
            org_id,
            actor=actor,
            action="adminalert.update",
            target=after.kind.name,
            before=_fields(before),
            after=_fields(after),
        )
    return after


def alert_recipients(org_id: int, requested: AlertSettings) -> list[User]:
    """Return who is to be told: those who were chosen and are still there, or else all admins."""
    if requested.email_user_ids is not None and (
        chosen := _users(org_id, requested.email_user_ids)
    ):
        return chosen
    rows = select(User).where(User.org_id == org_id, User.role.in_(ADMINS)).order_by(User.id)
    return list(session().scalars(rows))


def _users(org_id: int, user_ids: Sequence[int]) -> list[User]:
    rows = select(User).where(User.org_id == org_id, User.id.in_(user_ids)).order_by(User.id)
    return list(session().scalars(rows))


def _check(field: str, seconds: int, least: int, most: int) -> None:
    if not least <= seconds <= most:
        raise Invalid(
            "A warning cannot wait for so long, or for so short a time.",
            fields={field: f"{least:,} to {most:,} seconds"},
        )


def _fields(requested: AlertSettings) -> dict[str, object]:
    return {
        "is_enabled": requested.is_enabled,
        "wait_seconds": requested.wait_seconds,
        "expiration_seconds": requested.expiration_seconds,
        "email_user_ids": requested.email_user_ids,
    }

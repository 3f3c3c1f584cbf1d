"""An org's settings for each kind of admin alert, and how they are changed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from anomify.admin_alert.kinds import KINDS, AlertKind
from anomify.admin_alert.model import AdminAlert
from anomify.admin_alert.queries import list_settings_rows, list_users
from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.errors import Conflict, Invalid
from anomify.org.lock import lock_org

DEFAULT_WAIT_SECONDS: Final = 500
DEFAULT_EXPIRATION_SECONDS: Final = 3600
WAIT_SECONDS_LEAST: Final = 300
WAIT_SECONDS_MOST: Final = 86_400
EXPIRATION_SECONDS_LEAST: Final = 300
EXPIRATION_SECONDS_MOST: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """An org's settings for one kind of admin alert."""

    kind: AlertKind
    # How long nothing must have arrived before the alert is raised.
    wait_seconds: int = DEFAULT_WAIT_SECONDS
    # The least time between two letters about this kind.
    expiration_seconds: int = DEFAULT_EXPIRATION_SECONDS
    is_enabled: bool = True
    # The users who receive the letters; None means all admins.
    email_user_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class AlertSettingsChange:
    """A change of the settings for one kind of alert; a value of None is left unchanged."""

    is_enabled: bool | None = None
    wait_seconds: int | None = None
    expiration_seconds: int | None = None
    # Ids of users of the org; an empty list means all admins.
    email_user_ids: Sequence[int] | None = None


def alert_settings_of(org_ids: Collection[int]) -> dict[tuple[int, int], AlertSettings]:
    """Return the settings of the orgs, by org id and kind id; the defaults where none are set."""
    found = {
        (org_id, kind.id): AlertSettings(kind) for org_id in org_ids for kind in KINDS.values()
    }
    for row in list_settings_rows(org_ids):
        kind = KINDS[row.type_id]
        user_ids = row.email_user_ids
        found[row.org_id, row.type_id] = AlertSettings(
            kind,
            row.wait_seconds,
            row.expiration_seconds,
            row.is_enabled or not kind.is_changeable,
            None if user_ids is None else tuple(user_ids),
        )
    return found


def alert_settings_of_org(org_id: int) -> list[AlertSettings]:
    """Return the org's settings for each kind of admin alert, in order of the kinds' ids."""
    found = alert_settings_of([org_id])
    return [found[org_id, type_id] for type_id in KINDS]


def change_alert_settings(
    org_id: int, type_id: int, change: AlertSettingsChange, *, actor: str
) -> AlertSettings:
    """Change the org's settings for one kind of admin alert and return the new settings.

    Raises `Conflict` for a kind that cannot be changed, and `Invalid` for a time out of range or a
    user who is not in the org.
    """
    before = alert_settings_of([org_id])[org_id, type_id]
    if not before.kind.is_changeable:
        raise Conflict(
            "The alert about an exceeded quota cannot be changed or disabled. Leave"
            f" type_{type_id}_enabled out of the request.",
            fields={f"type_{type_id}_enabled": "cannot be changed"},
        )
    after = before
    if change.is_enabled is not None:
        after = replace(after, is_enabled=change.is_enabled)
    if change.wait_seconds is not None:
        _check_range(
            f"type_{type_id}_wait_seconds",
            change.wait_seconds,
            WAIT_SECONDS_LEAST,
            WAIT_SECONDS_MOST,
        )
        after = replace(after, wait_seconds=change.wait_seconds)
    if change.expiration_seconds is not None:
        _check_range(
            f"type_{type_id}_expiration_seconds",
            change.expiration_seconds,
            EXPIRATION_SECONDS_LEAST,
            EXPIRATION_SECONDS_MOST,
        )
        after = replace(after, expiration_seconds=change.expiration_seconds)
    if change.email_user_ids is not None:
        user_ids = _checked_users(org_id, type_id, change.email_user_ids)
        after = replace(after, email_user_ids=user_ids or None)
    if after != before:
        _save(org_id, after)
        record_audit(
            org_id,
            actor=actor,
            action="adminalert.update",
            target=after.kind.name,
            before=_audit_fields(before),
            after=_audit_fields(after),
        )
    return after


def _checked_users(org_id: int, type_id: int, user_ids: Sequence[int]) -> tuple[int, ...]:
    # Under the lock no user can be deleted between this check and the end of the transaction.
    lock_org(org_id)
    wanted = tuple(dict.fromkeys(user_ids))
    known = {user.id for user in list_users(org_id, wanted)}
    if missing := [user_id for user_id in wanted if user_id not in known]:
        raise Invalid(
            "Your org has no such user.",
            fields={f"type_{type_id}_email": f"no user {missing[0]}"},
        )
    return wanted


def _check_range(field: str, seconds: int, least: int, most: int) -> None:
    if not least <= seconds <= most:
        raise Invalid(
            f"{field} must be from {least:,} to {most:,} seconds.",
            fields={field: f"{least:,} to {most:,} seconds"},
        )


def _save(org_id: int, settings: AlertSettings) -> None:
    user_ids = settings.email_user_ids
    session().merge(
        AdminAlert(
            org_id=org_id,
            type_id=settings.kind.id,
            wait_seconds=settings.wait_seconds,
            expiration_seconds=settings.expiration_seconds,
            is_enabled=settings.is_enabled,
            email_user_ids=None if user_ids is None else list(user_ids),
        )
    )
    session().flush()


def _audit_fields(settings: AlertSettings) -> dict[str, object]:
    return {
        "is_enabled": settings.is_enabled,
        "wait_seconds": settings.wait_seconds,
        "expiration_seconds": settings.expiration_seconds,
        "email_user_ids": settings.email_user_ids,
    }

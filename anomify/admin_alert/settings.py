"""Which warnings an org's admins asked for, and those that were raised."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from anomify.admin_alert.model import AdminAlert, RaisedAlert
from anomify.db import Page, session
from anomify.errors import NotFound

ALL_STOPPED: Final = 1
SOME_STOPPED: Final = 2
QUOTA_EXCEEDED: Final = 3

DEFAULT_WAIT_SECONDS: Final = 500
DEFAULT_EXPIRATION_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class AlertKind:
    """A kind of trouble that admins are warned of."""

    id: int
    name: str
    # Whoever runs into a limit has to hear of it, so not every kind can be changed.
    is_changeable: bool = True


KINDS: Final[Mapping[int, AlertKind]] = {
    kind.id: kind
    for kind in (
        AlertKind(ALL_STOPPED, "All metrics have stopped"),
        AlertKind(SOME_STOPPED, "Some metrics have stopped"),
        AlertKind(QUOTA_EXCEEDED, "The metric quota is exceeded", is_changeable=False),
    )
}


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """How an org wants to be warned of one kind of trouble."""

    kind: AlertKind
    wait_seconds: int = DEFAULT_WAIT_SECONDS
    # Within so long of the last letter about this kind, no other one is sent.
    expiration_seconds: int = DEFAULT_EXPIRATION_SECONDS
    is_enabled: bool = True
    # None for all admins.
    email_user_ids: tuple[int, ...] | None = None


def alert_settings_of(org_ids: Collection[int]) -> dict[tuple[int, int], AlertSettings]:
    """Return how each of the orgs wants to be warned, by org and kind of trouble.

    Where an org has said nothing it is as shipped.
    """
    found = {
        (org_id, kind.id): AlertSettings(kind) for org_id in org_ids for kind in KINDS.values()
    }
    rows = session().scalars(select(AdminAlert).where(AdminAlert.org_id.in_(org_ids)))
    for row in rows:
        kind = KINDS[row.type_id]
        told = row.email_user_ids
        found[row.org_id, row.type_id] = AlertSettings(
            kind,
            row.wait_seconds,
            row.expiration_seconds,
            row.is_enabled or not kind.is_changeable,
            None if told is None else tuple(told),
        )
    return found


def save_alert_settings(org_id: int, requested: AlertSettings) -> None:
    """Remember how an org wants to be warned."""
    session().merge(
        AdminAlert(
            org_id=org_id,
            type_id=requested.kind.id,
            wait_seconds=requested.wait_seconds,
            expiration_seconds=requested.expiration_seconds,
            is_enabled=requested.is_enabled,
            email_user_ids=None
            if requested.email_user_ids is None
            else list(requested.email_user_ids),
        )
    )
    session().flush()


def get_raised(org_id: int, code: str) -> RaisedAlert:
    """Return a warning of the org that was raised, by its code. Raises `NotFound`."""
    raised = session().scalar(
        select(RaisedAlert).where(RaisedAlert.org_id == org_id, RaisedAlert.code == code)
    )
    if raised is None:
        raise NotFound("There is no such admin alert in your org.")
    return raised


def list_running() -> list[RaisedAlert]:
    """Return the warnings of every org that are not over, for the worker."""
    rows = select(RaisedAlert).where(RaisedAlert.recovered_at.is_(None)).order_by(RaisedAlert.id)
    return list(session().scalars(rows))


def list_raised(
    org_id: int, *, from_at: datetime, until_at: datetime, is_over: bool, limit: int
) -> Page[RaisedAlert]:
    """List the org's warnings of a stretch of time, the latest first.

    It is the time at which they were raised, or with `is_over` the time since which they are over.
    """
    when = RaisedAlert.recovered_at if is_over else RaisedAlert.raised_at
    wanted = (RaisedAlert.org_id == org_id, when >= from_at, when < until_at)
    rows = session().scalars(
        select(RaisedAlert).where(*wanted).order_by(when.desc(), RaisedAlert.id.desc()).limit(limit)
    )
    total = session().scalar(select(func.count()).select_from(RaisedAlert).where(*wanted))
    return Page(list(rows), total or 0)


def last_told_at(org_id: int, type_id: int) -> datetime | None:
    """Return when the org's admins were last written to about this kind of trouble."""
    return session().scalar(
        select(func.max(RaisedAlert.told_at)).where(
            RaisedAlert.org_id == org_id, RaisedAlert.type_id == type_id
        )
    )

"""Every SELECT about the audit trail."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select

from anomify.audit.model import AuditEntry
from anomify.db import Page, session


def list_audit(
    org_id: int,
    *,
    action: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[AuditEntry]:
    """Return the changes of an org, the latest first.

    `action` is a whole action such as `user.login`, or its first word for all of that noun.
    """
    wanted = [AuditEntry.org_id == org_id]
    if action:
        wanted.append(
            or_(
                AuditEntry.action == action,
                AuditEntry.action.startswith(f"{action}.", autoescape=True),
            )
        )
    if from_at is not None:
        wanted.append(AuditEntry.recorded_at >= from_at)
    if until_at is not None:
        wanted.append(AuditEntry.recorded_at < until_at)
    total = session().scalar(select(func.count()).select_from(AuditEntry).where(*wanted)) or 0
    rows = (
        select(AuditEntry)
        .where(*wanted)
        .order_by(AuditEntry.recorded_at.desc(), AuditEntry.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return Page(list(session().scalars(rows)), total)


def list_changes(
    org_id: int,
    *,
    actions: Collection[str],
    types: Collection[str] = (),
    from_at: datetime,
    until_at: datetime,
    limit: int,
) -> Page[AuditEntry]:
    """Return entries of a time window that every member of the org may read, the latest first.

    `actions` are whole ones or the first words of several; where `types`, of the same kind, are
    given, only what is in both comes back.
    """
    wanted = [
        AuditEntry.org_id == org_id,
        AuditEntry.recorded_at >= from_at,
        AuditEntry.recorded_at < until_at,
        _is_one_of(actions),
    ]
    if types:
        wanted.append(_is_one_of(types))
    total = session().scalar(select(func.count()).select_from(AuditEntry).where(*wanted)) or 0
    rows = (
        select(AuditEntry)
        .where(*wanted)
        .order_by(AuditEntry.recorded_at.desc(), AuditEntry.id.desc())
        .limit(limit)
    )
    return Page(list(session().scalars(rows)), total)


def _is_one_of(actions: Collection[str]) -> ColumnElement[bool]:
    return or_(
        AuditEntry.action.in_(actions),
        *(AuditEntry.action.startswith(f"{action}.", autoescape=True) for action in actions),
    )

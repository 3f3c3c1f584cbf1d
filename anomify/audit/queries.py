"""Every SELECT about the audit trail."""

from datetime import datetime

from sqlalchemy import func, or_, select

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
    """Return what was changed in an org, the latest first.

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

"""Changing what an org is called and which time it reads."""

from anomify.audit.recording import record_audit
from anomify.org.creating import checked_name, checked_timezone
from anomify.org.model import Org
from anomify.org.queries import get_org


def change_org(
    org_id: int, *, actor: str, name: str | None = None, timezone: str | None = None
) -> Org:
    """Give the org another name or time zone, and return it; what is None stays as it is.

    Raises `Invalid` for what a new org could not be given either.
    """
    org = get_org(org_id)
    wanted = {
        "name": org.name if name is None else checked_name(name),
        "timezone": org.timezone if timezone is None else checked_timezone(timezone),
    }
    before = {"name": org.name, "timezone": org.timezone}
    changed = [field for field, value in wanted.items() if value != before[field]]
    if not changed:
        return org
    org.name, org.timezone = wanted["name"], wanted["timezone"]
    record_audit(
        org_id,
        actor=actor,
        action="org.update",
        target=org.name,
        before={field: before[field] for field in changed},
        after={field: wanted[field] for field in changed},
    )
    return org

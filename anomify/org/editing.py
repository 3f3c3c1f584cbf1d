"""Change the name and the time zone of an org."""

from anomify.audit.recording import record_audit
from anomify.org.creating import checked_name, checked_timezone
from anomify.org.model import Org
from anomify.org.queries import get_org


def change_org(
    org_id: int, *, actor: str, name: str | None = None, timezone: str | None = None
) -> Org:
    """Change the name or the time zone, and return the org; None leaves a value unchanged.

    Raises `Invalid` for an unreadable name and for a time zone that does not exist.
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

"""How often the patterns in use have changed, by which the worker finds out that they have."""

from sqlalchemy import func, select

from anomify.db import session, upsert
from anomify.pattern.model import Pattern, PatternChange


def note_change(org_id: int) -> None:
    """Record that the patterns in use of an org have changed, for the worker's next tick."""
    session().execute(
        upsert(PatternChange)
        .values(org_id=org_id, count=1)
        .on_conflict_do_update(index_elements=["org_id"], set_={"count": PatternChange.count + 1})
    )


def note_deletion(org_id: int, metric_id: int) -> None:
    """Record that a metric is about to be deleted, if it has patterns: its family knows them."""
    if session().scalar(select(Pattern.id).where(Pattern.metric_id == metric_id).limit(1)):
        note_change(org_id)


def changes_so_far() -> tuple[int, int]:
    """Return a value over all orgs that differs once patterns have changed, for the worker."""
    orgs, changes = (
        session()
        .execute(select(func.count(), func.coalesce(func.sum(PatternChange.count), 0)))
        .one()
    )
    return int(orgs), int(changes)

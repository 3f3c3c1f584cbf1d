"""The lock of an org, for counting its metrics against the quota and changing what counts."""

from sqlalchemy import select

from anomify.db import session
from anomify.errors import NotFound
from anomify.org.model import Org


def lock_org(org_id: int) -> None:
    """Keep others from registering metrics of the org or changing its rules until the commit.

    Needs a unit of work that writes; SQLite has only one of those at a time anyway. Others may
    still read the org and insert rows that belong to it. Raises `NotFound` for an org that was
    just deleted.
    """
    locked = select(Org.id).where(Org.id == org_id).with_for_update(key_share=True)
    if session().scalar(locked) is None:
        raise NotFound("There is no such org any more.")

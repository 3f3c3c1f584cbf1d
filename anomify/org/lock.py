"""One at a time for an org: whoever counts its metrics, or changes what counts, holds its lock."""

from sqlalchemy import select

from anomify.db import session
from anomify.errors import NotFound
from anomify.org.model import Org


def lock_org(org_id: int) -> None:
    """Let nobody else register metrics of the org, or change its rules, until we are committed.

    Only for units of work that write; the embedded database has one of those at a time anyway.
    Others may still read the org and make rows that belong to it. Raises `NotFound` for an org
    that was deleted a moment ago.
    """
    locked = select(Org.id).where(Org.id == org_id).with_for_update(key_share=True)
    if session().scalar(locked) is None:
        raise NotFound("There is no such org any more.")

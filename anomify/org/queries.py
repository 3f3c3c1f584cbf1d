"""Every SELECT about orgs and workers."""

from sqlalchemy import select

from anomify.db import session
from anomify.errors import NotFound
from anomify.org.model import Org, WorkerHeartbeat

# The most workers that are shown; usually there is one.
HEARTBEATS_MAX = 100
DEMOS_MAX = 100


def find_org(org_id: int) -> Org | None:
    """Return the org of this id, or None."""
    return session().get(Org, org_id)


def find_org_of_uuid(uuid: str) -> Org | None:
    """Return the org of this uuid, or None."""
    return session().scalar(select(Org).where(Org.uuid == uuid))


def get_org(org_id: int) -> Org:
    """Return the org of this id. Raises `NotFound` if there is none."""
    org = find_org(org_id)
    if org is None:
        raise NotFound("There is no such org.")
    return org


def list_orgs_named(name: str) -> list[Org]:
    """Return the orgs of this name, oldest first; names need not be unique."""
    return list(session().scalars(select(Org).where(Org.name == name).order_by(Org.id)))


def list_orgs() -> list[Org]:
    """Return every org, oldest first; for the operator, never for a request."""
    return list(session().scalars(select(Org).order_by(Org.id)))


def list_demo_orgs() -> list[Org]:
    """Return the demo orgs, which are read-only and public, oldest first."""
    demos = select(Org).where(Org.is_demo).order_by(Org.id).limit(DEMOS_MAX)
    return list(session().scalars(demos))


def list_worker_heartbeats() -> list[WorkerHeartbeat]:
    """Return the latest heartbeat of each worker, the most recent first."""
    rows = select(WorkerHeartbeat).order_by(WorkerHeartbeat.beaten_at.desc()).limit(HEARTBEATS_MAX)
    return list(session().scalars(rows))

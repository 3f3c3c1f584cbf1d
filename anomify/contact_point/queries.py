"""Queries of contact points; org first."""

from collections.abc import Iterable

from sqlalchemy import func, select

from anomify.contact_point.model import ContactPoint
from anomify.db import among, session
from anomify.errors import NotFound

# The largest id of the column; databases raise an error when a larger number is compared.
ID_MAX = 2**31 - 1


def get_contact_point(org_id: int, contact_point_id: int) -> ContactPoint:
    """Return the org's contact point. Raises `NotFound`, also when it is deleted."""
    found = session().scalar(
        select(ContactPoint).where(
            ContactPoint.org_id == org_id,
            ContactPoint.id == min(contact_point_id, ID_MAX),
            ContactPoint.deleted_at.is_(None),
        )
    )
    if found is None:
        raise NotFound(
            "Your org has no contact point with this id; /contact_points/list lists those that "
            "exist."
        )
    return found


def find_for_callback(contact_point_id: int, kind: str) -> ContactPoint | None:
    """Return the contact point of this id in any org, for a request that its secret verifies."""
    return session().scalar(
        select(ContactPoint).where(
            ContactPoint.id == min(contact_point_id, ID_MAX),
            ContactPoint.kind == kind,
            ContactPoint.deleted_at.is_(None),
        )
    )


def list_contact_points(org_id: int) -> list[ContactPoint]:
    """Return the org's contact points that are not deleted, by name."""
    rows = session().scalars(
        select(ContactPoint)
        .where(ContactPoint.org_id == org_id, ContactPoint.deleted_at.is_(None))
        .order_by(func.lower(ContactPoint.name), ContactPoint.id)
    )
    return list(rows)


def kinds_of(org_id: int) -> set[str]:
    """Return the kinds of which the org has contact points."""
    rows = select(ContactPoint.kind).where(
        ContactPoint.org_id == org_id, ContactPoint.deleted_at.is_(None)
    )
    return set(session().scalars(rows.distinct()))


def list_of_kind(org_id: int, kind: str) -> list[ContactPoint]:
    """Return the org's contact points of one kind that are not deleted, the oldest first."""
    rows = session().scalars(
        select(ContactPoint)
        .where(
            ContactPoint.org_id == org_id,
            ContactPoint.kind == kind,
            ContactPoint.deleted_at.is_(None),
        )
        .order_by(ContactPoint.id)
    )
    return list(rows)


def contact_points_among(org_id: int, ids: Iterable[int]) -> dict[int, ContactPoint]:
    """Return those of the ids that are contact points of the org and not deleted, by id."""
    possible = [each for each in ids if 0 < each <= ID_MAX]
    rows = session().scalars(
        select(ContactPoint).where(
            ContactPoint.org_id == org_id,
            among(ContactPoint.id, possible),
            ContactPoint.deleted_at.is_(None),
        )
    )
    return {found.id: found for found in rows}

"""The users of an org to whom anomalies can be assigned, and who can be mentioned."""

from collections.abc import Iterable

from sqlalchemy import delete, select

from anomify.db import among, session
from anomify.errors import NotFound
from anomify.org.model import Org
from anomify.triage.model import Assignment
from anomify.user.model import User


def list_assignable(org: Org) -> list[User]:
    """Return the users of the org, without temporary visitors, by name."""
    rows = select(User).where(User.org_id == org.id, User.is_visitor.is_(False))
    return list(session().scalars(rows.order_by(User.name, User.id)))


def get_assignable(org: Org, user_ids: Iterable[int], field: str) -> dict[int, User]:
    """Return these users of the org by id. Raises `NotFound`, naming the first one that is none.

    `field` is the parameter in which the ids were given.
    """
    wanted = set(user_ids)
    if not wanted:
        return {}
    rows = select(User).where(
        User.org_id == org.id, User.is_visitor.is_(False), among(User.id, wanted)
    )
    found = {user.id: user for user in session().scalars(rows)}
    if missing := wanted - set(found):
        unknown = min(missing)
        raise NotFound("Your org has no such user.", fields={field: f"There is no user {unknown}."})
    return found


def set_assignees(anomaly_id: int, before: Iterable[int], after: Iterable[int]) -> None:
    """Assign exactly the users `after` to an anomaly that has the users `before`."""
    old, new = set(before), set(after)
    if gone := old - new:
        session().execute(
            delete(Assignment).where(
                Assignment.anomaly_id == anomaly_id, among(Assignment.user_id, gone)
            )
        )
    session().add_all(
        Assignment(anomaly_id=anomaly_id, user_id=user_id) for user_id in sorted(new - old)
    )

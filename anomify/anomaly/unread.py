"""Which anomalies a user has not seen in a list yet."""

from sqlalchemy import func, or_, select, update

from anomify.anomaly.model import Anomaly
from anomify.db import session
from anomify.user.model import User


def count_unread(user: User) -> int:
    """Count the org's anomalies that were recorded since the user last looked at the list.

    For a user who has never looked, those that began since the user was created.
    """
    is_unread = (
        Anomaly.opened_at >= user.created_at
        if user.seen_anomaly_id is None
        else Anomaly.id > user.seen_anomaly_id
    )
    counted = select(func.count()).select_from(Anomaly).where(Anomaly.org_id == user.org_id)
    return session().scalar(counted.where(is_unread)) or 0


def mark_seen(user_id: int, anomaly_id: int) -> None:
    """Remember that the user has seen this anomaly and all that were recorded before it."""
    session().execute(
        update(User)
        .where(
            User.id == user_id,
            or_(User.seen_anomaly_id.is_(None), User.seen_anomaly_id < anomaly_id),
        )
        .values(seen_anomaly_id=anomaly_id)
        .execution_options(synchronize_session=False)
    )

"""Every SELECT about users."""

from sqlalchemy import func, select

from anomify.clock import now
from anomify.db import session
from anomify.errors import NotFound
from anomify.org.model import Org
from anomify.user.model import SessionRow, User

# The onboarding steps of a user, as the native API names them.
ONBOARDING_FLAGS = (
    "main_intro",
    "alerts_intro",
    "alerts_from_search",
    "training_intro",
    "alert_created",
    "test_alert_sent",
    "two_alerts_sent",
    "pattern_trained",
)


def get_user(org: Org, user_id: int) -> User:
    """Return a user of the org. Raises `NotFound` if the org has none of that id."""
    user = session().scalar(select(User).where(User.org_id == org.id, User.id == user_id))
    if user is None:
        raise NotFound("Your org has no such user.")
    return user


def find_user(user_id: int) -> User | None:
    """Return the user of this id in any org; only for identifying the caller of a request."""
    return session().get(User, user_id)


def find_user_by_email(email: str) -> User | None:
    """Return the user with this normalised address in any org; addresses are unique."""
    return session().scalar(select(User).where(User.email == email))


def list_users(org: Org) -> list[User]:
    """Return the users of the org, by name."""
    rows = select(User).where(User.org_id == org.id).order_by(User.name, User.id)
    return list(session().scalars(rows))


def count_users(org: Org) -> int:
    """Return how many users the org has."""
    counted = select(func.count()).select_from(User).where(User.org_id == org.id)
    return session().scalar(counted) or 0


def needs_setup() -> bool:
    """Return whether there are no users yet."""
    return session().scalar(select(User.id).limit(1)) is None


def onboarding_flags(user: User) -> dict[str, bool]:
    """Return for each onboarding step whether the user has taken it."""
    taken = set(user.steps.split(","))
    return {step: step in taken for step in ONBOARDING_FLAGS}


def list_sessions(user: User) -> list[SessionRow]:
    """Return the unexpired sessions of a user, the most recently used first."""
    rows = select(SessionRow).where(SessionRow.user_id == user.id, SessionRow.expires_at > now())
    return list(session().scalars(rows.order_by(SessionRow.last_seen_at.desc())))

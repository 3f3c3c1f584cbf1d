"""Who changes something, as it is recorded in the history of anomalies."""

from anomify.auth.subject import UserSubject, subject
from anomify.edge.access import is_at_least
from anomify.triage.actor import Actor


def actor() -> Actor:
    """Return the caller as an actor: the user, or the token by its name."""
    caller = subject()
    if isinstance(caller, UserSubject):
        return Actor(caller.label, caller.user.id, is_admin=is_at_least(caller.user_role, "admin"))
    return Actor(caller.label, is_admin="admin" in caller.scopes)

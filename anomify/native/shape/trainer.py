"""Who trains, as it is recorded with patterns and in the audit trail."""

from typing import Final

from anomify.auth.subject import UserSubject, subject
from anomify.pattern.made_patterns import Trainer

# The name of the trainer for a token, which belongs to an org and is no person.
API: Final = "API"


def trainer() -> Trainer:
    """Return the caller as a trainer: the user, or API for a token of the org."""
    caller = subject()
    if isinstance(caller, UserSubject):
        return Trainer(caller.label, caller.user.id)
    return Trainer(API)

"""Write entries of the audit trail, in the unit of work of the change that they describe."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime

from anomify.audit.model import (
    ACTION_CHARACTERS_MAX,
    ACTOR_CHARACTERS_MAX,
    ADDRESS_CHARACTERS_MAX,
    TARGET_CHARACTERS_MAX,
    AuditEntry,
)
from anomify.clock import now
from anomify.db import session

# Longer values are cut: the trail records that a value changed, and is no copy of it.
TEXT_CHARACTERS_MAX = 500
ITEMS_MAX = 50
# The values of these fields are never recorded, only that there was one.
SECRET_WORDS = ("password", "secret", "hash", "token_text")
HIDDEN = "(not kept)"

_address: ContextVar[str] = ContextVar("anomify_client_address", default="")


def note_address(address: str) -> None:
    """Set the address that the changes of this request come from; the middleware calls this."""
    _address.set(address[:ADDRESS_CHARACTERS_MAX])


def record_audit(
    org_id: int | None,
    *,
    actor: str,
    action: str,
    target: str = "",
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Add an entry to an org's trail; it is there if and only if the unit of work is committed.

    `before` and `after` hold the fields that changed, never a secret. What is too long for the
    trail is cut, so this never makes a change fail.
    """
    session().add(
        AuditEntry(
            org_id=org_id,
            recorded_at=now(),
            actor=actor[:ACTOR_CHARACTERS_MAX],
            address=_address.get(),
            action=action[:ACTION_CHARACTERS_MAX],
            target=target[:TARGET_CHARACTERS_MAX],
            before=_kept(before),
            after=_kept(after),
        )
    )


def _kept(fields: Mapping[str, object] | None) -> dict[str, object] | None:
    if fields is None:
        return None
    return {
        name: HIDDEN if any(word in name for word in SECRET_WORDS) else _plain(value)
        for name, value in list(fields.items())[:ITEMS_MAX]
    }


def _plain(value: object) -> object:
    """Return a value as JSON can represent it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in list(value)[:ITEMS_MAX]]
    if isinstance(value, Mapping):
        return _kept({str(name): item for name, item in value.items()})
    return str(value)[:TEXT_CHARACTERS_MAX]

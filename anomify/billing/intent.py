"""Intended actions at Stripe, each with one idempotency key however often a user clicks."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete

from anomify.billing.model import BillingIntent
from anomify.billing.queries import find_intent
from anomify.clock import now
from anomify.db import insert_once, session

# After this time the same request gets a new key. Stripe keeps idempotency keys for at least a day.
SAME_FOR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Intent:
    """An intended action with its idempotency key."""

    key: str
    # The id of Stripe's result of an earlier, different request of this kind; None without one.
    replaced_result_id: str | None


def begin_intent(org_id: int, action: str, *about: object) -> Intent:
    """Return the org's intent for this action and these values.

    The same action within half an hour has the same intent, unless it was finished meanwhile.
    Needs a unit of work that writes, which has to be committed before Stripe is called.
    """
    subject = hashlib.sha256(repr(about).encode()).hexdigest()
    insert_once(BillingIntent, org_id=org_id, action=action, about="", nonce="", begun_at=now())
    found = find_intent(org_id, action)
    replaced = None
    if found is None:
        raise RuntimeError("an intent vanished while it was locked")
    if found.about != subject or now() - found.begun_at > SAME_FOR:
        replaced = found.result_id
        found.about, found.nonce = subject, secrets.token_hex(16)
        found.begun_at, found.result_id = now(), None
        session().flush()
    return Intent(_key_of(found), replaced)


def note_result(org_id: int, action: str, intent: Intent, result_id: str) -> bool:
    """Store Stripe's result of an intent; return False if another intent has replaced it.

    Needs a unit of work that writes.
    """
    found = find_intent(org_id, action)
    if found is None or _key_of(found) != intent.key:
        return False
    found.result_id = result_id
    return True


def finish_intent(org_id: int, *actions: str) -> None:
    """Finish the intents, so that the same actions get new keys. Needs a writing unit of work."""
    session().execute(
        delete(BillingIntent).where(
            BillingIntent.org_id == org_id, BillingIntent.action.in_(actions)
        )
    )


def _key_of(intent: BillingIntent) -> str:
    return f"{intent.org_id}:{intent.action}:{intent.nonce}"

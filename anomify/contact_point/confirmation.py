"""Confirmation of e-mail addresses: nothing is sent to one before its owner has agreed."""

import hashlib
import secrets
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import select

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.contact_point.model import ContactPoint
from anomify.db import session
from anomify.errors import NotFound, QuotaExceeded
from anomify.org.letter import count_letters, post_letter
from anomify.org.queries import get_org

LIFETIME = timedelta(days=7)
TOKEN_BYTES = 32
LETTER_PURPOSE = "contact_confirmation"
# The most letters to one address, from all orgs together.
LETTERS_MAX = 3
LETTERS_WINDOW = timedelta(hours=24)
PATH = "/ui/contact-confirmation"
# Who stands in the audit trail for the owner of the address, who may have no account.
OWNER_OF_ADDRESS = "owner of the address"


def ask_for_confirmation(
    contact_point: ContactPoint, address: str, actor: str, base_url: str
) -> None:
    """Write a letter with a link to the address; until its owner confirms it gets nothing else.

    An earlier link stops working. Raises `QuotaExceeded` for too many letters to the address.
    """
    at = now()
    if count_letters(address, LETTER_PURPOSE, at - LETTERS_WINDOW) >= LETTERS_MAX:
        raise QuotaExceeded(
            "This address was asked for confirmation several times today; try again tomorrow.",
            retry_after_seconds=int(LETTERS_WINDOW.total_seconds()),
        )
    token = secrets.token_urlsafe(TOKEN_BYTES)
    contact_point.confirmed_at = None
    contact_point.confirmation_hash = _hash(token)
    contact_point.confirmation_expires_at = at + LIFETIME
    org_name = get_org(contact_point.org_id).name
    post_letter(
        address,
        f"Confirm that {org_name} may send alerts to this address",
        f"{actor} of {org_name} wants to send alerts about metrics to this address.\n\n"
        f"If you agree, confirm it here within {LIFETIME.days} days:\n"
        f"{base_url}{PATH}?{urlencode({'token': token})}\n\n"
        "If you do nothing, you will get no alerts. The same link stops them later.\n",
        org_id=contact_point.org_id,
        purpose=LETTER_PURPOSE,
        lifetime=LIFETIME,
    )


def find_by_token(token: str) -> ContactPoint:
    """Return the contact point of a link. Raises `NotFound` for one that does not work any more."""
    found = session().scalar(
        select(ContactPoint).where(
            ContactPoint.confirmation_hash == _hash(token), ContactPoint.deleted_at.is_(None)
        )
    )
    expires_at = None if found is None else found.confirmation_expires_at
    if found is None or (
        found.confirmed_at is None and (expires_at is None or expires_at <= now())
    ):
        raise NotFound(
            "This link does not work any more. Ask the person who wants to send you alerts for "
            "another one."
        )
    return found


def confirm(token: str) -> ContactPoint:
    """Record that the owner of the address agrees. Raises `NotFound`; confirming again is fine."""
    found = find_by_token(token)
    if found.confirmed_at is None:
        found.confirmed_at = now()
        _record(found, "contact_point.confirm")
    return found


def withdraw(token: str) -> ContactPoint:
    """Record that the owner of the address wants no messages. Raises `NotFound`."""
    found = find_by_token(token)
    if found.confirmed_at is not None:
        found.confirmed_at = None
        found.confirmation_expires_at = now() + LIFETIME
        _record(found, "contact_point.withdraw")
    return found


def _record(contact_point: ContactPoint, action: str) -> None:
    record_audit(
        contact_point.org_id,
        actor=OWNER_OF_ADDRESS,
        action=action,
        target=f"{contact_point.name} ({contact_point.id})",
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()

"""Password reset with a link that works once, for 30 minutes."""

import hashlib
import secrets
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import delete, select, update

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.letter import count_letters, post_letter, store_unsent_letter
from anomify.user.client import forget_clients
from anomify.user.creating import EMAIL_CHARACTERS_MAX
from anomify.user.model import LoginAttempt, ResetLink, User
from anomify.user.queries import find_user, find_user_by_email
from anomify.user.session import end_user_sessions

LIFETIME = timedelta(minutes=30)
SECRET_BYTES = 16
LETTER_PURPOSE = "reset"
LETTERS_MAX = 3
LETTERS_WINDOW = timedelta(hours=1)
PATH = "/ui/reset"


def request_reset(email: str, base_url: str) -> None:
    """Mail a reset link to the user with this address; nothing happens if there is none.

    The caller cannot see whether there is one. At most three mails an hour are written to one
    address.
    """
    address = email.strip().lower()[:EMAIL_CHARACTERS_MAX]
    user = find_user_by_email(address)
    if count_letters(address, LETTER_PURPOSE, now() - LETTERS_WINDOW) >= LETTERS_MAX:
        return
    if user is None or user.is_visitor:
        store_unsent_letter(address, LETTER_PURPOSE)
        return
    minutes = int(LIFETIME.total_seconds()) // 60
    post_letter(
        address,
        "Set a new Anomify password",
        f"Hello {user.name},\n\n"
        f"open this to set a new password. It works once, within {minutes} minutes:\n"
        f"{make_reset_link(user, base_url)}\n\n"
        "If you did not ask for it, do nothing: your password does not change.\n",
        org_id=user.org_id,
        purpose=LETTER_PURPOSE,
        lifetime=LIFETIME,
    )


def make_reset_link(user: User, base_url: str) -> str:
    """Return a link that sets a new password for the user; earlier links stay valid."""
    secret = secrets.token_hex(SECRET_BYTES)
    moment = now()
    session().execute(delete(ResetLink).where(ResetLink.expires_at <= moment))
    session().add(
        ResetLink(
            secret_hash=_hash(secret),
            user_id=user.id,
            created_at=moment,
            expires_at=moment + LIFETIME,
        )
    )
    session().flush()
    return f"{base_url}{PATH}?{urlencode({'email': user.email, 'reset_token': secret})}"


def find_reset_user(email: str, secret: str) -> User | None:
    """Return the user of a reset link; None if it is used, expired or not for this address."""
    link = session().scalars(
        select(ResetLink).where(
            ResetLink.secret_hash == _hash(secret),
            ResetLink.used_at.is_(None),
            ResetLink.expires_at > now(),
        )
    )
    found = link.first()
    user = find_user(found.user_id) if found else None
    return user if user is not None and user.email == email.strip().lower() else None


def reset_password(email: str, secret: str, password_hash: str) -> User:
    """Set a password with a reset link; of two simultaneous attempts one succeeds.

    Ends all sessions and deletes the known clients and other links of the user; the second factor
    stays. Raises `Invalid` for a link that is not valid.
    """
    user = find_reset_user(email, secret)
    used = None
    if user is not None:
        used = (
            session()
            .execute(
                update(ResetLink)
                .where(ResetLink.secret_hash == _hash(secret), ResetLink.used_at.is_(None))
                .values(used_at=now())
                .returning(ResetLink.user_id)
                .execution_options(synchronize_session=False)
            )
            .first()
        )
    if user is None or used is None:
        raise bad_link()
    user.password_hash = password_hash
    end_user_sessions(user)
    forget_clients(user)
    for rows in (ResetLink, LoginAttempt):
        session().execute(delete(rows).where(rows.user_id == user.id))
    record_audit(user.org_id, actor=user.name, action="user.reset", target=user.email)
    return user


def change_password(user: User, password_hash: str) -> None:
    """Set the new password of a signed-in user.

    Ends all sessions of the user, and all sign-ins that wait for a code, because they began with
    the former password.
    """
    user.password_hash = password_hash
    end_user_sessions(user)
    for rows in (ResetLink, LoginAttempt):
        session().execute(delete(rows).where(rows.user_id == user.id))
    record_audit(user.org_id, actor=user.name, action="user.password", target=user.email)


def bad_link() -> Invalid:
    """Return the error for a link that is not valid."""
    return Invalid(
        "This link was used already, has expired or was not copied in full. Ask for a new one.",
        code="bad_reset_link",
        fields={"reset_token": "Ask for a new link."},
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()

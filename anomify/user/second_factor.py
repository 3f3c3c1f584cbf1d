"""The second step of signing in: a mailed code for new clients, or a code of the app."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from anomify.clock import now
from anomify.db import sealing_key, session
from anomify.errors import QuotaExceeded, Unauthenticated
from anomify.org.letter import count_letters, post_letter
from anomify.user.authenticator import use_code
from anomify.user.client import is_known_client
from anomify.user.model import LoginAttempt, User
from anomify.user.queries import find_user

EMAIL, TOTP = "email", "totp"
LETTER_PURPOSE = "login-code"
CODE_DIGITS = 6
CODE_LIFETIME = timedelta(minutes=10)
TRIES_MAX = 5
TOKEN_BYTES = 16
# An attacker with a stolen password must not fill the mailbox of its owner.
LETTERS_MAX = 5
LETTERS_WINDOW = timedelta(minutes=15)
# The same message for all causes: no attempt, an expired attempt or a wrong code.
REFUSAL = "This code is not right, has expired or was tried too often. Sign in again for a new one."


def needed_way(user: User, client_id: str | None, *, mails_codes: bool) -> str | None:
    """Return which kind of code this user has to enter on this client; None for no code.

    `mails_codes` is whether codes are mailed for new clients.
    """
    if user.has_totp:
        return None if is_known_client(user, client_id, TOTP) else TOTP
    if not mails_codes or is_known_client(user, client_id, EMAIL):
        return None
    return EMAIL


def open_attempt(
    user: User, session_key: bytes, way: str, base_url: str, client: str, *, remembers: bool
) -> None:
    """Record that this session sent the right password, and mail the code if `way` is EMAIL.

    Deletes an earlier attempt of the session. Raises `QuotaExceeded` after too many mails.
    """
    moment = now()
    session().execute(
        delete(LoginAttempt).where(
            (LoginAttempt.session_key == session_key) | (LoginAttempt.expires_at <= moment)
        )
    )
    attempt = LoginAttempt(
        id=secrets.token_hex(16),
        user_id=user.id,
        session_key=session_key,
        way=way,
        remembers=remembers,
        tries=0,
        created_at=moment,
        expires_at=moment + CODE_LIFETIME,
    )
    if way == EMAIL:
        _check_letters(user, moment)
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        token = secrets.token_hex(TOKEN_BYTES)
        attempt.code_hash = _code_hash(attempt.id, code)
        attempt.token_hash = _token_hash(token)
        _mail_code(user, code, f"{base_url}/ui/login/code?token={token}", client)
    session().add(attempt)
    session().flush()


def find_attempt(session_key: bytes, token: str | None = None) -> LoginAttempt | None:
    """Return the attempt that waits for a code: by token if one is given, else by session."""
    return session().scalars(select(LoginAttempt).where(*_is_open(session_key, token))).first()


def try_code(session_key: bytes, token: str | None, code: str) -> tuple[User, LoginAttempt] | None:
    """Return the user and the attempt that a right code completes; None for a wrong code.

    Each call counts as a try, so the caller has to commit also after a wrong code. If several
    requests send the right code at the same moment, one of them gets the user.
    """
    tried = session().execute(
        update(LoginAttempt)
        .where(*_is_open(session_key, token))
        .values(tries=LoginAttempt.tries + 1)
        .returning(LoginAttempt.id)
        .execution_options(synchronize_session=False)
    )
    attempt_id = tried.scalars().first()
    if attempt_id is None:
        return None
    attempt = session().get_one(LoginAttempt, attempt_id, populate_existing=True)
    user = find_user(attempt.user_id)
    if user is None or not _is_right(user, attempt, code):
        return None
    used = session().execute(
        update(LoginAttempt)
        .where(LoginAttempt.id == attempt.id, LoginAttempt.used_at.is_(None))
        .values(used_at=now())
        .returning(LoginAttempt.id)
        .execution_options(synchronize_session=False)
    )
    return (user, attempt) if used.first() is not None else None


def wrong_login_code() -> Unauthenticated:
    """Return the error for a wrong code."""
    return Unauthenticated(REFUSAL, code="wrong_code")


def forget_attempts(moment: datetime) -> None:
    """Delete expired attempts."""
    session().execute(delete(LoginAttempt).where(LoginAttempt.expires_at <= moment))


def _is_open(session_key: bytes, token: str | None) -> tuple[ColumnElement[bool], ...]:
    whose = (
        LoginAttempt.token_hash == _token_hash(token)
        if token
        else LoginAttempt.session_key == session_key
    )
    return (
        whose,
        LoginAttempt.used_at.is_(None),
        LoginAttempt.expires_at > now(),
        LoginAttempt.tries < TRIES_MAX,
    )


def _is_right(user: User, attempt: LoginAttempt, code: str) -> bool:
    if attempt.way == TOTP:
        return use_code(user, code)
    plain = code.replace(" ", "")
    return hmac.compare_digest(attempt.code_hash or b"", _code_hash(attempt.id, plain))


def _check_letters(user: User, moment: datetime) -> None:
    written = count_letters(user.email, LETTER_PURPOSE, moment - LETTERS_WINDOW)
    if written >= LETTERS_MAX:
        seconds = int(LETTERS_WINDOW.total_seconds())
        raise QuotaExceeded(
            "Several codes were mailed already; use the latest one, or wait a quarter of an hour.",
            code="too_many_codes",
            retry_after_seconds=seconds,
        )


def _mail_code(user: User, code: str, link: str, client: str) -> None:
    minutes = int(CODE_LIFETIME.total_seconds()) // 60
    post_letter(
        user.email,
        f"{code} is your Anomify sign-in code",
        f"Hello {user.name},\n\n"
        f"the code to sign in is {code}. It is good for {minutes} minutes, once.\n\n"
        f"Somebody who knows your password is signing in from a client that is new to us:\n"
        f"{client or 'it did not say what it is'}\n\n"
        f"To sign in from another client instead, open this and type the code there:\n{link}\n\n"
        "If this was not you, tell the code to nobody and set a new password.\n",
        org_id=user.org_id,
        purpose=LETTER_PURPOSE,
        lifetime=CODE_LIFETIME,
    )


def _code_hash(attempt_id: str, code: str) -> bytes:
    keyed = f"login-code:{attempt_id}:{code}".encode(errors="replace")
    return hmac.new(sealing_key(), keyed, hashlib.sha256).digest()


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()

"""Authenticator apps: time-based codes (TOTP, RFC 6238) and recovery codes."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

import pyotp
import segno
from sqlalchemy import delete, func, or_, select, update

from anomify.audit.recording import record_audit
from anomify.clock import now, now_timestamp
from anomify.db import sealing_key, session
from anomify.errors import Conflict, Invalid
from anomify.org.sealing import SealBroken, seal, unseal
from anomify.user.client import forget_clients
from anomify.user.model import LoginAttempt, RecoveryCode, User
from anomify.user.session import end_user_sessions

ISSUER = "Anomify"
STEP_SECONDS = 30
# Clocks differ, so the codes one step before and after are accepted too.
STEPS_EITHER_WAY = 1
RECOVERY_CODES = 10
RECOVERY_CODE_BYTES = 10
_GROUP_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The seed for an authenticator app, by itself and as the address in the QR code."""

    seed: str
    uri: str


def begin_enrolment(user: User) -> Enrolment:
    """Give the user a new seed; it is not required at sign-in until a code confirms it.

    Raises `Conflict` if an app is confirmed already.
    """
    if user.has_totp:
        raise Conflict(
            "Two-factor sign-in is on already; turn it off before you set up another app.",
            code="totp_is_on",
        )
    seed = pyotp.random_base32()
    user.totp_sealed = seal(sealing_key(), user.org_id, seed)
    user.totp_counter = None
    session().flush()
    uri = pyotp.TOTP(seed, interval=STEP_SECONDS).provisioning_uri(
        name=user.email, issuer_name=ISSUER
    )
    return Enrolment(seed, uri)


def qr_picture(uri: str) -> str:
    """Return the QR code of an address, as SVG in a data URL."""
    picture: str = segno.make(uri, error="m", micro=False).svg_data_uri(scale=4, border=2)
    return picture


def finish_enrolment(user: User, code: str) -> list[str]:
    """Require the app's codes from now on; return the recovery codes, which are stored as hashes.

    Ends all sessions of the user, forgets the known clients and invalidates mailed codes. Raises
    `Conflict` if there is no seed to confirm or an app is confirmed already, and `Invalid` for a
    wrong code.
    """
    if user.has_totp or user.totp_sealed is None:
        raise Conflict("Start again with a new key for your app.", code="totp_not_begun")
    if not use_totp(user, code):
        raise wrong_code()
    user.totp_confirmed_at = now()
    end_user_sessions(user)
    forget_clients(user)
    session().execute(delete(LoginAttempt).where(LoginAttempt.user_id == user.id))
    record_audit(user.org_id, actor=user.name, action="user.totp_on", target=user.email)
    return renew_recovery_codes(user)


def renew_recovery_codes(user: User) -> list[str]:
    """Return new recovery codes, which replace all earlier ones.

    Raises `Conflict` if the user has no authenticator app.
    """
    if not user.has_totp:
        raise Conflict(
            "Recovery codes stand in for an authenticator app; set one up first.",
            code="totp_is_off",
        )
    session().execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    session().add_all(
        RecoveryCode(code_hash=_hash(user, code), user_id=user.id, created_at=now())
        for code in codes
    )
    session().flush()
    return codes


def count_recovery_codes(user: User) -> int:
    """Return how many recovery codes the user has left."""
    left = select(func.count()).where(
        RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None)
    )
    return session().scalar(left) or 0


def turn_off(user: User, *, by: str | None = None) -> None:
    """Turn the authenticator app off and delete its seed and recovery codes.

    Does nothing if it is off. `by` names who did it, if not the user.
    """
    if user.has_totp:
        record_audit(user.org_id, actor=by or user.name, action="user.totp_off", target=user.email)
    user.totp_sealed = user.totp_confirmed_at = user.totp_counter = None
    session().execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    forget_clients(user)


def use_code(user: User, code: str) -> bool:
    """Return whether this is a valid code of the app or a recovery code, and mark it as used."""
    plain = code.replace(" ", "").replace("-", "").lower()
    if plain.isdecimal() and plain.isascii():
        return use_totp(user, plain)
    used = session().execute(
        update(RecoveryCode)
        .where(RecoveryCode.code_hash == _hash(user, plain), RecoveryCode.used_at.is_(None))
        .values(used_at=now())
        .returning(RecoveryCode.user_id)
        .execution_options(synchronize_session=False)
    )
    return used.first() is not None


def use_totp(user: User, code: str) -> bool:
    """Return whether this is a current code of the user's app, and mark it as used.

    If several requests send the same code at the same time, one succeeds.
    """
    seed = _seed_of(user)
    if seed is None:
        return False
    app = pyotp.TOTP(seed, interval=STEP_SECONDS)
    current = now_timestamp() // STEP_SECONDS
    tried = code.replace(" ", "").encode(errors="replace")
    right = None
    for counter in range(current - STEPS_EITHER_WAY, current + STEPS_EITHER_WAY + 1):
        # All are compared, so that the time taken reveals nothing.
        if hmac.compare_digest(app.generate_otp(counter).encode(), tried):
            right = counter
    if right is None:
        return False
    used = session().execute(
        update(User)
        .where(User.id == user.id, or_(User.totp_counter.is_(None), User.totp_counter < right))
        .values(totp_counter=right)
        .returning(User.id)
        .execution_options(synchronize_session=False)
    )
    if used.first() is None:
        return False
    session().refresh(user, ["totp_counter"])
    return True


def wrong_code() -> Invalid:
    """Return the error for a wrong code in a form of a signed-in user."""
    return Invalid(
        "This code is not right, or was used already; wait for the next one.",
        code="wrong_code",
        fields={"code": "Six digits that the app shows now."},
    )


def _seed_of(user: User) -> str | None:
    if user.totp_sealed is None:
        return None
    try:
        return unseal(sealing_key(), user.org_id, user.totp_sealed)
    except SealBroken:
        # If secret_key was changed, no app's codes are valid; the operator can turn apps off.
        return None


def _new_recovery_code() -> str:
    plain = base64.b32encode(secrets.token_bytes(RECOVERY_CODE_BYTES)).decode().lower()
    parts = range(0, len(plain), _GROUP_CHARACTERS)
    return "-".join(plain[start : start + _GROUP_CHARACTERS] for start in parts)


def _hash(user: User, code: str) -> bytes:
    plain = code.replace("-", "")
    return hashlib.sha256(f"{user.id}:{plain}".encode(errors="replace")).digest()

"""Sign-up for a new org: the e-mail address is verified before anything is created."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import delete, update

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.creating import checked_name as checked_org_name
from anomify.org.creating import checked_timezone, create_org
from anomify.org.letter import count_letters, post_letter
from anomify.user.creating import FIRST_ROLE, add_user, checked_name, fold_email, shown_name
from anomify.user.model import SignUp, User
from anomify.user.queries import find_user_by_email

LIFETIME = timedelta(hours=24)
TOKEN_BYTES = 16
LETTER_PURPOSE = "verify"
LETTERS_MAX = 3
LETTERS_WINDOW = timedelta(hours=1)
PATH = "/ui/verify"


def request_signup(
    email: str,
    user_name: str,
    org_name: str,
    timezone: str,
    base_url: str,
    *,
    wants_test_data: bool = False,
) -> SignUp:
    """Mail a link that finishes the sign-up; the org and the user are created then.

    An address that has an account already gets a different mail; the caller cannot see which one
    was sent. At most three mails an hour are written to one address. Raises `Invalid` for an
    unusable address, name or time zone.
    """
    address, moment = fold_email(email), now()
    try:
        named = checked_name(user_name)
    except Invalid as error:
        raise Invalid(error.message, fields={"user_name": error.fields["name"]}) from None
    try:
        org_named = checked_org_name(org_name)
    except Invalid as error:
        raise Invalid(error.message, fields={"org_name": error.fields["name"]}) from None
    token = secrets.token_hex(TOKEN_BYTES)
    signup = SignUp(
        token_hash=_hash(token),
        email=address,
        user_name=named,
        org_name=org_named,
        timezone=checked_timezone(timezone),
        wants_test_data=wants_test_data,
        created_at=moment,
        expires_at=moment + LIFETIME,
    )
    forget_signups()
    session().add(signup)
    if count_letters(address, LETTER_PURPOSE, moment - LETTERS_WINDOW) < LETTERS_MAX:
        known = find_user_by_email(address)
        if known is None:
            query = urlencode({"email": address, "verification_token": token})
            subject, text = _welcome(named, org_named, f"{base_url}{PATH}?{query}", token)
        else:
            subject, text = _known(known, base_url)
        post_letter(address, subject, text, org_id=None, purpose=LETTER_PURPOSE, lifetime=LIFETIME)
    session().flush()
    return signup


def find_signup(email: str, token: str) -> SignUp | None:
    """Return the sign-up of this link; None if it is used, expired or not for this address."""
    signup = session().get(SignUp, _hash(token))
    if signup is None or signup.used_at is not None or signup.expires_at <= now():
        return None
    return signup if signup.email == email.strip().lower() else None


def finish_signup(
    email: str, token: str, password_hash: str, *, metric_quota: int | None = None
) -> tuple[User, SignUp]:
    """Create the org and its owner; of two simultaneous attempts one succeeds.

    Returns the owner and the sign-up. Raises `Invalid` for a link that is not valid, and `Conflict`
    if the address has got an account meanwhile.
    """
    signup = find_signup(email, token)
    if signup is None:
        raise bad_link()
    used = session().execute(
        update(SignUp)
        .where(SignUp.token_hash == signup.token_hash, SignUp.used_at.is_(None))
        .values(used_at=now())
        .returning(SignUp.email)
        .execution_options(synchronize_session=False)
    )
    if used.first() is None:
        raise bad_link()
    org = create_org(signup.org_name, timezone=signup.timezone)
    org.metric_quota = metric_quota
    user = add_user(org, signup.email, signup.user_name, FIRST_ROLE, password_hash)
    record_audit(org.id, actor=user.name, action="org.signup", target=org.name)
    return user, signup


def bad_link() -> Invalid:
    """Return the error for a link that is not valid."""
    return Invalid(
        "This link was used already, has expired or was not copied in full. Sign up again.",
        code="bad_verification_token",
        fields={"verification_token": "Sign up again for a new one."},
    )


def forget_signups() -> None:
    """Delete expired sign-ups, finished or not."""
    session().execute(delete(SignUp).where(SignUp.expires_at <= now()))


def forget_signups_of(addresses: Sequence[str]) -> None:
    """Delete the sign-ups of these addresses, finished or not."""
    session().execute(delete(SignUp).where(SignUp.email.in_(addresses)))


def _welcome(name: str, org_name: str, link: str, token: str) -> tuple[str, str]:
    hours = int(LIFETIME.total_seconds()) // 3600
    text = (
        f"Hello {shown_name(name)},\n\n"
        f"open this to choose a password and create the org {shown_name(org_name)}. It works once, "
        f"within {hours} hours:\n{link}\n\n"
        f"If a program asks for the verification token, it is {token}.\n\n"
        "If you did not ask for it, do nothing, and nothing is created.\n"
    )
    return "Finish signing up for Anomify", text


def _known(user: User, base_url: str) -> tuple[str, str]:
    text = (
        f"Hello {user.name},\n\n"
        "somebody, perhaps you, has just tried to sign up with this address. You have an account "
        f"already; sign in here:\n{base_url}/ui/login\n\n"
        f"If you have forgotten your password, set a new one here:\n{base_url}/ui/forgot\n"
    )
    return "You have an Anomify account already", text


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()

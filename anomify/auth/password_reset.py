"""Set a password with a mailed link and start a session, for resets and sign-ups."""

import logging

from anomify.auth.sign_in import AwaitsCode, await_code, remember_client, start_session
from anomify.auth.subject import UserSubject
from anomify.clock import now_ms
from anomify.edge.app_state import app_state
from anomify.edge.transaction import transaction
from anomify.errors import Unavailable
from anomify.metric.sample import fill_with_samples
from anomify.user import recovery, signup
from anomify.user.creating import hash_new_password
from anomify.user.password import same_password
from anomify.user.second_factor import EMAIL, TOTP

log = logging.getLogger(__name__)


def finish_reset(
    email: str, secret: str, password_1: str, password_2: str
) -> UserSubject | AwaitsCode:
    """Set a new password with a mailed link; sign the user in, or require the app's code.

    No unit of work may be open. Raises `Invalid` for an invalid link or an unusable password.
    """
    with transaction(write=False):
        user = recovery.find_reset_user(email, secret)
    if user is None:
        raise recovery.bad_link()
    password = same_password(password_1, password_2)
    hashed = hash_new_password(password, email=user.email, name=user.name, field="password_1")
    with transaction(write=True):
        user = recovery.reset_password(email, secret, hashed)
        if user.has_totp:
            return await_code(user, TOTP, remembers=False)
        # The link was mailed to the user, so no mailed code is required of this client.
        remember_client(user, EMAIL)
        return start_session(user)


def finish_signup(email: str, token: str, password_1: str, password_2: str) -> UserSubject:
    """Create the org and the owner of a sign-up, and sign the owner in.

    If the sign-up requested it, the org gets generated metrics to try the product with.

    No unit of work may be open. Raises `Invalid` for an invalid link or an unusable password.
    """
    with transaction(write=False):
        pending = signup.find_signup(email, token)
    if pending is None:
        raise signup.bad_link()
    password = same_password(password_1, password_2)
    hashed = hash_new_password(
        password,
        email=pending.email,
        name=pending.user_name,
        org_name=pending.org_name,
        field="password_1",
    )
    with transaction(write=True):
        user, pending = signup.finish_signup(
            email, token, hashed, metric_quota=app_state().settings.starting_quota
        )
        remember_client(user, EMAIL)
        signed_in = start_session(user)
    if pending.wants_test_data:
        _fill(user.org_id)
    return signed_in


def _fill(org_id: int) -> None:
    try:
        fill_with_samples(org_id, app_state().registry, app_state().points, now_ms())
    except Unavailable as error:
        # The org and its owner exist, and can send metrics of their own.
        log.warning("org %d has no samples: %s", org_id, error.message)

"""From an address and a password to a session, for whichever door has the form."""

from typing import cast

from flask import current_app, request

from anomify.auth.session_id import open_session_for
from anomify.auth.subject import UserSubject, put_subject
from anomify.edge.house import house
from anomify.edge.transaction import transaction
from anomify.org.queries import get_org
from anomify.user.login import LoginGuard, sign_in_with_password
from anomify.user.session import session_key

GUARD_KEY = "anomify_login_guard"


def sign_in(email: str, password: str) -> UserSubject:
    """Sign the caller in: they have a new session afterwards, and are the subject of the request.

    No unit of work may be open. Raises `Unauthenticated` for a wrong address or password and
    `QuotaExceeded` after too many of them.
    """
    user = sign_in_with_password(
        house().database, _guard(), email, password, request.remote_addr or ""
    )
    with transaction(write=True):
        session_id = open_session_for(user)
        found = UserSubject(user, get_org(user.org_id), session_key(session_id))
    put_subject(found)
    return found


def _guard() -> LoginGuard:
    return cast("LoginGuard", current_app.extensions[GUARD_KEY])

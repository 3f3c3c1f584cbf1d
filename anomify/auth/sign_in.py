"""Sign in with address, password and, where needed, a code, and start a session."""

from dataclasses import dataclass
from typing import cast

from flask import current_app, request

from anomify.audit.recording import record_audit
from anomify.auth.session_id import (
    CLIENT_COOKIE,
    open_session_for,
    renew_anonymous_session,
    web_session,
)
from anomify.auth.subject import UserSubject, put_subject
from anomify.clock import now
from anomify.db import session
from anomify.edge.app_state import app_state
from anomify.edge.transaction import transaction
from anomify.errors import Unauthenticated
from anomify.org.queries import get_org
from anomify.user.authenticator import use_code, wrong_code
from anomify.user.client import KNOWN_FOR, PASSWORD, is_client_of, record_client
from anomify.user.login import LoginGuard, Origin, sign_in_with_password
from anomify.user.model import User
from anomify.user.password import verify_password
from anomify.user.queries import get_user
from anomify.user.second_factor import (
    EMAIL,
    find_attempt,
    needed_way,
    open_attempt,
    try_code,
    wrong_login_code,
)
from anomify.user.session import session_key

GUARD_KEY = "anomify_login_guard"


@dataclass(frozen=True)
class AwaitsCode:
    """The password was right; a code by mail or from the user's app is required."""

    # email or totp.
    way: str
    sentence: str


def sign_in(
    email: str, password: str, *, client_id: str | None = None, remembers: bool = False
) -> UserSubject | AwaitsCode:
    """Sign the caller in, or return which code is required before that.

    The caller gets a new session, and is the subject of the request if no code is required. No
    code is required of a client that is known by `client_id` or by its cookie; with `remembers` it
    becomes known also after a code of the app. No unit of work may be open. Raises
    `Unauthenticated` for a wrong address or password and `QuotaExceeded` after too many of them.
    """
    client = client_id or presented_client()
    settings = app_state().settings
    user = sign_in_with_password(
        app_state().database,
        _guard(),
        email,
        password,
        _address(),
        client_id=client,
        mails_codes=settings.can_mail,
    )
    with transaction(write=True):
        current = session().get(User, user.id)
        if current is None or current.password_hash != user.password_hash:
            # A leaked password must not open a session after it was changed.
            raise Unauthenticated(
                "The account was changed while you signed in; sign in again.",
                code="bad_credentials",
            )
        is_known = is_client_of(user.id, client)
        # While the account is besieged, a right password from an unknown client may be a guess.
        needs_mailed_code = settings.can_mail and not is_known and _guard().is_besieged(user.email)
        way = needed_way(user, client, mails_codes=settings.mails_login_codes or needs_mailed_code)
        if way is not None:
            return await_code(user, way, remembers=remembers)
        if not is_known:
            # So that failed guesses of others never delay this client.
            remember_client(current, PASSWORD, client_id)
        return start_session(current)


def confirm_sign_in(
    code: str,
    token: str | None = None,
    *,
    client_id: str | None = None,
    remembers: bool = False,
) -> tuple[UserSubject, str | None]:
    """Sign the caller in with the code that the sign-in attempt waits for.

    Returns the caller, and the id by which this client is known from now on, if it is. With the
    mailed `token` any client may send the code and is signed in; without it only the client that
    sent the password. With `remembers` the client becomes known also after a code of the app. No
    unit of work may be open. Raises `Unauthenticated` for a wrong code, and `QuotaExceeded` after
    too many of them.
    """
    key = session_key(web_session().sid or "")
    with transaction(write=False):
        attempt = find_attempt(key, token)
    if attempt is None:
        raise wrong_login_code()
    account = f"code of {attempt.user_id}"
    _guard().check(account, _shared())
    with transaction(write=True):
        # The count of tries has to be committed, so nothing is raised in here.
        found = try_code(key, token, code)
        if found is not None:
            user, finished = found
            known_as = None
            if finished.way == EMAIL or finished.remembers or remembers:
                known_as = remember_client(user, finished.way, client_id)
            signed_in = start_session(user)
    if found is None:
        _guard().fail(account, _shared())
        raise wrong_login_code()
    _guard().succeed(account, _shared())
    return signed_in, known_as


def start_session(user: User) -> UserSubject:
    """Open a new session for a user, who becomes the subject of the request.

    For a user who was authenticated by a password, a code, a mailed link or another server. Needs
    a unit of work that writes, in which `user` was read.
    """
    user.last_login_at = now()
    session_id = open_session_for(user)
    found = UserSubject(user, get_org(user.org_id), session_key(session_id))
    record_audit(user.org_id, actor=user.name, action="user.login", target=user.email)
    put_subject(found)
    return found


def renew_session(user: User) -> UserSubject:
    """Replace the session of the signed-in user by a new one.

    For changes of what a session id is worth: a new password, a second factor, another role. Needs
    a unit of work that writes.
    """
    session_id = open_session_for(user)
    found = UserSubject(user, get_org(user.org_id), session_key(session_id))
    put_subject(found)
    return found


def await_code(user: User, way: str, *, remembers: bool) -> AwaitsCode:
    """Record that the caller has passed the first step, and return which code is required.

    Needs a unit of work that writes.
    """
    # A new anonymous session, against session fixation: the former id cannot submit the code.
    key = renew_anonymous_session()
    open_attempt(
        user,
        key,
        way,
        app_state().settings.base_url,
        request.user_agent.string[:200],
        remembers=remembers,
    )
    if way == EMAIL:
        return AwaitsCode(
            way, "This client is new to us; type the code that was mailed to you just now."
        )
    return AwaitsCode(way, "Type the code that your authenticator app shows, or a recovery code.")


def prove_password(caller: UserSubject, password: str) -> None:
    """Raise `Unauthenticated` for a wrong password, and `QuotaExceeded` after many tries.

    For changes that a stolen session must not be enough for. No unit of work may be open.
    """
    user = caller.user
    account = f"password of {user.id}"
    _guard().check(account, _shared())
    with transaction(write=False):
        current = get_user(caller.org, user.id).password_hash
    if not verify_password(current, password):
        _guard().fail(account, _shared())
        raise Unauthenticated("Your present password is not right.", code="wrong_password")
    _guard().succeed(account, _shared())


def prove_code(user: User, code: str) -> None:
    """Raise `Invalid` unless it is a code of the user's app or a recovery code.

    Does nothing for a user without an app. Raises `QuotaExceeded` after many wrong codes, as at
    sign-in. Needs a unit of work that writes.
    """
    if not user.has_totp:
        return
    account = f"code of {user.id}"
    _guard().check(account, _shared())
    if not use_code(user, code):
        _guard().fail(account, _shared())
        raise wrong_code()
    _guard().succeed(account, _shared())


def remember_client(user: User, way: str, client_id: str | None = None) -> str:
    """Record this client as known to the user, and return its id; a browser gets it as a cookie.

    Needs a unit of work that writes.
    """
    known = record_client(user, client_id or presented_client(), way)
    web_session().send_client_id(known, KNOWN_FOR[way])
    return known


def known_as() -> str | None:
    """Return the client id that the current request was given; None if there is none."""
    return web_session().client_id


def presented_client() -> str | None:
    """Return the client id in the cookie; None without one."""
    return request.cookies.get(CLIENT_COOKIE)


def _address() -> str:
    return request.remote_addr or ""


def _shared() -> Origin:
    return Origin(_address(), is_shared=True)


def _guard() -> LoginGuard:
    return cast("LoginGuard", current_app.extensions[GUARD_KEY])

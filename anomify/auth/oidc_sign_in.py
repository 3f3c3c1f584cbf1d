"""Sign in with an OpenID Connect provider: the redirect to it, and the return with a code."""

import hashlib
import hmac
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from flask import Response, current_app, make_response, redirect, request

from anomify.auth.csrf import is_same_origin
from anomify.auth.oidc_provider import OidcProvider
from anomify.auth.require import read_only
from anomify.auth.sign_in import start_session
from anomify.auth.subject import UserSubject, subject, user_subject
from anomify.clock import now_timestamp
from anomify.edge.app_state import app_state
from anomify.edge.transaction import transaction
from anomify.errors import Denied, NotFound
from anomify.org.sealing import SealBroken, seal, unseal
from anomify.user.identity import (
    ExternalIdentity,
    find_user_by_identity,
    join_by_domain,
    link_identity,
    unusable_password_hash,
)
from anomify.user.invitation import accept_invitation, find_invitation
from anomify.user.queries import get_user

START: Final = "/login/oidc"
CALLBACK: Final = "/login/oidc/callback"
COOKIE: Final = "oidc"
KEY_PURPOSE: Final = "oidc-state"
PROVIDER_KEY: Final = "anomify_oidc_provider"
USED_KEY: Final = "anomify_oidc_used_states"
STATE_SECONDS: Final = 600
# The most used states that are remembered; a state is valid for ten minutes.
USED_MAX: Final = 10_000
NO_ORG: Final = 0
NAME_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class OidcAttempt:
    """The state of a sign-in until the browser returns; kept encrypted in its cookie."""

    state: str
    nonce: str
    verifier: str
    begun: int
    next: str
    # The secret of an invitation that is accepted this way.
    invitation: str
    # The user who connects an account of the provider; 0 for a sign-in.
    user_id: int


def begin(next_path: str, invitation: str = "") -> Response:
    """Redirect the browser to the provider. For a signed-in user this connects the two accounts.

    A signed-in user whom another site's page sent here is redirected to `next_path` instead: that
    page may have signed the browser in at the provider with an account of its choice. Raises
    `NotFound` if no provider is configured and `UpstreamFailed` if it does not answer.
    """
    caller = subject()
    # A request with an invitation creates an account, even if another user is signed in.
    is_connecting = isinstance(caller, UserSubject) and not invitation
    if is_connecting and not is_same_origin():
        return make_response(redirect(next_path, 303))
    attempt = OidcAttempt(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        begun=now_timestamp(),
        next=next_path,
        invitation=invitation,
        user_id=user_subject().user.id if is_connecting else 0,
    )
    url = provider().authorization_url(
        _redirect_uri(), state=attempt.state, nonce=attempt.nonce, verifier=attempt.verifier
    )
    reply = make_response(redirect(url, 303))
    settings = app_state().settings
    reply.set_cookie(
        COOKIE,
        seal(settings.key_for(KEY_PURPOSE), NO_ORG, json.dumps(asdict(attempt))),
        max_age=STATE_SECONDS,
        path=START,
        httponly=True,
        samesite="Lax",
        secure=settings.has_secure_cookies,
    )
    return reply


def finish(state: str, code: str, issuer: str) -> str:
    """Sign in the user who returned from the provider, and return the path to continue with.

    No unit of work may be open. Raises `Denied` for an attempt that this browser did not begin or
    that has ended, and for an identity without a user here.
    """
    attempt = _attempt(state)
    if issuer and issuer.rstrip("/") != provider().issuer.rstrip("/"):
        raise _bad_state()
    if not code:
        raise Denied("You did not sign in there.", code="oidc_refused")
    claims = provider().claims_of(
        code, _redirect_uri(), nonce=attempt.nonce, verifier=attempt.verifier
    )
    identity = _identity(claims)
    if attempt.user_id:
        _connect(attempt.user_id, identity)
    else:
        _sign_in(attempt, identity)
    return attempt.next


def forget(reply: Response) -> Response:
    """Delete the cookie of the attempt, which has ended, and return the reply."""
    reply.delete_cookie(COOKIE, path=START)
    return reply


def provider() -> OidcProvider:
    """Return the configured provider. Raises `NotFound` if there is none."""
    settings = app_state().settings
    if settings.oidc_issuer is None:
        raise NotFound("Signing in with another server is not configured here.")
    kept = current_app.extensions.get(PROVIDER_KEY)
    if kept is None:
        kept = current_app.extensions.setdefault(PROVIDER_KEY, OidcProvider(settings))
    return cast("OidcProvider", kept)


def _sign_in(attempt: OidcAttempt, identity: ExternalIdentity) -> None:
    with transaction(write=False):
        is_new = find_user_by_identity(identity) is None
        invited = find_invitation(attempt.invitation) if attempt.invitation else None
    # Hashing is slow on purpose, so it runs outside of the transaction.
    hashed = unusable_password_hash() if is_new else ""
    with transaction(write=True):
        user = find_user_by_identity(identity)
        if user is None:
            if invited is not None:
                name = invited[0].name or identity.name or identity.email
                user = accept_invitation(attempt.invitation, name, hashed)
            else:
                user = join_by_domain(identity, app_state().settings.oidc_orgs, hashed)
            link_identity(user, identity)
        start_session(user)


def _connect(user_id: int, identity: ExternalIdentity) -> None:
    caller = subject()
    if not isinstance(caller, UserSubject) or caller.user.id != user_id:
        raise _bad_state()
    if caller.org.is_demo:
        raise read_only()
    with transaction(write=True):
        link_identity(get_user(caller.org, user_id), identity)


def _attempt(state: str) -> OidcAttempt:
    sealed = request.cookies.get(COOKIE, "")
    try:
        opened = unseal(app_state().settings.key_for(KEY_PURPOSE), NO_ORG, sealed)
    except SealBroken:
        raise _bad_state() from None
    attempt = OidcAttempt(**json.loads(opened))
    if not hmac.compare_digest(attempt.state.encode(), state.encode(errors="replace")):
        raise _bad_state()
    if now_timestamp() - attempt.begun > STATE_SECONDS or not _used_states().add(state):
        raise _bad_state()
    return attempt


class _UsedStates:
    """The states that were used; they are in memory, because one web process serves."""

    def __init__(self) -> None:
        self._used: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, state: str) -> bool:
        """Record a state and return whether it is new."""
        key = hashlib.sha256(state.encode()).digest()
        with self._lock:
            if key in self._used:
                return False
            self._used[key] = None
            if len(self._used) > USED_MAX:
                self._used.popitem(last=False)
        return True


def _used_states() -> _UsedStates:
    return cast("_UsedStates", current_app.extensions.setdefault(USED_KEY, _UsedStates()))


def _identity(claims: Mapping[str, Any]) -> ExternalIdentity:
    email, name = claims.get("email"), claims.get("name")
    return ExternalIdentity(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        email=email.strip().lower() if isinstance(email, str) else "",
        # Only true itself: some providers send the text "false".
        is_email_verified=claims.get("email_verified") is True,
        name=name.strip()[:NAME_CHARACTERS_MAX] if isinstance(name, str) else "",
    )


def _redirect_uri() -> str:
    return app_state().settings.base_url + CALLBACK


def _bad_state() -> Denied:
    return Denied(
        "This sign-in was not begun in this browser, or took too long. Start again.",
        code="oidc_state",
    )

"""Signing in with another server: there with a state of ours, back with a code, and in."""

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
# States that were used lately; each is good for ten minutes only, and so is its cookie.
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
    # The user who connects an account there with theirs here; 0 for who signs in.
    user_id: int


def begin(next_path: str, invitation: str = "") -> Response:
    """Send the browser to the other server. Whoever is signed in here connects the two accounts.

    Whom a page elsewhere sent while they were signed in goes on to `next_path`, and connects
    nothing: that page may have signed the browser in there as somebody of its own choice. Raises
    `NotFound` where no such server is set and `UpstreamFailed` where it does not answer.
    """
    caller = subject()
    # Who opens an invitation means to join, whoever was signed in here before.
    is_connecting = isinstance(caller, UserSubject) and not invitation
    if is_connecting and not is_same_origin():
        return make_response(redirect(next_path, 303))
    journey = OidcAttempt(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        begun=now_timestamp(),
        next=next_path,
        invitation=invitation,
        user_id=user_subject().user.id if is_connecting else 0,
    )
    url = provider().authorization_url(
        _redirect_uri(), state=journey.state, nonce=journey.nonce, verifier=journey.verifier
    )
    reply = make_response(redirect(url, 303))
    settings = app_state().settings
    reply.set_cookie(
        COOKIE,
        seal(settings.key_for(KEY_PURPOSE), NO_ORG, json.dumps(asdict(journey))),
        max_age=STATE_SECONDS,
        path=START,
        httponly=True,
        samesite="Lax",
        secure=settings.has_secure_cookies,
    )
    return reply


def finish(state: str, code: str, issuer: str) -> str:
    """Sign in whoever came back, and return the path they wanted to go on to.

    No unit of work may be open. Raises `Denied` for a journey that this browser did not begin, or
    that is over, and for somebody who is not known here.
    """
    journey = _journey(state)
    if issuer and issuer.rstrip("/") != provider().issuer.rstrip("/"):
        raise _lost()
    if not code:
        raise Denied("You did not sign in there.", code="oidc_refused")
    claims = provider().claims_of(
        code, _redirect_uri(), nonce=journey.nonce, verifier=journey.verifier
    )
    vouched = _vouched(claims)
    if journey.user_id:
        _connect(journey.user_id, vouched)
    else:
        _enter(journey, vouched)
    return journey.next


def forget(reply: Response) -> Response:
    """Take the cookie of a journey back: it is over, well or not."""
    reply.delete_cookie(COOKIE, path=START)
    return reply


def provider() -> OidcProvider:
    """Return the server that people may sign in with. Raises `NotFound` where none is set."""
    settings = app_state().settings
    if settings.oidc_issuer is None:
        raise NotFound("Nobody signs in with another server here.")
    kept = current_app.extensions.get(PROVIDER_KEY)
    if kept is None:
        kept = current_app.extensions.setdefault(PROVIDER_KEY, OidcProvider(settings))
    return cast("OidcProvider", kept)


def _enter(journey: OidcAttempt, vouched: ExternalIdentity) -> None:
    with transaction(write=False):
        is_new = find_user_by_identity(vouched) is None
        invited = find_invitation(journey.invitation) if journey.invitation else None
    # Slow on purpose, so no lock is held meanwhile.
    hashed = unusable_password_hash() if is_new else ""
    with transaction(write=True):
        user = find_user_by_identity(vouched)
        if user is None:
            if invited is not None:
                name = invited[0].name or vouched.name or vouched.email
                user = accept_invitation(journey.invitation, name, hashed)
            else:
                user = join_by_domain(vouched, app_state().settings.oidc_orgs, hashed)
            link_identity(user, vouched)
        start_session(user)


def _connect(user_id: int, vouched: ExternalIdentity) -> None:
    caller = subject()
    if not isinstance(caller, UserSubject) or caller.user.id != user_id:
        raise _lost()
    if caller.org.is_demo:
        raise read_only()
    with transaction(write=True):
        link_identity(get_user(caller.org, user_id), vouched)


def _journey(state: str) -> OidcAttempt:
    sealed = request.cookies.get(COOKIE, "")
    try:
        opened = unseal(app_state().settings.key_for(KEY_PURPOSE), NO_ORG, sealed)
    except SealBroken:
        raise _lost() from None
    journey = OidcAttempt(**json.loads(opened))
    if not hmac.compare_digest(journey.state.encode(), state.encode(errors="replace")):
        raise _lost()
    if now_timestamp() - journey.begun > STATE_SECONDS or not _used_states().add(state):
        raise _lost()
    return journey


class _UsedStates:
    """States that came back; one web process serves, so its memory is enough."""

    def __init__(self) -> None:
        self._used: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, state: str) -> bool:
        """Remember a state and return whether it is new."""
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


def _vouched(claims: Mapping[str, Any]) -> ExternalIdentity:
    email, name = claims.get("email"), claims.get("name")
    return ExternalIdentity(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        email=email.strip().lower() if isinstance(email, str) else "",
        # Nothing but a plain true: some say "false" as a text.
        is_email_verified=claims.get("email_verified") is True,
        name=name.strip()[:NAME_CHARACTERS_MAX] if isinstance(name, str) else "",
    )


def _redirect_uri() -> str:
    return app_state().settings.base_url + CALLBACK


def _lost() -> Denied:
    return Denied(
        "This sign-in was not begun in this browser, or took too long. Begin again.",
        code="oidc_state",
    )

"""Authentication of each request: session, token or signed link, then the checks of the route."""

import logging

from flask import Flask, request
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.auth.csrf import check_csrf
from anomify.auth.require import check_access, check_may_change, check_no_password_in_address
from anomify.auth.session_id import (
    CLIENT_COOKIE,
    SHORT_WAIT_SECONDS,
    RowSessions,
    WebSession,
    web_session,
)
from anomify.auth.sign_in import GUARD_KEY, presented_client
from anomify.auth.subject import (
    Anonymous,
    LinkSubject,
    OrgSubject,
    Subject,
    UserSubject,
    put_subject,
)
from anomify.auth.token import presented_token
from anomify.edge.app_state import AppState
from anomify.edge.contract import Declared, current_route
from anomify.edge.limits import Limit, limits_of, spend
from anomify.edge.parameters import find_parameter
from anomify.edge.problem import cause_of
from anomify.errors import Denied, Unauthenticated
from anomify.org.queries import find_org, find_org_of_uuid
from anomify.org.sealing import ROWS_PURPOSE
from anomify.org.signed_link import KEY_PURPOSE, SIGNATURE, org_of_link
from anomify.org.token import check_address, find_token, is_use_noted, note_use
from anomify.user.client import is_client_of
from anomify.user.login import LoginGuard, network_of
from anomify.user.queries import find_user

log = logging.getLogger(__name__)

SESSIONS_PURPOSE = "stateless-sessions"


def install(app: Flask, app_state: AppState) -> None:
    """Authenticate every request of the app. Call it after `edge.install`."""
    settings = app_state.settings
    app_state.database.sealing_key = settings.key_for(ROWS_PURPOSE)
    sessions = RowSessions(
        app,
        app_state.database,
        settings.key_for(SESSIONS_PURPOSE),
        is_secure=settings.has_secure_cookies,
    )
    app.session_interface = sessions
    app.extensions[GUARD_KEY] = LoginGuard()
    guard = _Guard(app_state, sessions)
    app.before_request(guard.admit)


class _Guard:
    def __init__(self, app_state: AppState, sessions: RowSessions) -> None:
        self._database = app_state.database
        self._settings = app_state.settings
        self._sessions = sessions

    def admit(self) -> None:
        """Identify the caller, and raise an error where the route does not allow them."""
        route = current_route()
        if request.method == "OPTIONS":
            # Answered by Flask with the allowed methods; no view runs.
            return
        if route is None:
            self._look_only()
            return
        if not route.access.identifies_caller:
            return
        if route.access.takes_signed_link and SIGNATURE in request.args:
            holder = self._link_holder()
            put_subject(holder)
            _count(route, holder, _network())
            return
        caller = self._caller(route)
        put_subject(caller)
        _count(route, caller, self._signing_in_by(route))
        check_csrf(route, caller)
        check_access(route.access, caller)
        check_may_change(route, caller)
        if route.changes:
            check_no_password_in_address()

    def _look_only(self) -> None:
        """For a URL that does not exist, identify a signed-in user, without starting a session."""
        if request.endpoint is not None:
            return
        session = web_session()
        with self._database.unit_of_work(write=False):
            self._sessions.find(session, None, has_parameter=False)
            put_subject(_user_of(session) or Anonymous())

    def _link_holder(self) -> LinkSubject:
        key = self._settings.key_for(KEY_PURPOSE)
        query = request.args.to_dict()
        is_repeated = len(query) != len(list(request.args.items(multi=True)))
        # Of a repeated parameter only one value would be verified here, and the view might use
        # the other one.
        org_uuid = None if is_repeated else org_of_link(key, request.path, query)
        if org_uuid is not None:
            with self._database.unit_of_work(write=False):
                org = find_org_of_uuid(org_uuid)
            if org is not None:
                return LinkSubject(org)
        raise Denied("This link has expired or was changed; ask for a new one.", code="bad_link")

    def _caller(self, route: Declared) -> Subject:
        session = web_session()
        has_parameter = self._settings.legacy_session_param
        caller: Subject | None
        with self._database.unit_of_work(write=False):
            self._sessions.find(session, route, has_parameter=has_parameter)
            # After the session, so that the reply to a wrong token names the session, too.
            token = None if route.is_cookie_only else presented_token()
            caller = _user_of(session)
            if caller is None and token is not None:
                caller = _org_of(token)
        if isinstance(caller, OrgSubject):
            check_address(caller.token.networks, request.remote_addr or "")
            self._note_use(caller)
            return caller
        if caller is None and token is not None:
            # Before an anonymous session is started: clients with a token need none.
            raise Unauthenticated("This token is not valid, has expired or was revoked.")
        if session.sid is None:
            self._sessions.open_anonymous(session)
        else:
            self._sessions.see(session)
        return caller or Anonymous()

    def _signing_in_by(self, route: Declared) -> object:
        """Return the key that sign-in attempts are counted by: a known client, or the network.

        So an unknown client does not use up the attempts of known ones in the same network.
        """
        if Limit.LOGIN not in limits_of(route):
            return _network()
        client_id = presented_client() or find_parameter(CLIENT_COOKIE)
        if client_id:
            with self._database.unit_of_work(write=False):
                if is_client_of(None, client_id):
                    return ("client", client_id)
        return _network()

    def _note_use(self, caller: OrgSubject) -> None:
        if is_use_noted(caller.token):
            return
        try:
            with self._database.unit_of_work(wait_seconds=SHORT_WAIT_SECONDS):
                note_use(caller.token.id, request.remote_addr or "")
        except (OperationalError, PoolTimeout) as error:
            # Reading has to work while the database cannot be written, on a full disk for example.
            log.warning("the last use of a token could not be written: %s", cause_of(error))


def _count(route: Declared, caller: Subject, signing_in_by: object) -> None:
    network = _network()
    match caller:
        case UserSubject():
            spend(route, ("user", caller.user.id), caller.org.id, signing_in_by)
        case OrgSubject():
            spend(route, ("token", caller.token.id), caller.org.id, signing_in_by)
        case LinkSubject():
            # Links are shared with others, so their requests do not count against the org's users.
            spend(route, network, ("links", caller.org.id), signing_in_by)
        case Anonymous():
            spend(route, network, None, signing_in_by)


def _network() -> str:
    return network_of(request.remote_addr or "")


def _user_of(session: WebSession) -> UserSubject | None:
    if session.user_id is None or session.key is None:
        return None
    user = find_user(session.user_id)
    org = find_org(user.org_id) if user else None
    return UserSubject(user, org, session.key) if user and org else None


def _org_of(token_text: str) -> OrgSubject | None:
    token = find_token(token_text)
    org = find_org(token.org_id) if token else None
    return OrgSubject(org, token) if token and org else None

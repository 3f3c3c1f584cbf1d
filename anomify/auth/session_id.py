"""The session of a request: its id in header, parameter or cookie, and the reply's cookie."""

import logging
import re
import time
from datetime import timedelta
from enum import StrEnum
from typing import Any, cast

import flask
from flask import Flask, Request, Response, current_app, request
from flask_session.base import Serializer, ServerSideSession, ServerSideSessionInterface
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.db import Database, if_undone
from anomify.edge.contract import Declared
from anomify.edge.limits import Limit, current_limits
from anomify.edge.parameters import find_parameter
from anomify.edge.problem import cause_of, problem_of, respond_problem
from anomify.edge.strict_json import decode, encode
from anomify.errors import Invalid
from anomify.user.login import network_of
from anomify.user.model import SessionRow, User
from anomify.user.session import (
    change_session,
    end_session,
    find_session,
    is_stateless_id,
    needs_use_recorded,
    new_stateless_id,
    open_anonymous_session,
    open_user_session,
    record_session_use,
    session_key,
)

log = logging.getLogger(__name__)

HEADER = "X-Session-Id"
NAME = "session_id"
CLIENT_COOKIE = "client_id"
DEPRECATED = f'299 - "{NAME} as a parameter is deprecated; send it as the header {HEADER}"'
# How long anonymous sessions are not counted again after their limit was reached.
FULL_SECONDS = 5.0
# How long a write that a read does not depend on waits for other writers.
SHORT_WAIT_SECONDS = 0.25
_SHAPE = re.compile(r"[0-9a-f]{32}\Z")


class Source(StrEnum):
    """Where a request presented its session id."""

    NONE = "none"
    HEADER = "header"
    PARAMETER = "parameter"
    COOKIE = "cookie"


class WebSession(ServerSideSession):  # type: ignore[misc] # the library ships no types
    """The session of a request; `sid` is None before the session is found or opened."""

    def __init__(self) -> None:
        """Start without an id."""
        super().__init__()
        self.source = Source.NONE
        # The key and the user of the session's row, if there is one.
        self.key: bytes | None = None
        self.user_id: int | None = None
        # Whether the reply has a session id that the request did not present.
        self.is_new = False
        self.needs_use_recorded = False
        # The client id that this request was given, and how long it is valid.
        self.client_id: str | None = None
        self.client_known_for: timedelta | None = None

    def send_client_id(self, client_id: str, lasts: timedelta) -> None:
        """Send the client its id with the reply; undone if the unit of work fails."""
        before = self.client_id, self.client_known_for

        def forget() -> None:
            self.client_id, self.client_known_for = before

        if_undone(forget)
        self.client_id, self.client_known_for = client_id, lasts

    def take(self, session_id: str, *, user_id: int | None, has_row: bool, is_new: bool) -> None:
        """Set the id, the user and the row of this session."""
        self.sid = session_id
        self.user_id = user_id
        self.key = session_key(session_id) if has_row else None
        self.is_new = is_new

    def restore_if_undone(self) -> None:
        """Restore the current state if the open unit of work is rolled back."""
        attributes, remembered = self.__dict__.copy(), dict(self)

        def put_back() -> None:
            self.forget()
            dict.update(self, remembered)
            self.__dict__.update(attributes)

        if_undone(put_back)

    def forget(self) -> None:
        """Delete the data, so that a user's session has none of the anonymous one before it."""
        dict.clear(self)
        self.modified = False


class RowSessions(ServerSideSessionInterface):  # type: ignore[misc] # the library ships no types
    """Flask-Session's interface with rows as the storage: ids hashed, data as JSON only.

    Flask opens the session before it has found the route, so the middleware does this later:
    errors there are answered in the format of the requested blueprint.
    """

    session_class = WebSession

    def __init__(self, app: Flask, database: Database, key: bytes, *, is_secure: bool) -> None:
        """Store sessions in this database; `key` signs the ids of sessions without a row."""
        super().__init__(app)
        # The library's own serializer falls back to pickle.
        self.serializer = JsonOnly()
        self._database = database
        self._key = key
        self._is_secure = is_secure
        self._full_until = 0.0

    def open_session(self, app: Flask, request: Request) -> WebSession:
        """Return a session without an id; the middleware finds or opens it."""
        del app, request
        return WebSession()

    def save_session(self, app: Flask, session: WebSession, response: Response) -> None:
        """Store the data of the session, and set the cookie of a new session.

        No cookie is set for an id from a header or parameter: a link with an id would sign its
        reader in as another user.
        """
        if session.sid is None:
            return
        response.vary.add("Cookie")
        if session.modified and session.key is not None:
            try:
                self._upsert_session(timedelta(0), session, session.key.hex())
            except SQLAlchemyError as error:
                _replace(response, respond_problem(problem_of(error), app))
                return
        if session.source is Source.PARAMETER:
            response.headers["Warning"] = DEPRECATED
        if session.is_new and session.source in {Source.NONE, Source.COOKIE}:
            self._give(response, NAME, session.sid)
        if session.client_id and session.source in {Source.NONE, Source.COOKIE}:
            self._give(response, CLIENT_COOKIE, session.client_id, session.client_known_for)

    def _give(
        self, response: Response, name: str, value: str, lasts: timedelta | None = None
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=lasts,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=self._is_secure,
        )

    def find(self, session: WebSession, route: Declared | None, *, has_parameter: bool) -> None:
        """Find the session of the id that the request presents; needs a unit of work.

        The first place with an id decides, even if there is no session of that id.
        """
        session.source, presented = _presented(route, has_parameter=has_parameter)
        if not _SHAPE.match(presented):
            return
        row = find_session(presented)
        if row is not None:
            try:
                remembered = self.serializer.decode(row.state.encode())
            except Invalid:
                log.warning("a session whose row is damaged is treated as unknown")
                return
            session.take(presented, user_id=row.user_id, has_row=True, is_new=False)
            session.update(remembered)
            session.modified = False
            session.needs_use_recorded = needs_use_recorded(row)
        elif is_stateless_id(self._key, presented):
            session.take(presented, user_id=None, has_row=False, is_new=False)

    def see(self, session: WebSession) -> None:
        """Record that the session was used, at most once a minute.

        A failure is only logged, so that reading works while the disk is full.
        """
        if session.key is None or not session.needs_use_recorded:
            return
        try:
            with self._database.unit_of_work(wait_seconds=SHORT_WAIT_SECONDS):
                record_session_use(session.key)
        except (OperationalError, PoolTimeout) as error:
            log.warning("the last use of a session could not be written: %s", cause_of(error))

    def open_anonymous(self, session: WebSession) -> None:
        """Start an anonymous session with a new id, never with one that the client sent.

        It gets no row if there are too many anonymous sessions, if its address has opened many
        recently, or if the row cannot be written.
        """
        session_id = None
        if time.monotonic() >= self._full_until and _may_store():
            try:
                with self._database.unit_of_work(wait_seconds=SHORT_WAIT_SECONDS):
                    session_id = open_anonymous_session(*_client())
            except (OperationalError, PoolTimeout) as error:
                log.warning("an anonymous session could not be written: %s", cause_of(error))
            if session_id is None:
                self._full_until = time.monotonic() + FULL_SECONDS
        session.take(
            session_id or new_stateless_id(self._key),
            user_id=None,
            has_row=session_id is not None,
            is_new=True,
        )

    def _get_store_id(self, sid: str) -> str:
        return session_key(sid).hex()

    def _retrieve_session_data(self, store_id: str) -> dict[str, Any] | None:
        with self._database.unit_of_work(write=False) as opened:
            row = opened.get(SessionRow, bytes.fromhex(store_id))
            return None if row is None else self.serializer.decode(row.state.encode())

    def _delete_session(self, store_id: str) -> None:
        with self._database.unit_of_work():
            end_session(bytes.fromhex(store_id))

    def _upsert_session(
        self, session_lifetime: timedelta, session: WebSession, store_id: str
    ) -> None:
        # The row was inserted when the session was opened, and has its own time of expiry.
        del session_lifetime
        with self._database.unit_of_work():
            change_session(bytes.fromhex(store_id), self.serializer.encode(session).decode())


class JsonOnly(Serializer):  # type: ignore[misc] # the library ships no types
    """Serializes the data of a session as a JSON object; refuses anything else, such as pickles."""

    def encode(self, session: WebSession) -> bytes:
        """Return the session's data as JSON."""
        return encode(dict(session))

    def decode(self, serialized_data: bytes) -> dict[str, Any]:
        """Return the decoded object. Raises `Invalid` for what is not a JSON object."""
        return cast("dict[str, Any]", decode(serialized_data))


def web_session() -> WebSession:
    """Return the session of the current request."""
    return cast("WebSession", flask.session)


def current_session_id() -> str | None:
    """Return the id of the current request's session; None if it has none."""
    return cast("str | None", web_session().sid)


def open_session_for(user: User) -> str:
    """Open a new session for the user and return its id; the session of the request ends.

    Needs a unit of work that writes; if that fails, the session is restored.
    """
    current = web_session()
    current.restore_if_undone()
    if current.key is not None:
        end_session(current.key)
    current.forget()
    session_id = open_user_session(user, *_client())
    current.take(session_id, user_id=user.id, has_row=True, is_new=True)
    return session_id


def renew_anonymous_session() -> bytes:
    """Replace the session by a new anonymous one and return its key.

    Needs a unit of work that writes; if that fails, the session is restored. The key identifies the
    session even if it has no row.
    """
    current = web_session()
    current.restore_if_undone()
    if current.key is not None:
        end_session(current.key)
    current.forget()
    cast("RowSessions", current_app.session_interface).open_anonymous(current)
    return session_key(current.sid or "")


def sign_out() -> None:
    """End the session of the request. Needs a unit of work that writes.

    The caller gets a new anonymous session.
    """
    current = web_session()
    if current.user_id is not None and current.key is not None:
        renew_anonymous_session()


def _presented(route: Declared | None, *, has_parameter: bool) -> tuple[Source, str]:
    is_cookie_only = route is not None and route.is_cookie_only
    if not is_cookie_only:
        if header := request.headers.get(HEADER):
            return Source.HEADER, header
        if has_parameter and (parameter := find_parameter(NAME)):
            return Source.PARAMETER, parameter
    if cookie := request.cookies.get(NAME):
        return Source.COOKIE, cookie
    return Source.NONE, ""


def _may_store() -> bool:
    network = network_of(request.remote_addr or "")
    status = current_limits().take(Limit.ANONYMOUS, network)
    return status is None or not status.wait_seconds


def _client() -> tuple[str, str]:
    return request.user_agent.string, request.remote_addr or ""


def _replace(response: Response, other: Response) -> None:
    response.set_data(other.get_data())
    response.status_code = other.status_code
    response.mimetype = other.mimetype or "text/plain"
    if retry_after := other.headers.get("Retry-After"):
        response.headers["Retry-After"] = retry_after

"""A cache of verified tokens, so that ingestion needs no database for each request."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.clock import now
from anomify.db import Database, session
from anomify.errors import Denied, Unauthenticated, Unavailable
from anomify.org.model import Org
from anomify.org.token import (
    TokensEnded,
    check_address,
    find_token,
    is_token_shaped,
    is_use_noted,
    note_use,
)

log = logging.getLogger(__name__)

# How long a verified token is trusted without the database: a token that another process has
# revoked stays valid for this long at most; one revoked by this process ends at once.
TRUST_SECONDS = 30.0
# How long it is trusted while the database does not answer.
TRUST_WITHOUT_DATABASE_SECONDS = 300.0
# How long requests wait before they try a failing database again.
RETRY_SECONDS = 5.0
REMEMBERED_MAX = 10_000
# How long recording the use of a token waits for other writers.
SHORT_WAIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Holder:
    """The org and the rights of a verified token."""

    org_id: int
    token_name: str
    scopes: frozenset[str]
    # Comma-separated networks from which alone it is valid; empty for all.
    networks: str = ""
    # Since when a bill of its org was overdue when the token was verified.
    overdue_since: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Verified:
    holder: Holder
    verified: float
    verify_again_at: float


class VerifiedTokens:
    """Verifies tokens against the database, and caches valid ones by their hash for a short time.

    May be shared by threads. Tokens that are not valid are never cached.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start with an empty cache; `monotonic` is the clock for its times."""
        self._database = database
        self._monotonic = monotonic
        self._verified: dict[bytes, _Verified] = {}
        # How often tokens were removed; what was read before a removal is not cached after it.
        self._forgotten = 0
        self._lock = threading.Lock()

    def take_notice(self, notice: object) -> None:
        """Remove the tokens of an org when some of them have ended; ignore other notices."""
        if not isinstance(notice, TokensEnded):
            return
        with self._lock:
            self._forgotten += 1
            self._verified = {
                key: verified
                for key, verified in self._verified.items()
                if verified.holder.org_id != notice.org_id
            }

    def holder(self, text: str | None, scope: str, address: str = "") -> Holder:
        """Return the org and the rights of a token.

        Raises `Unauthenticated` for a token that is not valid, `Denied` for one without this scope
        or for another network, and `Unavailable` if it cannot be verified now.
        """
        if not text:
            raise Unauthenticated(
                "No token was sent. Send one of your org's as `Authorization: Bearer`, as the"
                " password of basic auth, as `X-Auth-Token`, or as `key`.",
                code="token_missing",
            )
        if not is_token_shaped(text):
            raise _unknown()
        key = hashlib.sha256(text.encode()).digest()
        found = self._verified.get(key)
        if found is None or found.verify_again_at <= self._monotonic():
            found = self._verify(key, text, found, address)
        ends_at = found.holder.expires_at
        if ends_at is not None and ends_at <= now():
            raise _unknown()
        if scope not in found.holder.scopes:
            raise Denied(
                f"This token does not have the scope {scope}; make one that has.",
                code="scope_missing",
            )
        check_address(found.holder.networks, address)
        return found.holder

    def _verify(self, key: bytes, text: str, before: _Verified | None, address: str) -> _Verified:
        at, forgotten = self._monotonic(), self._forgotten
        try:
            holder = self._find(text, address)
        except (OperationalError, InterfaceError, PoolTimeout) as failure:
            if before is None or at - before.verified > TRUST_WITHOUT_DATABASE_SECONDS:
                raise Unavailable(
                    "Tokens cannot be verified at the moment; send the same again shortly.",
                    retry_after_seconds=int(RETRY_SECONDS),
                ) from failure
            return self._remember(
                key, _Verified(before.holder, before.verified, at + RETRY_SECONDS), forgotten
            )
        if holder is None:
            with self._lock:
                self._verified.pop(key, None)
            raise _unknown()
        return self._remember(key, _Verified(holder, at, at + TRUST_SECONDS), forgotten)

    def _find(self, text: str, address: str) -> Holder | None:
        with self._database.unit_of_work(write=False):
            token = find_token(text)
            org = session().get(Org, token.org_id) if token else None
        if token is None or org is None:
            return None
        if not is_use_noted(token):
            self._note_use(token.id, address)
        scopes = frozenset(token.scopes.split(","))
        return Holder(
            token.org_id,
            token.name,
            scopes,
            token.networks,
            org.overdue_since,
            token.expires_at,
        )

    def _note_use(self, token_id: int, address: str) -> None:
        try:
            with self._database.unit_of_work(wait_seconds=SHORT_WAIT_SECONDS):
                note_use(token_id, address)
        except (OperationalError, InterfaceError, PoolTimeout):
            # The token is valid, so the request goes on.
            log.warning("the last use of a token could not be written")

    def _remember(self, key: bytes, verified: _Verified, forgotten: int) -> _Verified:
        with self._lock:
            if forgotten != self._forgotten:
                return verified
            self._verified[key] = verified
            if len(self._verified) > REMEMBERED_MAX:
                del self._verified[next(iter(self._verified))]
        return verified


def _unknown() -> Unauthenticated:
    return Unauthenticated(
        "This token is not known here: it is mistyped, has expired or was revoked.",
        code="token_invalid",
    )

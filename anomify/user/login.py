"""Signing in: the one place where a password opens something, and how guessing is slowed down."""

import hashlib
import ipaddress
import threading
from collections import OrderedDict, deque
from datetime import datetime, timedelta

from sqlalchemy import update

from anomify.clock import now
from anomify.db import Database, session
from anomify.errors import QuotaExceeded, Unauthenticated
from anomify.user.model import User
from anomify.user.password import hash_password, needs_rehash, verify_password
from anomify.user.queries import find_user_by_email

# The same sentence whoever it is, so that it tells nobody which addresses are known here.
REFUSAL = "The e-mail address or the password is not right."
DELAY_SECONDS_MAX = 60
# The first two tries are free, for people mistype.
FREE_FAILURES = 2
ADDRESS_FAILURES_MAX = 20
ADDRESS_WINDOW = timedelta(minutes=5)
# Both are kept in memory; beyond this the ones longest untouched are forgotten.
REMEMBERED_MAX = 10_000
IPV6_NETWORK_BITS = 64


class LoginGuard:
    """Remembers failed tries by account and by address; may be shared by threads.

    Accounts that do not exist are remembered like those that do, so that waiting tells nothing.
    """

    def __init__(self) -> None:
        """Start with a clean slate."""
        self._accounts: OrderedDict[bytes, tuple[int, datetime]] = OrderedDict()
        self._addresses: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, email: str, address: str) -> None:
        """Raise `QuotaExceeded` with the seconds to wait while this account or address must."""
        moment = now()
        with self._lock:
            failures, failed_at = self._accounts.get(_key(email), (0, moment))
            waits = [failed_at + timedelta(seconds=delay_seconds(failures)) - moment]
            tries = self._addresses.get(network_of(address), deque())
            _forget_old(tries, moment)
            if len(tries) >= ADDRESS_FAILURES_MAX:
                waits.append(tries[0] + ADDRESS_WINDOW - moment)
        seconds = max(waits).total_seconds()
        if seconds > 0:
            raise QuotaExceeded(
                f"Too many failed tries; wait {int(seconds) + 1} seconds.",
                code="too_many_tries",
                retry_after_seconds=int(seconds) + 1,
            )

    def fail(self, email: str, address: str) -> None:
        """Remember a failed try."""
        moment = now()
        with self._lock:
            key, network = _key(email), network_of(address)
            failures, _ = self._accounts.get(key, (0, moment))
            self._accounts[key] = (failures + 1, moment)
            self._accounts.move_to_end(key)
            tries = self._addresses.setdefault(network, deque(maxlen=ADDRESS_FAILURES_MAX))
            tries.append(moment)
            self._addresses.move_to_end(network)
            for remembered in (self._accounts, self._addresses):
                if len(remembered) > REMEMBERED_MAX:
                    remembered.popitem(last=False)

    def succeed(self, email: str) -> None:
        """Forget the failures of an account."""
        with self._lock:
            self._accounts.pop(_key(email), None)


def sign_in_with_password(
    database: Database, guard: LoginGuard, email: str, password: str, address: str
) -> User:
    """Return the user whose address and password these are, read from a unit of work of its own.

    A password that was hashed with less effort than is usual now is hashed anew.

    No unit of work may be open: the slow comparison must not hold a lock. Raises
    `Unauthenticated`, in the same words and after the same work whether the address is known or
    not, and `QuotaExceeded` while the account or the address has to wait.
    """
    folded = email.strip().lower()
    guard.check(folded, address)
    with database.unit_of_work(write=False):
        user = find_user_by_email(folded)
    if not verify_password(user.password_hash if user else None, password) or user is None:
        guard.fail(folded, address)
        raise Unauthenticated(REFUSAL, code="bad_credentials")
    guard.succeed(folded)
    if needs_rehash(user.password_hash):
        fresh_hash = hash_password(password)
        with database.unit_of_work():
            # Not where somebody has set another password meanwhile.
            session().execute(
                update(User)
                .where(User.id == user.id, User.password_hash == user.password_hash)
                .values(password_hash=fresh_hash)
            )
    return user


def delay_seconds(failures: int) -> int:
    """Return how long to wait after so many failures in a row: 0, 0, 1, 2, 4, up to 60 seconds."""
    if failures < FREE_FAILURES:
        return 0
    # Past this the power only grows without being used.
    return min(DELAY_SECONDS_MAX, 1 << min(failures - FREE_FAILURES, 10))


def network_of(address: str) -> str:
    """Return what counts as one address: IPv6 gives each household a /64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))


def _forget_old(tries: deque[datetime], moment: datetime) -> None:
    while tries and tries[0] <= moment - ADDRESS_WINDOW:
        tries.popleft()


def _key(email: str) -> bytes:
    return hashlib.sha256(email.encode(errors="replace")).digest()

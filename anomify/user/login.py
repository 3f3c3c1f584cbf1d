"""Check passwords at sign-in and slow down guessing."""

import hashlib
import ipaddress
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from anomify.clock import now
from anomify.db import Database, session
from anomify.errors import QuotaExceeded, Unauthenticated
from anomify.user.client import is_client_of
from anomify.user.model import SessionRow, User
from anomify.user.password import hash_password, needs_rehash, verify_password
from anomify.user.queries import find_user_by_email

# The same message in all cases, so that it does not reveal which addresses have accounts.
REFUSAL = "The e-mail address or the password is not right."
DELAY_SECONDS_MAX = 60
# The first two failures cause no delay, because people mistype.
FREE_FAILURES = 2
ADDRESS_FAILURES_MAX = 20
ADDRESS_WINDOW = timedelta(minutes=5)
# Failures without delay for all networks of one wide network together, such as an IPv6 /48.
FREE_FAILURES_WIDE = 20
# Failures for one account from this many wide networks within this time are an attack.
BESIEGING_NETWORKS = 50
BESIEGED_FOR = timedelta(hours=1)
UNKNOWN_ORIGIN_WAIT_SECONDS = 30
# Failures are kept in memory; beyond this number the least recently used are deleted.
REMEMBERED_MAX = 50_000
IPV6_NETWORK_BITS = 64
IPV6_WIDE_BITS = 48
# No user has this id.
NO_USER_ID = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a sign-in attempt; delays apply per origin."""

    # The IP address of the request.
    address: str
    # The hash of the client's id, if the user has signed in from that client before.
    known_client: bytes | None = None
    # Whether the user has a session from the same network.
    is_usual: bool = False
    # Whether all origins of the account share one delay: for attempts that need the account's
    # password or a session already.
    is_shared: bool = False

    @property
    def key(self) -> bytes:
        """Return the key of the origin: the known client, or else the network."""
        if self.is_shared:
            return b""
        return self.known_client or network_of(self.address).encode(errors="replace")

    @property
    def is_unknown(self) -> bool:
        """Return whether the user has never signed in from this client or network."""
        return not (self.is_usual or self.is_shared or self.known_client)


class LoginGuard:
    """Counts failed sign-ins by account and origin, and by network; may be shared by threads.

    Failures delay only the network that they came from: for this account, and after many failures
    for all accounts. So nobody can lock out another user, and clients that the user has signed in
    from are never delayed by others. `is_besieged` detects guessing from many networks. Accounts
    that do not exist are counted, too, so that the delay does not reveal which accounts exist.
    """

    def __init__(self) -> None:
        """Start without any recorded failures."""
        self._tries: OrderedDict[bytes, tuple[int, datetime]] = OrderedDict()
        self._addresses: OrderedDict[str, deque[datetime]] = OrderedDict()
        # The wide networks from which each account was failed for, and when last.
        self._sources: OrderedDict[bytes, OrderedDict[str, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, account: str, origin: Origin, *, delays_unknown_origins: bool = False) -> None:
        """Raise `QuotaExceeded` with the seconds to wait if this origin has to.

        With `delays_unknown_origins`, while the account is besieged, a network that the user has
        never signed in from has to wait before its first attempt and after each failure.
        """
        moment = now()
        with self._lock:
            waits = [self._wait(_key(account, origin.key), moment)]
            if origin.is_unknown:
                wide = _wide_key(account, origin.address)
                waits.append(self._wait(wide, moment, FREE_FAILURES_WIDE))
                if delays_unknown_origins and self._is_besieged(account, moment):
                    came_at = self._first_seen(_key(account, b"came" + wide), moment)
                    waits.append(came_at + timedelta(seconds=UNKNOWN_ORIGIN_WAIT_SECONDS) - moment)
            if origin.known_client is None:
                tries = self._addresses.get(network_of(origin.address), deque())
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

    def fail(self, account: str, origin: Origin) -> None:
        """Record a failed attempt."""
        moment = now()
        with self._lock:
            wide = _wide_key(account, origin.address)
            keys = [_key(account, origin.key)]
            if origin.is_unknown:
                keys += [wide, _key(account, b"came" + wide)]
            for key in keys:
                failures, _ = self._tries.get(key, (0, moment))
                self._tries[key] = (failures + 1, moment)
                self._tries.move_to_end(key)
            if origin.known_client is None:
                network = network_of(origin.address)
                tries = self._addresses.setdefault(network, deque(maxlen=ADDRESS_FAILURES_MAX))
                tries.append(moment)
                self._addresses.move_to_end(network)
            sources = self._sources.setdefault(_key(account), OrderedDict())
            wide_network = wide_network_of(origin.address)
            sources[wide_network] = moment
            sources.move_to_end(wide_network)
            if len(sources) > BESIEGING_NETWORKS:
                sources.popitem(last=False)
            self._sources.move_to_end(_key(account))
            for remembered in (self._tries, self._addresses, self._sources):
                while len(remembered) > REMEMBERED_MAX:
                    remembered.popitem(last=False)

    def succeed(self, account: str, origin: Origin) -> None:
        """Delete the failures of this origin for this account; those of other origins stay."""
        with self._lock:
            self._tries.pop(_key(account, origin.key), None)

    def is_besieged(self, account: str) -> bool:
        """Return whether sign-in to the account failed recently from many networks."""
        with self._lock:
            return self._is_besieged(account, now())

    def _is_besieged(self, account: str, moment: datetime) -> bool:
        sources = self._sources.get(_key(account))
        if sources is None or len(sources) < BESIEGING_NETWORKS:
            return False
        return all(failed_at > moment - BESIEGED_FOR for failed_at in sources.values())

    def _wait(self, key: bytes, moment: datetime, free: int = FREE_FAILURES) -> timedelta:
        failures, failed_at = self._tries.get(key, (0, moment))
        return failed_at + timedelta(seconds=delay_seconds(failures, free)) - moment

    def _first_seen(self, key: bytes, moment: datetime) -> datetime:
        """Return when an unknown network was last seen at an account; records it if never."""
        failures, seen_at = self._tries.get(key, (0, moment))
        self._tries[key] = (failures, seen_at)
        return seen_at


def sign_in_with_password(
    database: Database,
    guard: LoginGuard,
    email: str,
    password: str,
    address: str,
    *,
    client_id: str | None = None,
    mails_codes: bool = False,
) -> User:
    """Return the user with this address and password, read in a unit of work of its own.

    A password that was hashed with weaker parameters than the current ones is hashed again.
    `mails_codes` is whether the caller requires a mailed code of unknown origins while the account
    is besieged, so that they need not be delayed.

    No unit of work may be open: the slow comparison must not hold a lock. Raises
    `Unauthenticated`, with the same message and after the same time whether the address has an
    account or not, and `QuotaExceeded` while the caller has to wait.
    """
    folded = email.strip().lower()
    with database.unit_of_work(write=False):
        user = find_user_by_email(folded)
        origin = origin_of(user, address, client_id)
    guard.check(folded, origin, delays_unknown_origins=not mails_codes)
    if not verify_password(user.password_hash if user else None, password) or user is None:
        guard.fail(folded, origin)
        raise Unauthenticated(REFUSAL, code="bad_credentials")
    guard.succeed(folded, origin)
    if needs_rehash(user.password_hash):
        fresh_hash = hash_password(password)
        with database.unit_of_work():
            # Unless the password was changed meanwhile.
            written = session().scalar(
                update(User)
                .where(User.id == user.id, User.password_hash == user.password_hash)
                .values(password_hash=fresh_hash)
                .returning(User.id)
                .execution_options(synchronize_session=False)
            )
        if written is not None:
            user.password_hash = fresh_hash
    return user


def origin_of(user: User | None, address: str, client_id: str | None) -> Origin:
    """Return the origin of an attempt to sign in as this user.

    Needs a unit of work. It takes the same time whether the user exists or not.
    """
    user_id = NO_USER_ID if user is None else user.id
    known = None
    if client_id and is_client_of(user_id, client_id):
        known = hashlib.sha256(client_id.encode(errors="replace")).digest()
    seen = select(SessionRow.address).where(
        SessionRow.user_id == user_id, SessionRow.expires_at > now()
    )
    networks = {network_of(each) for each in session().scalars(seen)}
    return Origin(address, known, is_usual=network_of(address) in networks)


def delay_seconds(failures: int, free: int = FREE_FAILURES) -> int:
    """Return the delay in seconds after this many failures in a row: 0, 0, 1, 2, 4, up to 60."""
    if failures < free:
        return 0
    # Beyond this exponent the delay is at its maximum anyway.
    return min(DELAY_SECONDS_MAX, 1 << min(failures - free, 10))


def network_of(address: str) -> str:
    """Return the network that counts as one address: the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))


def wide_network_of(address: str) -> str:
    """Return the network that one owner may control: an IPv4 address, or the /48 of IPv6."""
    network = network_of(address)
    if ":" not in network:
        return network
    return str(ipaddress.ip_network(network).supernet(new_prefix=IPV6_WIDE_BITS))


def _forget_old(tries: deque[datetime], moment: datetime) -> None:
    while tries and tries[0] <= moment - ADDRESS_WINDOW:
        tries.popleft()


def _key(account: str, origin: bytes = b"") -> bytes:
    named = hashlib.sha256(account.encode(errors="replace")).digest()
    return hashlib.sha256(named + origin).digest()


def _wide_key(account: str, address: str) -> bytes:
    return _key(account, b"wide" + wide_network_of(address).encode(errors="replace"))

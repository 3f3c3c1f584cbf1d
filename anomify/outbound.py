"""Outgoing HTTP and SMTP: deadlines, size limits, no private addresses."""

import http.client
import ipaddress
import logging
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cached_property
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Self
from urllib.parse import quote, urlsplit

import idna
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from anomify.config import Settings
from anomify.errors import UpstreamFailed

log = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# From a host name and a port to the addresses it has; raises OSError when there are none.
Resolver = Callable[[str, int], Iterable[str]]
# From an address and a port, and so many seconds, to a connection.
Connector = Callable[[tuple[str, int], float], socket.socket]

HOST_MAX_CHARACTERS = 253
URL_MAX_CHARACTERS = 2000
# More addresses than this are not tried: each may take the whole connect time.
ADDRESSES_TRIED_MAX = 4
# Look-ups cannot be interrupted; those that outlive their deadline are counted, and bounded.
LOOKUPS_AT_ONCE_MAX = 32
# Databases and the like, which execute commands from any connection.
PORTS_BLOCKED = frozenset({2375, 3306, 5432, 6379, 8500, 9200, 11211, 27017})
FIRST_UNPRIVILEGED_PORT = 1024
SMTP_IMPLICIT_TLS_PORT = 465
SMTP_PERMANENT_CODES_FROM = 500

# Listed: `is_global` of ipaddress is true for several networks that lead to private addresses.
NETWORKS_BLOCKED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # Of IPv6 only 2000::/3 is handed out, less these parts of it.
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
# Where a network has no IPv4, its resolver gives public servers such addresses (RFC 6052).
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# The low halves of addresses that tunnel to the IPv4 address in their last 32 bits (RFC 5214).
ISATAP_MARKS = frozenset({0x0000_5EFE, 0x0200_5EFE})

_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
# Whatever ends in a number is read as an IPv4 address by somebody: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_LOOPBACK = ipaddress.ip_address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may take, and how much of the answer is read."""

    connect_seconds: float = 3
    read_seconds: float = 5
    total_seconds: float = 10
    body_bytes: int = 64 * 1024


# All there is: for addresses that the operator has set, which may lie inside.
EVERYWHERE = ("0.0.0.0/0", "::/0")
# A mail with a picture goes through several turns of talk, but has to end before its lease does.
MAIL_LIMITS = CallLimits(connect_seconds=5, read_seconds=10, total_seconds=30)


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that passed the guard, taken apart once, so that nobody reads it another way."""

    url: str
    scheme: str
    host: str
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What the other side answered; the body is cut at the limit and never decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def system_resolver(host: str, port: int) -> list[str]:
    """Return the addresses that the system resolves a host to, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Outbound:
    """Calls addresses that users have set, so none that lie inside (spec/security.md 5.1)."""

    def __init__(
        self,
        egress_allow: Iterable[str] = (),
        *,
        resolver: Resolver = system_resolver,
        connector: Connector = socket.create_connection,
        limits: CallLimits | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Take the networks that are allowed although they are private."""
        self._allowed: tuple[Network, ...] = tuple(map(ipaddress.ip_network, egress_allow))
        self._resolver = resolver
        self._connector = connector
        self._limits = limits or CallLimits()
        self._given_trust = trust
        self._lookups = threading.BoundedSemaphore(LOOKUPS_AT_ONCE_MAX)

    def check_url(self, url: str) -> Destination:
        """Return the URL taken apart. Raises UpstreamFailed (blocked) when it may not be called.

        Nothing is looked up here: what a name stands for is checked at each call, because it may
        stand for something else by then.
        """
        if len(url) > URL_MAX_CHARACTERS:
            raise _blocked(f"The URL is longer than {URL_MAX_CHARACTERS:,} characters.")
        if _UNSEEN.search(url):
            raise _blocked("The URL holds a space, a backslash or a control character.")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _blocked("The URL cannot be read; write it as https://host/path.") from None
        if parts.scheme not in {"http", "https"}:
            raise _blocked("Only URLs that begin with https:// or http:// can be called.")
        if "@" in parts.netloc:
            raise _blocked("A URL with a user name or password in it cannot be called.")
        port = port if port is not None else (443 if parts.scheme == "https" else 80)
        if port in PORTS_BLOCKED or not (port in {80, 443} or port >= FIRST_UNPRIVILEGED_PORT):
            raise _blocked(
                f"Port {port} cannot be called; use 80, 443, or one from "
                f"{FIRST_UNPRIVILEGED_PORT} that no database usually has."
            )
        host = _ascii_host(parts.hostname or "")
        if (literal := _literal(host)) is not None:
            self._check_address(literal, host)
        elif host == "localhost" or host.endswith(".localhost"):
            self._check_address(_LOOPBACK, host)
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        if parts.query:
            target += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
        shown = f"[{host}]" if ":" in host else host
        return Destination(
            f"{parts.scheme}://{shown}:{port}{target}", parts.scheme, host, port, target
        )

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        """Send a body and return the answer, as `call` does."""
        return self.call("POST", url, body, headers)

    def call(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpReply:
        """Ask for something and return the answer, whatever its status; redirects are not followed.

        Raises UpstreamFailed when there is no answer. Once the status is known the call has
        succeeded: a body that is too long or too slow is cut.
        """
        destination = self.check_url(url)
        deadline = _Deadline(self._limits.total_seconds)
        connection = self._connection(destination, deadline)
        with deadline, _failures(destination.host, deadline):
            try:
                connection.request(
                    method,
                    destination.target,
                    body=body,
                    headers={"User-Agent": "Anomify", **headers},
                    preload_content=False,
                    decode_content=False,
                )
                with closing(connection.getresponse()) as reply:
                    if deadline.is_over:
                        # Headers that the deadline cut short look complete to the library.
                        raise TimeoutError
                    return HttpReply(
                        reply.status,
                        {name.lower(): value for name, value in reply.headers.items()},
                        _read_capped(reply, self._limits.body_bytes),
                    )
            finally:
                connection.close()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        # Reading every authority's certificate takes a while; checking a URL has no need of it.
        return self._given_trust or ssl.create_default_context()

    def _connection(self, destination: Destination, deadline: "_Deadline") -> HTTPConnection:
        def dial() -> socket.socket:
            return self._dial(destination, deadline)

        if destination.scheme == "http":
            return _GuardedHttp(destination.host, destination.port, dial=dial)
        return _GuardedHttps(destination.host, destination.port, dial=dial, ssl_context=self._trust)

    def _dial(self, destination: Destination, deadline: "_Deadline") -> socket.socket:
        """Look up once, refuse when any address is blocked, connect to one that was checked."""
        addresses = self._checked_addresses(destination, deadline)
        failure: OSError | None = None
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            seconds = deadline.at_most(self._limits.connect_seconds)
            try:
                opened = self._connector((str(address), destination.port), seconds)
            except OSError as error:
                failure = error
                continue
            try:
                # Whatever happened between the check and here: this is who really answered.
                peer = ipaddress.ip_address(str(opened.getpeername()[0]))
                self._check_address(peer, destination.host)
                opened.settimeout(self._limits.read_seconds)
                deadline.watch(opened)
            except BaseException:
                opened.close()
                raise
            return opened
        raise failure or OSError("no address")

    def _checked_addresses(self, destination: Destination, deadline: "_Deadline") -> list[Address]:
        literal = _literal(destination.host)
        if literal is not None:
            return [literal]
        addresses = []
        for text in self._look_up(destination, deadline):
            address = _literal(text)
            if address is None:
                raise _blocked(f"{destination.host} has an address that cannot be called.")
            self._check_address(address, destination.host)
            addresses.append(address)
        return addresses

    def _look_up(self, destination: Destination, deadline: "_Deadline") -> list[str]:
        host, port = destination.host, destination.port
        answers: SimpleQueue[list[str] | OSError] = SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(list(self._resolver(host, port)))
            except OSError as error:
                answers.put(error)
            except UnicodeError:
                answers.put(OSError("the name cannot be looked up"))
            finally:
                self._lookups.release()

        if not self._lookups.acquire(timeout=deadline.at_most(self._limits.connect_seconds)):
            raise UpstreamFailed("Too many host names are being looked up.", kind="dns")
        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        try:
            answer = answers.get(timeout=deadline.at_most(self._limits.connect_seconds))
        except Empty:
            raise UpstreamFailed(f"Looking up {host} took too long.", kind="dns") from None
        if isinstance(answer, OSError) or not answer:
            raise UpstreamFailed(f"The host name {host} is not known.", kind="dns")
        return answer

    def _check_address(self, address: Address, host: str) -> None:
        if any(address in network for network in self._allowed):
            return
        if _is_inside(address):
            # The resolved address is left out: the name may be an internal one.
            raise _blocked(
                f"{host} is at a private or reserved address, which is not called. Whoever runs "
                "this server can allow its network with the setting egress_allow."
            )


def host_of(url: str) -> str:
    """Return the host that a URL which passed the guard names."""
    return (urlsplit(url).hostname or "").lower()[:HOST_MAX_CHARACTERS]


def operator_pool() -> urllib3.PoolManager:
    """Return a pool for addresses that the operator or the person at the terminal has named.

    It is free of the guard, not of deadlines; it neither retries nor follows redirects.
    """
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5, read=60), retries=False, num_pools=4
    )


class MailServer:
    """The operator's mail server, as the settings name it; it is exempt from the guard."""

    def __init__(
        self,
        settings: Settings,
        *,
        limits: CallLimits = MAIL_LIMITS,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Take the server, the account and whether to encrypt from the settings."""
        self._settings = settings
        self._limits = limits
        self._given_trust = trust

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return self._given_trust or ssl.create_default_context()

    def send(self, message: EmailMessage) -> None:
        """Hand one mail over. Raises UpstreamFailed unless the server took it."""
        host = self._settings.smtp_host
        if not host:
            raise UpstreamFailed(
                "No mail server is set; set smtp_host to have mails sent.", kind="refused"
            )
        deadline = _Deadline(self._limits.total_seconds)
        with deadline, _failures(host, deadline):
            conversation = self._opened(host, deadline)
            try:
                self._hand_over(conversation, host, message)
            finally:
                conversation.close()

    def _opened(self, host: str, deadline: "_Deadline") -> smtplib.SMTP:
        port, seconds = self._settings.smtp_port, self._limits.read_seconds
        if port == SMTP_IMPLICIT_TLS_PORT:
            return _WatchedSmtpOverTls(host, port, seconds, deadline, self._trust)
        return _WatchedSmtp(host, port, seconds, deadline)

    def _hand_over(self, conversation: smtplib.SMTP, host: str, message: EmailMessage) -> None:
        settings = self._settings
        try:
            if settings.smtp_starttls and settings.smtp_port != SMTP_IMPLICIT_TLS_PORT:
                conversation.starttls(context=self._trust)
            if settings.smtp_user and settings.smtp_password:
                conversation.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            conversation.send_message(message, from_addr=parseaddr(settings.mail_from)[1])
        except smtplib.SMTPNotSupportedError:
            raise UpstreamFailed(
                f"{host} offers no encryption, or no log-in; compare smtp_starttls, smtp_user and "
                "smtp_port with what it supports.",
                kind="tls",
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise UpstreamFailed(
                f"{host} does not take mail for this recipient (code {codes[0]}).",
                kind="status",
                permanent=all(code >= SMTP_PERMANENT_CODES_FROM for code in codes),
            ) from None
        except smtplib.SMTPDataError as error:
            raise UpstreamFailed(
                f"{host} did not take the mail (code {error.smtp_code}).",
                kind="status",
                permanent=error.smtp_code >= SMTP_PERMANENT_CODES_FROM,
            ) from None
        except smtplib.SMTPResponseException as error:
            # The sender or the account: the operator can mend it, and then the mail still goes.
            raise UpstreamFailed(
                f"{host} refused the conversation (code {error.smtp_code}).", kind="status"
            ) from None
        with suppress(smtplib.SMTPException, OSError):
            # The mail is taken; how the goodbye goes changes nothing.
            conversation.quit()


class _Deadline:
    """Ends a conversation at one moment, however the other side stretches it.

    Time-outs of sockets are per read: a byte every few seconds would keep them happy for ever.
    Shutting the connection down is what wakes a read, a write and a TLS handshake alike.
    """

    def __init__(self, seconds: float) -> None:
        self._ends_at = monotonic() + seconds
        self._lever: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self.is_over = False

    def at_most(self, seconds: float) -> float:
        """Return these seconds, or those that are left. Raises TimeoutError when none are."""
        left = self._ends_at - monotonic()
        if left <= 0:
            raise TimeoutError
        return min(seconds, left)

    def watch(self, opened: socket.socket) -> None:
        """Have this connection ended when the time is over."""
        # A copy of the handle: wrapping for TLS takes the original away.
        self._lever = opened.dup()
        self._timer = threading.Timer(max(0.0, self._ends_at - monotonic()), self._end)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            # Joined, so that the lever is not closed under the timer's hand.
            self._timer.join()
        if self._lever is not None:
            self._lever.close()

    def _end(self) -> None:
        self.is_over = True
        if self._lever is not None:
            with suppress(OSError):
                self._lever.shutdown(socket.SHUT_RDWR)


class _GuardedHttp(HTTPConnection):
    def __init__(self, host: str, port: int, *, dial: Callable[[], socket.socket]) -> None:
        super().__init__(host, port)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return _dialled(self, self._dial)


class _GuardedHttps(HTTPSConnection):
    def __init__(
        self,
        host: str,
        port: int,
        *,
        dial: Callable[[], socket.socket],
        ssl_context: ssl.SSLContext,
    ) -> None:
        super().__init__(host, port, ssl_context=ssl_context)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return _dialled(self, self._dial)


def _dialled(connection: HTTPConnection, dial: Callable[[], socket.socket]) -> socket.socket:
    opened = dial()
    # The library sets this again before it reads the answer.
    connection.timeout = opened.gettimeout()
    return opened


class _WatchedSmtp(smtplib.SMTP):
    def __init__(self, host: str, port: int, seconds: float, deadline: _Deadline) -> None:
        self._deadline = deadline
        super().__init__(host, port, timeout=seconds)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        opened = socket.create_connection((host, port), timeout)
        self._deadline.watch(opened)
        return opened


class _WatchedSmtpOverTls(smtplib.SMTP_SSL):
    def __init__(
        self, host: str, port: int, seconds: float, deadline: _Deadline, trust: ssl.SSLContext
    ) -> None:
        self._deadline = deadline
        super().__init__(host, port, timeout=seconds, context=trust)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        opened = socket.create_connection((host, port), timeout)
        self._deadline.watch(opened)
        return self.context.wrap_socket(opened, server_hostname=host)


@contextmanager
def _failures(host: str, deadline: _Deadline) -> Iterator[None]:
    """Turn what can go wrong on the way into UpstreamFailed, each with its own name."""
    try:
        yield
    except UpstreamFailed:
        raise
    except (OSError, http.client.HTTPException, HTTPError, smtplib.SMTPException) as error:
        kind, sentence = _named(error, host, is_late=deadline.is_over)
        log.debug("calling %s failed: %r", host, error)
        raise UpstreamFailed(sentence, kind=kind) from None


def _named(error: Exception, host: str, *, is_late: bool) -> tuple[str, str]:
    if is_late or isinstance(error, TimeoutError):
        return "timeout", f"{host} took too long to answer."
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls", f"The certificate of {host} is not valid: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return "tls", f"No encrypted connection to {host} could be made."
    if isinstance(error, http.client.LineTooLong) or (
        isinstance(error, http.client.HTTPException) and "got more than" in str(error)
    ):
        return "too_large", f"{host} answered with headers that are too large."
    if isinstance(error, socket.gaierror):
        return "dns", f"The host name {host} is not known."
    if isinstance(error, smtplib.SMTPServerDisconnected) and "timed out" in str(error):
        # The library raises the same error for both; only its text differs.
        return "timeout", f"{host} took too long to answer."
    if isinstance(error, ConnectionResetError | BrokenPipeError | smtplib.SMTPServerDisconnected):
        return "refused", f"{host} closed the connection without an answer."
    if isinstance(error, http.client.HTTPException | smtplib.SMTPException):
        return "status", f"{host} answered something that cannot be understood."
    return "refused", f"{host} does not take connections."


def _read_capped(reply: BaseHTTPResponse, most: int) -> bytes:
    read = b""
    try:
        while len(read) < most and (piece := reply.read(most - len(read), decode_content=False)):
            read += piece
    except (OSError, http.client.HTTPException, HTTPError):
        # The status has come; the rest is for curiosity.
        return read
    return read


def _ascii_host(host: str) -> str:
    host = host.lower().removesuffix(".")
    if ":" in host:
        if _literal(host) is None:
            raise _blocked("The IPv6 address in the URL cannot be read.")
        return host
    if not host.isascii() or "xn--" in host:
        try:
            host = idna.encode(host, strict=True, std3_rules=True).decode()
        except idna.IDNAError:
            raise _blocked("The host name holds characters that host names do not have.") from None
    if len(host) > HOST_MAX_CHARACTERS:
        raise _blocked(f"The host name is longer than {HOST_MAX_CHARACTERS} characters.")
    labels = host.split(".")
    if _NUMBER.match(labels[-1]) and _literal(host) is None:
        raise _blocked("Write the address as four numbers from 0 to 255 with dots between them.")
    if not all(map(_LABEL.match, labels)):
        raise _blocked("The host name in the URL cannot be read.")
    return host


def _literal(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # With a zone, as in fe80::1%eth0, an address is about this machine's wires.
    return None if getattr(address, "scope_id", None) else address


def _is_inside(address: Address) -> bool:
    """Return whether an address, or the IPv4 address that it leads to, is private or reserved."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if address in NAT64:
            return _is_inside(embedded)
        if int(address) >> 32 & 0xFFFF_FFFF in ISATAP_MARKS and _is_inside(embedded):
            return True
    return any(address in network for network in NETWORKS_BLOCKED)


def _blocked(sentence: str) -> UpstreamFailed:
    return UpstreamFailed(sentence, kind="blocked", permanent=True)

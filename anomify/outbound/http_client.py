"""Outgoing HTTP: each call is checked by the address guard and has a deadline."""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from queue import Empty, SimpleQueue

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from anomify.errors import UpstreamFailed
from anomify.outbound.address_guard import (
    Address,
    AddressGuard,
    Destination,
    blocked,
    parse_address,
)
from anomify.outbound.deadline import CallLimits, Deadline
from anomify.outbound.failures import upstream_failures
from anomify.outbound.recording import Exchange, note_exchange

# From a host name and a port to the addresses it has; raises OSError when there are none.
Resolver = Callable[[str, int], Iterable[str]]
# From an address, a port and a time-out in seconds to a connection.
Connector = Callable[[tuple[str, int], float], socket.socket]

# More addresses than this are not tried: each may take the whole connect time.
ADDRESSES_TRIED_MAX = 4
# Look-ups cannot be interrupted; those that still run after their deadline count here, too.
LOOKUPS_AT_ONCE_MAX = 32
# All networks: for addresses that the operator has set, which may be private.
EVERYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class HttpReply:
    """The reply of the server; the body is cut at the limit and never decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def system_resolver(host: str, port: int) -> list[str]:
    """Return the addresses that the system resolves a host to, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Outbound:
    """Calls URLs that users have set; refuses private addresses (spec/security.md 5.1)."""

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
        self._guard = AddressGuard(egress_allow)
        self._resolver = resolver
        self._connector = connector
        self._limits = limits or CallLimits()
        self._given_trust = trust
        self._lookups = threading.BoundedSemaphore(LOOKUPS_AT_ONCE_MAX)

    def check_url(self, url: str) -> Destination:
        """Return the parts of the URL, as `AddressGuard.check_url` does."""
        return self._guard.check_url(url)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        """Send a body and return the reply, as `call` does."""
        return self.call("POST", url, body, headers)

    def call(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpReply:
        """Send a request and return the reply, whatever its status; redirects are not followed.

        Raises UpstreamFailed when there is no reply. Once the status is known the call has
        succeeded: a body that is too long or too slow is cut.
        """
        destination = self.check_url(url)
        deadline = Deadline(self._limits.total_seconds)
        connection = self._connection(destination, deadline)
        exchange = note_exchange(
            Exchange(method, destination.host, headers.get("Content-Type", ""), body or b"")
        )
        with deadline, upstream_failures(destination.host, deadline):
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
                    exchange.status = reply.status
                    exchange.answer = _read_capped(reply, self._limits.body_bytes)
                    return HttpReply(
                        reply.status,
                        {name.lower(): value for name, value in reply.headers.items()},
                        exchange.answer,
                    )
            finally:
                connection.close()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        # Loading all certificates is slow, and checking a URL does not need them.
        return self._given_trust or ssl.create_default_context()

    def _connection(self, destination: Destination, deadline: Deadline) -> HTTPConnection:
        def dial() -> socket.socket:
            return self._dial(destination, deadline)

        if destination.scheme == "http":
            return _GuardedHttp(destination.host, destination.port, dial=dial)
        return _GuardedHttps(destination.host, destination.port, dial=dial, ssl_context=self._trust)

    def _dial(self, destination: Destination, deadline: Deadline) -> socket.socket:
        """Resolve the host once, refuse when any address is blocked, connect to a checked one."""
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
                # Check the address of the other end, too, in case a connector went elsewhere.
                peer = ipaddress.ip_address(str(opened.getpeername()[0]))
                self._guard.check_address(peer, destination.host)
                opened.settimeout(self._limits.read_seconds)
                deadline.watch(opened)
            except BaseException:
                opened.close()
                raise
            return opened
        raise failure or OSError("no address")

    def _checked_addresses(self, destination: Destination, deadline: Deadline) -> list[Address]:
        literal = parse_address(destination.host)
        if literal is not None:
            return [literal]
        addresses = []
        for text in self._look_up(destination, deadline):
            address = parse_address(text)
            if address is None:
                raise blocked(f"{destination.host} has an address that cannot be called.")
            self._guard.check_address(address, destination.host)
            addresses.append(address)
        return addresses

    def _look_up(self, destination: Destination, deadline: Deadline) -> list[str]:
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


def operator_pool() -> urllib3.PoolManager:
    """Return a pool for addresses that the operator or the user of the command line has given.

    It has no address guard, but time-outs; it neither retries nor follows redirects.
    """
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5, read=60), retries=False, num_pools=4
    )


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
    # The library sets this time-out on the socket again before it reads the reply.
    connection.timeout = opened.gettimeout()
    return opened


def _read_capped(reply: BaseHTTPResponse, most: int) -> bytes:
    read = b""
    try:
        while len(read) < most and (piece := reply.read(most - len(read), decode_content=False)):
            read += piece
    except (OSError, http.client.HTTPException, HTTPError):
        # The status decides what happens next; the body is only shown.
        return read
    return read

"""Checks URLs and addresses: private ones are refused unless the operator allows them."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import idna

from anomify.errors import UpstreamFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HOST_MAX_CHARACTERS = 253
URL_MAX_CHARACTERS = 2000
# Ports of databases and similar services, which execute commands from any connection.
PORTS_BLOCKED = frozenset({2375, 3306, 5432, 6379, 8500, 9200, 11211, 27017})
FIRST_UNPRIVILEGED_PORT = 1024

# A list of our own: `is_global` of ipaddress is true for several networks that lead to private
# addresses.
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
        # Of IPv6 only 2000::/3 is allocated, except these parts of it.
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
# Some programs read every host that ends in a number as IPv4: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_LOOPBACK = ipaddress.ip_address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class Destination:
    """The parts of a URL that passed the guard; the call uses these and parses no URL again."""

    url: str
    scheme: str
    host: str
    port: int
    target: str


class AddressGuard:
    """Refuses URLs and addresses that lead to private or reserved networks."""

    def __init__(self, egress_allow: Iterable[str] = ()) -> None:
        """Take the networks that are allowed although they are private."""
        self._allowed: tuple[Network, ...] = tuple(map(ipaddress.ip_network, egress_allow))

    def check_url(self, url: str) -> Destination:
        """Return the parts of the URL. Raises UpstreamFailed (blocked) when it may not be called.

        Host names are not resolved here: the addresses of a name are checked at each call, because
        they can change.
        """
        if len(url) > URL_MAX_CHARACTERS:
            raise blocked(f"The URL is longer than {URL_MAX_CHARACTERS:,} characters.")
        if _UNSEEN.search(url):
            raise blocked("The URL holds a space, a backslash or a control character.")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise blocked("The URL cannot be read; write it as https://host/path.") from None
        if parts.scheme not in {"http", "https"}:
            raise blocked("Only URLs that begin with https:// or http:// can be called.")
        if "@" in parts.netloc:
            raise blocked("A URL with a user name or password in it cannot be called.")
        port = port if port is not None else (443 if parts.scheme == "https" else 80)
        if port in PORTS_BLOCKED or not (port in {80, 443} or port >= FIRST_UNPRIVILEGED_PORT):
            raise blocked(
                f"Port {port} cannot be called; use 80, 443, or one from "
                f"{FIRST_UNPRIVILEGED_PORT} that no database usually has."
            )
        host = _ascii_host(parts.hostname or "")
        if (literal := parse_address(host)) is not None:
            self.check_address(literal, host)
        elif host == "localhost" or host.endswith(".localhost"):
            self.check_address(_LOOPBACK, host)
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        if parts.query:
            target += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
        shown = f"[{host}]" if ":" in host else host
        return Destination(
            f"{parts.scheme}://{shown}:{port}{target}", parts.scheme, host, port, target
        )

    def check_address(self, address: Address, host: str) -> None:
        """Raise UpstreamFailed (blocked) when an address of this host may not be called."""
        if any(address in network for network in self._allowed):
            return
        if _is_inside(address):
            # The resolved address is left out: the name may be an internal one.
            raise blocked(
                f"{host} is at a private or reserved address, which is not called. The "
                "operator of this server can allow its network with the setting egress_allow."
            )


def host_of(url: str) -> str:
    """Return the host that a URL which passed the guard names."""
    return (urlsplit(url).hostname or "").lower()[:HOST_MAX_CHARACTERS]


def _ascii_host(host: str) -> str:
    host = host.lower().removesuffix(".")
    if ":" in host:
        if parse_address(host) is None:
            raise blocked("The IPv6 address in the URL cannot be read.")
        return host
    if not host.isascii() or "xn--" in host:
        try:
            host = idna.encode(host, strict=True, std3_rules=True).decode()
        except idna.IDNAError:
            raise blocked("The host name holds characters that host names do not have.") from None
    if len(host) > HOST_MAX_CHARACTERS:
        raise blocked(f"The host name is longer than {HOST_MAX_CHARACTERS} characters.")
    labels = host.split(".")
    if _NUMBER.match(labels[-1]) and parse_address(host) is None:
        raise blocked("Write the address as four numbers from 0 to 255 with dots between them.")
    if not all(map(_LABEL.match, labels)):
        raise blocked("The host name in the URL cannot be read.")
    return host


def parse_address(text: str) -> Address | None:
    """Return the IP address that a text holds, or None where it holds none or one with a zone."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # An address with a zone, such as fe80::1%eth0, is only valid on one link of this machine.
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


def blocked(sentence: str) -> UpstreamFailed:
    """Return the error for a URL or address that may not be called; retrying cannot help."""
    return UpstreamFailed(sentence, kind="blocked", permanent=True)

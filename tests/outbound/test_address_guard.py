"""Every way to write a private address (security.md 5.1) is refused."""

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.errors import UpstreamFailed
from anomify.outbound.address_guard import NETWORKS_BLOCKED, host_of
from anomify.outbound.http_client import Outbound
from tests.kit.resolver import Resolver

LOOPBACK = ("127.0.0.0/8", "::1/128")


def in_parts(address: ipaddress.IPv4Address, count: int, write: str) -> str:
    """Return an address in `count` numbers; the last one holds the remaining octets."""
    octets = list(address.packed)
    numbers = [*octets[: count - 1], int.from_bytes(octets[count - 1 :], "big")]
    return ".".join(format(number, write) for number in numbers)


def in_hex(address: ipaddress.IPv4Address) -> str:
    """Return it as the last two groups of an IPv6 address."""
    return f"{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"


def embedded(form: str) -> Callable[[ipaddress.IPv4Address], str]:
    """Return a function that writes an IPv4 address inside an IPv6 address."""

    def written(address: ipaddress.IPv4Address) -> str:
        flipped = ipaddress.IPv4Address(int(address) ^ 0xFFFF_FFFF)
        parts = {"dotted": address, "hexed": in_hex(address), "flipped": in_hex(flipped)}
        return f"[{form.format(**parts)}]"

    return written


def assert_blocked(address: ipaddress.IPv4Address) -> None:
    """Fail unless the address is refused in every spelling, in URLs and as a resolved address."""
    for spelling in SPELLINGS:
        host = spelling(address)
        with pytest.raises(UpstreamFailed) as refusal:
            Outbound().check_url(f"http://{host}/")
        assert refusal.value.kind == "blocked", host
        if host.startswith("["):
            found = ipaddress.ip_address(host[1:-1])
            with pytest.raises(UpstreamFailed):
                Outbound(resolver=Resolver([str(found)])).post("http://a.example/", b"", {})


SPELLINGS = [
    str,
    lambda address: f"{address}.",
    lambda address: str(address).replace(".", "。"),
    lambda address: str(address).translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
    *(
        lambda address, count=count, write=write: in_parts(address, count, write)
        for count in (1, 2, 3, 4)
        for write in ("d", "#x", "#X", "04o", "012o")
    ),
    *(
        embedded(form)
        for form in (
            "::{dotted}",
            "::{hexed}",
            "::ffff:{dotted}",
            "::FFFF:{hexed}",
            "0:0:0:0:0:ffff:{hexed}",
            "::ffff:0:{dotted}",
            "::ffff:0:{hexed}",
            "::ffff:0:0:{dotted}",
            "::1:{dotted}",
            "64:ff9b::{dotted}",
            "64:FF9B::{hexed}",
            "64:ff9b:1::{dotted}",
            "64:ff9b:1:ffff:1:2:{hexed}",
            "64:ff9b:1234::{dotted}",
            "2002:{hexed}::",
            "2002:{hexed}::1",
            "2002:{hexed}:1:2:3:4:5",
            "2001:0:{hexed}:0:0:5db8:d822",
            "2001:0:5db8:d822:0:0:{flipped}",
            "2606:4700::5efe:{dotted}",
            "2606:4700::5efe:{hexed}",
            "2606:4700:0:1:200:5efe:{dotted}",
            "fe80::5efe:{dotted}",
            "::ffff:{dotted}%25eth0",
            "64:ff9b::{dotted}%25lo",
        )
    ),
]


class TestCheckUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://0/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://①②⑦.0.0.1/",
            "http://127。0。0。1/",
            "http://169.254.169.254/latest/",
            "http://[fd00:ec2::254]/latest/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[64:ff9b:1::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1%25eth0]/",
            "http://10.0.0.1/",
            "http://100.64.0.1/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://192.0.0.9/",
            "http://192.88.99.1/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "ftp://example.com/",
            "//example.com/",
            "example.com",
            "",
            "http://",
            "http:///path",
            "http://user@example.com/",
            "http://user:word@example.com/",
            "http://@example.com/",
            "http://example.com\\@127.0.0.1/",
            "http://exa mple.com/",
            "http://example.com/a\r\nX-Injected: 1",
            "http://example.com:22/",
            "http://example.com:6379/",
            "http://example.com:2375/",
            "http://example.com:0/",
            "http://example.com:99999/",
            "http://example.com:x/",
            "http://exa_mple-.com/",
            "http://-example.com/",
            "http://a..b/",
            "http://xn--a/",
            f"http://{'a.' * 130}com/",
            f"http://example.com/{'a' * 2000}",
            "http://[::1/",
        ],
    )
    def test_blocks(self, url: str) -> None:
        with pytest.raises(UpstreamFailed) as refusal:
            Outbound().check_url(url)

        assert (refusal.value.kind, refusal.value.permanent) == ("blocked", True)

    @pytest.mark.parametrize(
        ("url", "host", "port", "target"),
        [
            ("https://example.com", "example.com", 443, "/"),
            ("http://Example.COM.:8080/a/b?c=d", "example.com", 8080, "/a/b?c=d"),
            ("https://bücher.example/grüße?q=ä", "xn--bcher-kva.example", 443, None),
            ("https://93.184.216.34/%2F", "93.184.216.34", 443, "/%2F"),
            ("https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443, "/"),
            ("http://my_receiver:9000/", "my_receiver", 9000, "/"),
        ],
    )
    def test_returns_the_parts_of_public_urls(
        self, url: str, host: str, port: int, target: str | None
    ) -> None:
        destination = Outbound().check_url(url)

        assert (destination.host, destination.port) == (host, port)
        assert destination.target == (target or "/gr%C3%BC%C3%9Fe?q=%C3%A4")
        assert destination.url.isascii()

    def test_a_refusal_names_the_setting_that_would_allow_it(self) -> None:
        with pytest.raises(UpstreamFailed, match="egress_allow"):
            Outbound().check_url("http://10.2.0.7/")

    def test_allows_only_the_networks_that_the_operator_allows(self) -> None:
        outbound = Outbound(["10.2.0.0/16"])

        assert outbound.check_url("http://10.2.0.7/").host == "10.2.0.7"
        with pytest.raises(UpstreamFailed):
            outbound.check_url("http://10.3.0.7/")

    def test_an_allowed_address_is_blocked_in_other_spellings(self) -> None:
        outbound = Outbound(LOOPBACK)

        for url in ("http://0x7f.1/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/"):
            with pytest.raises(UpstreamFailed):
                outbound.check_url(url)

    def test_blocks_the_first_and_last_address_of_each_blocked_network(self) -> None:
        for network in NETWORKS_BLOCKED:
            for address in (network.network_address, network.broadcast_address):
                shown = f"[{address}]" if address.version == 6 else str(address)
                with pytest.raises(UpstreamFailed):
                    Outbound().check_url(f"http://{shown}/")

    def test_blocks_every_spelling_of_the_first_and_last_private_addresses(self) -> None:
        for network in NETWORKS_BLOCKED:
            if network.version == 4:
                for address in (network.network_address, network.broadcast_address):
                    assert_blocked(address)

    @settings(deadline=None, max_examples=20)
    @given(st.data())
    def test_blocks_every_spelling_of_any_private_address(self, data: st.DataObject) -> None:
        networks = [network for network in NETWORKS_BLOCKED if network.version == 4]
        network = data.draw(st.sampled_from(networks))
        first, last = int(network.network_address), int(network.broadcast_address)
        assert_blocked(ipaddress.IPv4Address(data.draw(st.integers(first, last))))

    def test_allows_public_addresses_embedded_in_nat64_and_isatap_addresses(self) -> None:
        assert Outbound().check_url("http://[64:ff9b::93.184.216.34]/")
        assert Outbound().check_url("http://[2606:4700::5efe:5db8:d822]/")


class TestHostOf:
    def test_ignores_case_port_and_path(self) -> None:
        assert host_of("https://Hooks.Example:443/a") == host_of("https://hooks.example/b")

"""The guard is asked everything that security.md 5.1 lists, with an injected resolver."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound import (
    LOOKUPS_AT_ONCE_MAX,
    NETWORKS_BLOCKED,
    CallLimits,
    MailServer,
    Outbound,
    host_of,
    operator_pool,
)
from tests.kit.certificates import Authority
from tests.kit.receiver import Answer, Wire, receiving
from tests.kit.smtpsink import smtp_sink

LOOPBACK = ("127.0.0.0/8", "::1/128")
# The total is what ends a call here; nothing waits for it but the tarpits.
SHORT = CallLimits(connect_seconds=1, read_seconds=2, total_seconds=0.3)
METADATA = "http://169.254.169.254/latest/meta-data/"


def in_parts(address: ipaddress.IPv4Address, count: int, write: str) -> str:
    """Write an address in so many numbers, the last of which holds what is left."""
    octets = list(address.packed)
    numbers = [*octets[: count - 1], int.from_bytes(octets[count - 1 :], "big")]
    return ".".join(format(number, write) for number in numbers)


def in_hex(address: ipaddress.IPv4Address) -> str:
    """Write it as the last two groups of an IPv6 address."""
    return f"{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"


def embedded(form: str) -> Callable[[ipaddress.IPv4Address], str]:
    """Give a way to write an address inside an IPv6 address."""

    def written(address: ipaddress.IPv4Address) -> str:
        flipped = ipaddress.IPv4Address(int(address) ^ 0xFFFF_FFFF)
        parts = {"dotted": address, "hexed": in_hex(address), "flipped": in_hex(flipped)}
        return f"[{form.format(**parts)}]"

    return written


def assert_blocked(address: ipaddress.IPv4Address) -> None:
    """Neither a URL nor the answer of a resolver may name it, however it is written."""
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


class Resolver:
    """Answers look-ups with what it is told, and counts them."""

    def __init__(self, *answers: Iterable[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int) -> Iterable[str]:
        self.asked.append(host)
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "nobody knows")
        return answer


def refused_kind(outbound: Outbound, url: str) -> str:
    with pytest.raises(UpstreamFailed) as refusal:
        outbound.post(url, b"{}", {})
    return refusal.value.kind


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


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
    def test_takes_public_urls_apart(
        self, url: str, host: str, port: int, target: str | None
    ) -> None:
        destination = Outbound().check_url(url)

        assert (destination.host, destination.port) == (host, port)
        assert destination.target == (target or "/gr%C3%BC%C3%9Fe?q=%C3%A4")
        assert destination.url.isascii()

    def test_a_refusal_names_the_setting_that_would_allow_it(self) -> None:
        with pytest.raises(UpstreamFailed, match="egress_allow"):
            Outbound().check_url("http://10.2.0.7/")

    def test_allows_what_the_operator_allows_and_nothing_beside(self) -> None:
        outbound = Outbound(["10.2.0.0/16"])

        assert outbound.check_url("http://10.2.0.7/").host == "10.2.0.7"
        with pytest.raises(UpstreamFailed):
            outbound.check_url("http://10.3.0.7/")

    def test_allowing_an_address_does_not_allow_its_disguises(self) -> None:
        outbound = Outbound(LOOPBACK)

        for url in ("http://0x7f.1/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/"):
            with pytest.raises(UpstreamFailed):
                outbound.check_url(url)

    def test_every_blocked_network_is_blocked_from_end_to_end(self) -> None:
        for network in NETWORKS_BLOCKED:
            for address in (network.network_address, network.broadcast_address):
                shown = f"[{address}]" if address.version == 6 else str(address)
                with pytest.raises(UpstreamFailed):
                    Outbound().check_url(f"http://{shown}/")

    def test_blocks_every_spelling_of_an_address_inside(self) -> None:
        for network in NETWORKS_BLOCKED:
            if network.version == 4:
                for address in (network.network_address, network.broadcast_address):
                    assert_blocked(address)

    @settings(deadline=None, max_examples=20)
    @given(st.data())
    def test_blocks_every_spelling_of_any_address_inside(self, data: st.DataObject) -> None:
        networks = [network for network in NETWORKS_BLOCKED if network.version == 4]
        network = data.draw(st.sampled_from(networks))
        first, last = int(network.network_address), int(network.broadcast_address)
        assert_blocked(ipaddress.IPv4Address(data.draw(st.integers(first, last))))

    def test_calls_public_servers_through_the_address_translation_of_their_network(self) -> None:
        assert Outbound().check_url("http://[64:ff9b::93.184.216.34]/")
        assert Outbound().check_url("http://[2606:4700::5efe:5db8:d822]/")


class TestPost:
    def test_sends_to_the_address_that_was_checked(self) -> None:
        resolver = Resolver(["127.0.0.1"])
        with receiving(Answer(202, {"X-Said": "yes"}, b"thanks")) as receiver:
            reply = Outbound(LOOPBACK, resolver=resolver).post(
                f"http://hooks.example:{receiver.port}/in?a=b", b"{}", {"X-Mine": "1"}
            )

        assert (reply.status, reply.headers["x-said"], reply.body) == (202, "yes", b"thanks")
        assert resolver.asked == ["hooks.example"]
        assert receiver.paths == ["/in?a=b"]
        assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"
        assert receiver.received[0].headers["x-mine"] == "1"

    def test_a_name_that_stands_for_something_inside_is_blocked(self) -> None:
        assert refused_kind(Outbound(resolver=Resolver(["10.0.0.1"])), "http://a.example/") == (
            "blocked"
        )

    def test_does_not_tell_what_a_name_stands_for(self) -> None:
        with pytest.raises(UpstreamFailed) as refusal:
            Outbound(resolver=Resolver(["10.1.2.3"])).post("http://db.inside/", b"", {})

        assert "10.1.2.3" not in refusal.value.message

    def test_one_blocked_address_among_public_ones_blocks_all(self) -> None:
        resolver = Resolver(["93.184.216.34", "127.0.0.1"])

        assert refused_kind(Outbound(resolver=resolver), "http://mixed.example/") == "blocked"

    def test_looks_up_again_each_time_so_that_rebinding_gains_nothing(self) -> None:
        resolver = Resolver(["127.0.0.1"], ["10.0.0.1"])
        with receiving() as receiver:
            outbound = Outbound(["127.0.0.0/8"], resolver=resolver)
            url = f"http://rebinding.example:{receiver.port}/"
            assert outbound.post(url, b"", {}).status == 204
            assert refused_kind(outbound, url) == "blocked"

        assert len(resolver.asked) == 2
        assert len(receiver.received) == 1

    def test_checks_once_more_who_really_answered(self) -> None:
        def astray(_: tuple[str, int], seconds: float) -> socket.socket:
            return socket.create_connection(("127.0.0.1", receiver.port), seconds)

        with receiving() as receiver:
            outbound = Outbound(resolver=Resolver(["93.184.216.34"]), connector=astray)
            assert refused_kind(outbound, "http://public.example/") == "blocked"
            assert receiver.received == []

    def test_what_the_resolver_makes_up_is_blocked(self) -> None:
        for answer in ("not an address", "fe80::1%lo"):
            assert refused_kind(Outbound(resolver=Resolver([answer])), "http://a.example/") == (
                "blocked"
            )

    def test_tries_the_next_address_when_one_does_not_answer(self) -> None:
        with receiving() as receiver:
            outbound = Outbound(LOOPBACK, resolver=Resolver(["::1", "127.0.0.1"]))
            reply = outbound.post(f"http://two.example:{receiver.port}/", b"", {})

        assert reply.status == 204

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_does_not_follow_redirects(self, status: int) -> None:
        with receiving(Answer(status, {"Location": METADATA})) as receiver:
            reply = Outbound(LOOPBACK).post(receiver.url, b"{}", {})

        assert reply.status == status
        assert len(receiver.received) == 1

    def test_ignores_proxies_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with receiving() as proxy, receiving() as receiver:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            Outbound(LOOPBACK).post(receiver.url, b"{}", {})

        assert (len(proxy.received), len(receiver.received)) == (0, 1)

    def test_reads_no_more_of_a_huge_body_than_the_limit(self) -> None:
        with receiving(Answer(200, body=b"x" * 10_000_000)) as receiver:
            reply = Outbound(LOOPBACK).post(receiver.url, b"{}", {})

        assert (reply.status, len(reply.body)) == (200, 64 * 1024)

    def test_does_not_decompress(self) -> None:
        answer = Answer(200, {"Content-Encoding": "gzip"}, b"not gzip at all")
        with receiving(answer) as receiver:
            reply = Outbound(LOOPBACK).post(receiver.url, b"{}", {})

        assert reply.body == b"not gzip at all"
        assert receiver.received[0].headers["accept-encoding"] == "identity"

    def test_gives_up_on_a_receiver_that_says_nothing(self) -> None:
        def keep_still(wire: Wire) -> None:
            wire.closing.wait()

        with receiving(Answer(instead=keep_still)) as receiver:
            outbound = Outbound(LOOPBACK, limits=CallLimits(1, 0.1, 5))
            assert refused_kind(outbound, receiver.url) == "timeout"

    def test_gives_up_on_a_receiver_that_drips_headers(self) -> None:
        def drip(wire: Wire) -> None:
            wire.drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"z")

        with receiving(Answer(instead=drip)) as receiver:
            assert refused_kind(Outbound(LOOPBACK, limits=SHORT), receiver.url) == "timeout"

    def test_gives_up_on_a_receiver_that_says_wait_for_ever(self) -> None:
        def drip(wire: Wire) -> None:
            wire.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")

        with receiving(Answer(instead=drip)) as receiver:
            assert refused_kind(Outbound(LOOPBACK, limits=SHORT), receiver.url) == "timeout"

    def test_takes_the_status_of_a_reply_whose_body_drips(self) -> None:
        def drip(wire: Wire) -> None:
            wire.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n", b"z")

        with receiving(Answer(instead=drip)) as receiver:
            reply = Outbound(LOOPBACK, limits=SHORT).post(receiver.url, b"{}", {})

        assert reply.status == 200
        assert len(reply.body) < 10_000

    def test_gives_up_on_a_server_that_never_finishes_its_handshake(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
            assert refused_kind(Outbound(LOOPBACK, limits=SHORT), url) == "timeout"

    def test_gives_up_on_a_look_up_that_takes_too_long(self) -> None:
        over = threading.Event()

        def look_up(host: str, port: int) -> list[str]:
            over.wait()
            return []

        outbound = Outbound(resolver=look_up, limits=CallLimits(0.05, 1, 1))
        assert refused_kind(outbound, "http://slow.example/") == "dns"
        over.set()

    def test_bounds_the_look_ups_that_hang(self) -> None:
        over, asked = threading.Event(), threading.Semaphore(0)

        def look_up(host: str, port: int) -> list[str]:
            asked.release()
            over.wait()
            return []

        outbound = Outbound(resolver=look_up, limits=CallLimits(0.001, 1, 1))
        for _ in range(LOOKUPS_AT_ONCE_MAX + 5):
            assert refused_kind(outbound, "http://slow.example/") == "dns"
        for _ in range(LOOKUPS_AT_ONCE_MAX):
            asked.acquire()
        assert not asked.acquire(blocking=False)
        over.set()

    def test_names_a_host_that_is_not_known(self) -> None:
        assert refused_kind(Outbound(resolver=Resolver([])), "http://nobody.example/") == "dns"

    def test_names_a_port_that_nobody_listens_on(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        assert refused_kind(Outbound(LOOPBACK), f"http://127.0.0.1:{port}/") == "refused"

    def test_names_a_connection_that_is_closed_without_an_answer(self) -> None:
        with receiving(Answer(instead=lambda _: None)) as receiver:
            assert refused_kind(Outbound(LOOPBACK), receiver.url) == "refused"

    def test_names_headers_that_are_too_large(self) -> None:
        for headers in (b"X: y\r\n" * 200, b"X: " + b"y" * 100_000 + b"\r\n"):

            def answer(wire: Wire, headers: bytes = headers) -> None:
                wire.write(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n")

            with receiving(Answer(instead=answer)) as receiver:
                assert refused_kind(Outbound(LOOPBACK), receiver.url) == "too_large"

    def test_names_an_answer_that_is_not_http(self) -> None:
        def answer(wire: Wire) -> None:
            wire.write(b"220 mail.example ESMTP\r\n")

        with receiving(Answer(instead=answer)) as receiver:
            assert refused_kind(Outbound(LOOPBACK), receiver.url) == "status"


class TestPostOverTls:
    def test_verifies_the_certificate_with_the_name_and_not_the_address(
        self, authority: Authority
    ) -> None:
        with receiving(tls=authority.server_context("hooks.example")) as receiver:
            outbound = Outbound(LOOPBACK, resolver=Resolver(["127.0.0.1"]), trust=authority.trust)
            reply = outbound.post(f"https://hooks.example:{receiver.port}/", b"{}", {})

        assert reply.status == 204

    def test_refuses_a_certificate_for_another_name(self, authority: Authority) -> None:
        with receiving(tls=authority.server_context("other.example")) as receiver:
            outbound = Outbound(LOOPBACK, resolver=Resolver(["127.0.0.1"]), trust=authority.trust)
            url = f"https://hooks.example:{receiver.port}/"
            assert refused_kind(outbound, url) == "tls"
            assert receiver.received == []

    def test_refuses_a_certificate_that_nobody_vouches_for(self, authority: Authority) -> None:
        with receiving(tls=authority.server_context("127.0.0.1")) as receiver:
            url = receiver.url.replace("http:", "https:")
            assert refused_kind(Outbound(LOOPBACK), url) == "tls"

    def test_refuses_a_server_that_does_not_encrypt(self) -> None:
        with receiving() as receiver:
            url = receiver.url.replace("http:", "https:")
            assert refused_kind(Outbound(LOOPBACK), url) == "tls"


class TestHostOf:
    def test_is_the_same_for_the_same_receiver_however_it_is_spelled(self) -> None:
        assert host_of("https://Hooks.Example:443/a") == host_of("https://hooks.example/b")


class TestOperatorPool:
    def test_reaches_what_the_operator_names(self) -> None:
        with receiving(Answer(307, {"Location": METADATA})) as receiver, operator_pool() as pool:
            reply = pool.request("POST", receiver.url, body=b"x", redirect=False)

        assert reply.status == 307
        assert len(receiver.received) == 1


def mail() -> EmailMessage:
    written = EmailMessage()
    written["Subject"], written["From"], written["To"] = "Hello", "a@acme.example", "b@acme.example"
    written.set_content("Hello")
    return written


def mail_server(port: int, authority: Authority | None = None, **settings: object) -> MailServer:
    made = Settings.model_validate(
        {"smtp_host": "127.0.0.1", "smtp_port": port, "mail_from": "Us <us@acme.example>"}
        | settings
    )
    return MailServer(made, trust=authority.trust if authority else None)


class TestMailServer:
    def test_hands_a_mail_over_in_the_clear_when_told_so(self) -> None:
        with smtp_sink() as sink:
            mail_server(sink.port, smtp_starttls=False).send(mail())

        assert sink.recipients == ["b@acme.example"]
        assert sink.mails[0]["Subject"] == "Hello"
        assert sink.was_encrypted == [False]

    def test_encrypts_and_signs_in(self, authority: Authority) -> None:
        tls = authority.server_context("127.0.0.1")
        with smtp_sink(tls=tls, account=("us", "a good word")) as sink:
            mail_server(sink.port, authority, smtp_user="us", smtp_password="a good word").send(
                mail()
            )

        assert sink.was_encrypted == [True]

    def test_does_not_send_in_the_clear_what_was_to_be_encrypted(self) -> None:
        with smtp_sink() as sink, pytest.raises(UpstreamFailed, match="smtp_starttls") as failure:
            mail_server(sink.port).send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("tls", False)
        assert sink.mails == []

    def test_refuses_a_certificate_that_nobody_vouches_for(self, authority: Authority) -> None:
        with (
            smtp_sink(tls=authority.server_context("127.0.0.1")) as sink,
            pytest.raises(UpstreamFailed) as failure,
        ):
            mail_server(sink.port).send(mail())

        assert failure.value.kind == "tls"
        assert sink.mails == []

    def test_a_wrong_password_may_be_mended(self, authority: Authority) -> None:
        tls = authority.server_context("127.0.0.1")
        with (
            smtp_sink(tls=tls, account=("us", "a good word")) as sink,
            pytest.raises(UpstreamFailed) as failure,
        ):
            mail_server(sink.port, authority, smtp_user="us", smtp_password="no").send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("status", False)

    @pytest.mark.parametrize(
        ("answer", "is_permanent"), [("550 nobody here", True), ("450 later", False)]
    )
    def test_tells_whether_a_recipient_is_refused_for_good(
        self, answer: str, is_permanent: bool
    ) -> None:
        with smtp_sink() as sink, pytest.raises(UpstreamFailed) as failure:
            sink.recipient_answer = answer
            mail_server(sink.port, smtp_starttls=False).send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("status", is_permanent)

    @pytest.mark.parametrize(("answer", "is_permanent"), [("554 spam", True), ("452 full", False)])
    def test_tells_whether_a_mail_is_refused_for_good(
        self, answer: str, is_permanent: bool
    ) -> None:
        with smtp_sink() as sink, pytest.raises(UpstreamFailed) as failure:
            sink.data_answer = answer
            mail_server(sink.port, smtp_starttls=False).send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("status", is_permanent)

    def test_says_that_no_server_is_set(self) -> None:
        with pytest.raises(UpstreamFailed, match="smtp_host"):
            MailServer(Settings()).send(mail())

    def test_gives_up_on_a_server_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings = Settings(smtp_host="127.0.0.1", smtp_port=silent.getsockname()[1])
            for limits in (CallLimits(1, 0.1, 5), SHORT):
                with pytest.raises(UpstreamFailed) as failure:
                    MailServer(settings, limits=limits).send(mail())
                assert failure.value.kind == "timeout"

    def test_names_a_port_that_nobody_listens_on(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(UpstreamFailed) as failure:
            mail_server(port).send(mail())
        assert failure.value.kind == "refused"

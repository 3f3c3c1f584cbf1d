"""Outgoing HTTP against local servers, with an injected resolver."""

import socket
import threading

import pytest

from anomify.errors import UpstreamFailed
from anomify.outbound.deadline import CallLimits
from anomify.outbound.http_client import LOOKUPS_AT_ONCE_MAX, Outbound, operator_pool
from tests.kit.certificates import Authority
from tests.kit.receiver import Answer, Wire, receiving
from tests.kit.resolver import Resolver

LOOPBACK = ("127.0.0.0/8", "::1/128")
# The total time ends a call here; only the slow servers make a test wait for it.
SHORT = CallLimits(connect_seconds=1, read_seconds=2, total_seconds=0.3)
METADATA = "http://169.254.169.254/latest/meta-data/"


def refused_kind(outbound: Outbound, url: str) -> str:
    with pytest.raises(UpstreamFailed) as refusal:
        outbound.post(url, b"{}", {})
    return refusal.value.kind


class TestPost:
    def test_sends_to_the_address_that_was_checked(self) -> None:
        resolver = Resolver(["127.0.0.1"])
        with receiving(Answer(202, {"X-Said": "yes"}, b"thanks")) as receiver:
            reply = Outbound(LOOPBACK, resolver=resolver).post(
                f"http://hooks.example:{receiver.port}/in?a=b", b"{}", {"X-Mine": "1"}
            )

        assert (reply.status, reply.headers["x-said"], reply.body) == (202, "yes", b"thanks")
        assert resolver.requested == ["hooks.example"]
        assert receiver.paths == ["/in?a=b"]
        assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"
        assert receiver.received[0].headers["x-mine"] == "1"

    def test_blocks_a_name_with_a_private_address(self) -> None:
        assert refused_kind(Outbound(resolver=Resolver(["10.0.0.1"])), "http://a.example/") == (
            "blocked"
        )

    def test_the_message_does_not_contain_the_resolved_address(self) -> None:
        with pytest.raises(UpstreamFailed) as refusal:
            Outbound(resolver=Resolver(["10.1.2.3"])).post("http://db.inside/", b"", {})

        assert "10.1.2.3" not in refusal.value.message

    def test_blocks_a_name_when_one_of_its_addresses_is_private(self) -> None:
        resolver = Resolver(["93.184.216.34", "127.0.0.1"])

        assert refused_kind(Outbound(resolver=resolver), "http://mixed.example/") == "blocked"

    def test_resolves_again_for_each_call_against_dns_rebinding(self) -> None:
        resolver = Resolver(["127.0.0.1"], ["10.0.0.1"])
        with receiving() as receiver:
            outbound = Outbound(["127.0.0.0/8"], resolver=resolver)
            url = f"http://rebinding.example:{receiver.port}/"
            assert outbound.post(url, b"", {}).status == 204
            assert refused_kind(outbound, url) == "blocked"

        assert len(resolver.requested) == 2
        assert len(receiver.received) == 1

    def test_checks_the_address_of_the_connected_peer(self) -> None:
        def astray(_: tuple[str, int], seconds: float) -> socket.socket:
            return socket.create_connection(("127.0.0.1", receiver.port), seconds)

        with receiving() as receiver:
            outbound = Outbound(resolver=Resolver(["93.184.216.34"]), connector=astray)
            assert refused_kind(outbound, "http://public.example/") == "blocked"
            assert receiver.received == []

    def test_blocks_what_is_no_address_in_the_answer_of_a_resolver(self) -> None:
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

    def test_times_out_when_the_server_sends_nothing(self) -> None:
        def send_nothing(wire: Wire) -> None:
            wire.closing.wait()

        with receiving(Answer(instead=send_nothing)) as receiver:
            outbound = Outbound(LOOPBACK, limits=CallLimits(1, 0.1, 5))
            assert refused_kind(outbound, receiver.url) == "timeout"

    def test_times_out_when_headers_arrive_byte_by_byte(self) -> None:
        def drip(wire: Wire) -> None:
            wire.drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"z")

        with receiving(Answer(instead=drip)) as receiver:
            assert refused_kind(Outbound(LOOPBACK, limits=SHORT), receiver.url) == "timeout"

    def test_times_out_when_the_server_sends_100_continue_for_ever(self) -> None:
        def drip(wire: Wire) -> None:
            wire.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")

        with receiving(Answer(instead=drip)) as receiver:
            assert refused_kind(Outbound(LOOPBACK, limits=SHORT), receiver.url) == "timeout"

    def test_returns_the_status_when_the_body_arrives_byte_by_byte(self) -> None:
        def drip(wire: Wire) -> None:
            wire.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n", b"z")

        with receiving(Answer(instead=drip)) as receiver:
            reply = Outbound(LOOPBACK, limits=SHORT).post(receiver.url, b"{}", {})

        assert reply.status == 200
        assert len(reply.body) < 10_000

    def test_times_out_in_an_unfinished_tls_handshake(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
            assert refused_kind(Outbound(LOOPBACK, limits=SHORT), url) == "timeout"

    def test_times_out_when_a_look_up_takes_too_long(self) -> None:
        over = threading.Event()

        def look_up(host: str, port: int) -> list[str]:
            over.wait()
            return []

        outbound = Outbound(resolver=look_up, limits=CallLimits(0.05, 1, 1))
        assert refused_kind(outbound, "http://slow.example/") == "dns"
        over.set()

    def test_limits_the_number_of_look_ups_that_hang(self) -> None:
        over, requested = threading.Event(), threading.Semaphore(0)

        def look_up(host: str, port: int) -> list[str]:
            requested.release()
            over.wait()
            return []

        outbound = Outbound(resolver=look_up, limits=CallLimits(0.001, 1, 1))
        for _ in range(LOOKUPS_AT_ONCE_MAX + 5):
            assert refused_kind(outbound, "http://slow.example/") == "dns"
        for _ in range(LOOKUPS_AT_ONCE_MAX):
            requested.acquire()
        assert not requested.acquire(blocking=False)
        over.set()

    def test_an_unknown_host_is_a_dns_failure(self) -> None:
        assert refused_kind(Outbound(resolver=Resolver([])), "http://nobody.example/") == "dns"

    def test_a_closed_port_is_a_refused_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        assert refused_kind(Outbound(LOOPBACK), f"http://127.0.0.1:{port}/") == "refused"

    def test_a_connection_closed_without_a_reply_is_refused(self) -> None:
        with receiving(Answer(instead=lambda _: None)) as receiver:
            assert refused_kind(Outbound(LOOPBACK), receiver.url) == "refused"

    def test_headers_that_are_too_large_are_a_failure_of_their_own(self) -> None:
        for headers in (b"X: y\r\n" * 200, b"X: " + b"y" * 100_000 + b"\r\n"):

            def answer(wire: Wire, headers: bytes = headers) -> None:
                wire.write(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n")

            with receiving(Answer(instead=answer)) as receiver:
                assert refused_kind(Outbound(LOOPBACK), receiver.url) == "too_large"

    def test_a_reply_that_is_not_http_is_a_status_failure(self) -> None:
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

    def test_refuses_a_certificate_of_an_unknown_authority(self, authority: Authority) -> None:
        with receiving(tls=authority.server_context("127.0.0.1")) as receiver:
            url = receiver.url.replace("http:", "https:")
            assert refused_kind(Outbound(LOOPBACK), url) == "tls"

    def test_refuses_a_server_that_does_not_encrypt(self) -> None:
        with receiving() as receiver:
            url = receiver.url.replace("http:", "https:")
            assert refused_kind(Outbound(LOOPBACK), url) == "tls"


class TestOperatorPool:
    def test_calls_a_private_address_and_follows_no_redirect(self) -> None:
        with receiving(Answer(307, {"Location": METADATA})) as receiver, operator_pool() as pool:
            reply = pool.request("POST", receiver.url, body=b"x", redirect=False)

        assert reply.status == 307
        assert len(receiver.received) == 1

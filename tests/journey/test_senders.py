"""What senders meet at the real server: its addresses, and the headers that it drops."""

import json
import re
import socket
import time
from urllib.parse import urlsplit

import pytest

from tests.kit.server import Server, running


def make_token(server):
    server.cli("org", "create", "Acme", "--json")
    made = ("token", "create", "--org", "Acme", "--name", "sender", "--scopes", "ingest,read")
    return server.cli(*made, "--json")["token"]


def can_listen(address):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A product that listens on an IPv6 address."""
    assert can_listen("::1")
    made = Server(tmp_path_factory.mktemp("senders") / "data", settings={"host": "::1"})
    made.url = f"http://[::1]:{made.port}"
    with running(made):
        yield made


@pytest.fixture(scope="module")
def token(server):
    return make_token(server)


def test_an_ipv6_address_is_printed_so_that_it_can_be_opened(server, token):
    assert server.log().splitlines()[0] == f"Anomify is ready: {server.url}"
    assert server.setup_link.startswith(f"{server.url}/ui/setup?")
    page = server.pool.request("GET", server.setup_link)
    assert page.status == 200
    point = {"metric": "m", "timestamp": time.time(), "value": 1}
    assert server.post("/flux/metric_data_post", token, point).status == 204


@pytest.fixture
def sent(server, token):
    """Post with header lines of bytes as they are; return the status and the body."""

    def send(*lines):
        item = {"name": "cpu", "fields": {"f": 1}, "timestamp": int(time.time())}
        body = json.dumps({"metrics": [item]}).encode()
        head = [
            b"POST /flux/metric_data_post HTTP/1.1",
            b"Host: " + urlsplit(server.url).netloc.encode(),
            b"X-Auth-Token: " + token.encode(),
            b"telegraf: true",
            b"Connection: close",
            b"Content-Length: %d" % len(body),
            *lines,
        ]
        with socket.create_connection(("::1", server.port)) as wire:
            wire.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
            reply = b""
            while part := wire.recv(65536):
                reply += part
        return int(re.match(rb"HTTP/1.1 (\d+)", reply)[1]), reply.decode()

    return send


def test_a_header_that_the_server_drops_is_refused_by_name(sent):
    for name in ("prefix", "X-Server-Id"):
        for value in ("\u00fc".encode(), b"web\xff1", "\u65e5\u672c".encode(), b""):
            status, reply = sent(name.encode() + b": " + value)
            assert status == 400
            assert name.lower() in reply
    assert sent(b"prefix: a", b"X-Server-Id: web 1")[0] == 204
    assert sent()[0] == 204

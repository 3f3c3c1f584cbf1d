"""Senders that stall in the middle of a body, against the real product."""

import json
import socket
import time

import pytest

from tests.journey.test_up import running
from tests.kit.server import Server

STALLED = 40
HEADS = (
    "Content-Length: 100\r\n\r\n" + '{"metric": ',
    "Transfer-Encoding: chunked\r\n\r\n" + 'b\r\n{"metric": \r\n',
)


@pytest.fixture
def server(tmp_path):
    with running(Server(tmp_path / "data")) as started:
        yield started


def stalled(server: Server, token: str, rest: str) -> socket.socket:
    """Return a connection on which a request stopped in the middle of its body."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(
        (
            "POST /flux/metric_data_post HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n{rest}"
        ).encode()
    )
    return connection


class TestStalledBodies:
    def test_do_not_keep_others_from_sending_and_are_cut_off(self, server):
        token = server.create_org()
        opened = [stalled(server, token, HEADS[number % 2]) for number in range(STALLED)]
        try:
            for number in range(3):
                point = {"metric": "other", "timestamp": int(time.time()) - number, "value": 1}
                assert server.post("/flux/metric_data_post", token, point).status == 204
            ended = 0
            for connection in opened:
                connection.settimeout(0.2)
                try:
                    ended += not connection.recv(10) or 1
                except ConnectionResetError:
                    ended += 1
                except TimeoutError:
                    pass
            assert ended >= 1
            assert "Traceback" not in server.log()
        finally:
            for connection in opened:
                connection.close()
        assert json.dumps(server.points(token, "other", time.time() - 60, time.time() + 60))

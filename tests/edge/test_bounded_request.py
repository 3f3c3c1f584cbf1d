"""Bodies without a length, as `Transfer-Encoding: chunked` brings them, and bodies that stop."""

import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest

from anomify.edge import bounded_request
from anomify.edge.arriving_bodies import ArrivingBodies
from anomify.edge.install import BODY_BYTES_MAX
from tests.kit.web import error, strict

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def send(client, cast, body, content_type: str):
    return client.post(
        "/probe/viewer",
        input_stream=BytesIO(body) if isinstance(body, bytes) else body,
        content_type=content_type,
        headers={**cast.headers("bob"), "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )


class Silent(BytesIO):
    """A body whose sender has fallen silent, until the connection ends."""

    def __init__(self):
        super().__init__()
        self.requested = threading.Event()
        self.ended = threading.Event()

    def read(self, *size):
        self.requested.set()
        assert self.ended.wait(30)
        return super().read(*size)

    def readinto(self, buffer):
        self.read()
        return super().readinto(buffer)


class TestStream:
    @pytest.mark.parametrize(("content_type", "body"), [(FORM, b"count=3"), (JSON, b'{"count":3}')])
    def test_gives_a_body_that_fits(self, client, cast, content_type, body):
        for whole in (body, body.rjust(BODY_BYTES_MAX) if content_type == JSON else body):
            assert strict(send(client, cast, whole, content_type))["data"]["count"] == 3

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            (FORM, b"note=".ljust(BODY_BYTES_MAX, b"x") + b"&count=3"),
            (JSON, b'{"count":3}'.rjust(BODY_BYTES_MAX + 1)),
            (JSON, b'{"count":3}'.ljust(BODY_BYTES_MAX + 1)),
        ],
    )
    def test_refuses_what_is_longer_and_leaves_nothing_out(self, client, cast, content_type, body):
        reply = send(client, cast, body, content_type)
        assert (reply.status_code, error(reply)["code"]) == (413, "too_large")


class TestSilence:
    def test_takes_so_many_threads_and_no_more(self, app, cast, monkeypatch):
        monkeypatch.setattr(bounded_request, "arriving_bodies", ArrivingBodies(1, 0))
        silent, client = Silent(), app.test_client()
        with ThreadPoolExecutor(1) as others:
            kept = others.submit(send, app.test_client(), cast, silent, JSON)
            assert silent.requested.wait(30)
            refused = send(client, cast, b"{}", JSON)
            assert (refused.status_code, error(refused)["code"]) == (503, "unavailable")
            assert client.get("/probe/viewer", headers=cast.headers("bob")).status_code == 200
            silent.ended.set()
            assert kept.result().status_code == 200
        assert send(client, cast, b"{}", JSON).status_code == 200

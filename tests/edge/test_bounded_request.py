"""Bodies without a length, as `Transfer-Encoding: chunked` brings them: whole or refused."""

from io import BytesIO

import pytest

from anomify.edge.porch import BODY_BYTES_MAX
from tests.kit.web import error, strict

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def send(client, cast, body: bytes, content_type: str):
    return client.post(
        "/probe/viewer",
        input_stream=BytesIO(body),
        content_type=content_type,
        headers={**cast.headers("bob"), "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )


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

"""An HTTP server with Stripe's wire format, and the signatures of its events."""

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.kit.stripe_account import SECRET_KEY, WEBHOOK_SECRET
from tests.kit.stripe_wire import StripeWire


def body_of(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, indent=2).encode()


def signature_of(
    body: bytes, *, at: int | None = None, secret: str = WEBHOOK_SECRET, scheme: str = "v1"
) -> str:
    """The header that Stripe would send; at another moment, with another secret where asked."""
    timestamp = int(time.time()) if at is None else at
    signed = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},{scheme}={signed}"


@contextmanager
def stripe_wire() -> Iterator[StripeWire]:
    """Serve on a port of the machine's own choosing until the block ends."""
    wire = StripeWire()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(wire))
    server.daemon_threads = True
    wire.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="stripe-wire")
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(wire: StripeWire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def do_DELETE(self) -> None:
            self._do()

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            parts = urlsplit(self.path)
            key = self.headers.get("idempotency-key")
            if self.headers.get("authorization") != f"Bearer {SECRET_KEY}":
                self._send(401, {"error": {"type": "invalid_request_error", "message": "No key."}})
                return
            parameters = nested(parse_qsl(parts.query + "&" + body, keep_blank_values=True))
            try:
                self._send(*wire.answer(self.command, parts.path, parameters, key))
            except ConnectionAbortedError:
                self.close_connection = True

        def _send(self, status: int, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Request-Id", "req_wire")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Read `a[0][b]=c` as {"a": [{"b": "c"}]}."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        first, *rest = re.findall(r"[^\[\]]+", name)
        place, words = found, [first, *rest]
        for word in words[:-1]:
            place = place.setdefault(word, {})
        place[words[-1]] = value
    return {name: _listed(value) for name, value in found.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    return list(inner.values()) if all(name.isdigit() for name in inner) else inner

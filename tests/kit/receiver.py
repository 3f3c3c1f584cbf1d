"""An HTTP receiver with given answers, good and bad ones, which verifies signatures of webhooks."""

import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any

from standardwebhooks.webhooks import Webhook

DRIP_SECONDS = 0.02


@dataclass(frozen=True)
class Answer:
    """What to answer one request with."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    # Called instead of answering, with a function that writes to the wire.
    instead: Callable[["Wire"], None] | None = None
    # Waited before answering, unless the receiver is closed meanwhile.
    delay_seconds: float = 0
    # Whether the receiver has taken the message; by default when it answers so.
    accepts: bool | None = None

    @property
    def is_accepted(self) -> bool:
        if self.accepts is not None:
            return self.accepts
        return 200 <= self.status < 300 and self.instead is None


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    # The verified payload, or None where no secret was given to verify with.
    payload: Any = None
    method: str = "POST"

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Wire:
    """The raw connection to the client."""

    def __init__(self, handler: BaseHTTPRequestHandler, closing: threading.Event) -> None:
        self._handler = handler
        self.closing = closing

    def write(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def reset(self) -> None:
        """End the connection with a reset instead of a proper end."""
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)

    def drip(self, start: bytes, drop: bytes) -> None:
        """Write a little now and then, for ever, until the other side has had enough."""
        with suppress(OSError):
            self.write(start)
            while not self.closing.wait(DRIP_SECONDS):
                self.write(drop)


def reset() -> Answer:
    """The connection ends with a reset."""
    return Answer(instead=Wire.reset)


def accepted_but_lost() -> Answer:
    """The message is taken, but the connection ends before an answer is sent."""
    return Answer(instead=lambda _: None, accepts=True)


def slow_body() -> Answer:
    """The status comes at once, the body a byte at a time, for ever."""

    def drip(wire: Wire) -> None:
        wire.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"z")

    return Answer(instead=drip, accepts=True)


def slow_headers() -> Answer:
    """The headers never end: the caller has to give up without knowing the status."""

    def drip(wire: Wire) -> None:
        wire.drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"z")

    return Answer(instead=drip)


def redirect(to: str, status: int = 307) -> Answer:
    return Answer(status, {"Location": to})


def too_many(seconds: int) -> Answer:
    return Answer(429, {"Retry-After": str(seconds)})


def broken_answers(seed: int, share: float = 0.3, *, with_slow: bool = True) -> Iterator[Answer]:
    """Answers without end: this share of them is bad, each in one of the ways there are."""
    chance = random.Random(seed)
    ways: list[Callable[[], Answer]] = [
        lambda: Answer(404),
        lambda: Answer(401),
        lambda: Answer(403),
        lambda: Answer(500, body=b"x" * 100_000),
        lambda: Answer(503, {"Retry-After": "1"}),
        lambda: too_many(1),
        lambda: redirect("http://127.0.0.1:9/"),
        reset,
        accepted_but_lost,
    ]
    if with_slow:
        ways += [slow_body, slow_headers]
    while True:
        yield chance.choice(ways)() if chance.random() < share else Answer()


class Receiver:
    def __init__(
        self,
        answers: Iterable[Answer],
        secret: str | None,
        respond: Callable[[Received], Answer] | None = None,
    ) -> None:
        self.received: list[Received] = []
        # Those of which the receiver has taken the message, whether the caller knows it or not.
        self.accepted: list[Received] = []
        self.arrived = threading.Semaphore(0)
        self.closing = threading.Event()
        self._answers = iter(answers)
        self._respond = respond or (lambda _: Answer())
        self._secret = secret
        self._lock = threading.Lock()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.received]

    def take(self, handler: BaseHTTPRequestHandler) -> Answer:
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        payload = Webhook(self._secret).verify(body, headers) if self._secret else None
        with self._lock:
            request = Received(handler.path, headers, body, payload, handler.command)
            self.received.append(request)
            answer = next(self._answers, None) or self._respond(request)
            if answer.is_accepted:
                self.accepted.append(request)
        self.arrived.release()
        return answer


@contextmanager
def receiving(
    *answers: Answer,
    secret: str | None = None,
    tls: ssl.SSLContext | None = None,
    endless: Iterable[Answer] = (),
    respond: Callable[[Received], Answer] | None = None,
) -> Iterator[Receiver]:
    """Run a receiver on a free port.

    It gives the answers in their order, then the endless ones; when these are over it answers what
    `respond` returns, or 204.
    """
    receiver = Receiver(chain(answers, endless), secret, respond)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # A caller that neither reads nor goes away fails the test instead of hanging it.
        timeout = 20

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            self.close_connection = True
            answer = receiver.take(self)
            if answer.delay_seconds:
                receiver.closing.wait(answer.delay_seconds)
            if answer.instead is not None:
                answer.instead(Wire(self, receiver.closing))
                return
            with suppress(OSError):
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def get_request(self) -> Any:
            taken, address = super().get_request()
            if tls is not None:
                taken = tls.wrap_socket(taken, server_side=True)
            return taken, address

        def handle_error(self, *_: object) -> None:
            # A caller that goes away is what several tests are about.
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.closing.set()
            server.shutdown()
            thread.join()

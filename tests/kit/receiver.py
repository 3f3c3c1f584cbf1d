"""A webhook receiver with given answers, which verifies signatures."""

import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    # The verified payload, or None where no secret was given to verify with.
    payload: Any

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

    def drip(self, start: bytes, drop: bytes) -> None:
        """Write a little now and then, for ever, until the other side has had enough."""
        with suppress(OSError):
            self.write(start)
            while not self.closing.wait(DRIP_SECONDS):
                self.write(drop)


class Receiver:
    def __init__(self, answers: Iterable[Answer], secret: str | None) -> None:
        self.received: list[Received] = []
        self.arrived = threading.Semaphore(0)
        self.closing = threading.Event()
        self._answers = deque(answers)
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
            self.received.append(Received(handler.path, headers, body, payload))
            answer = self._answers.popleft() if self._answers else Answer()
        self.arrived.release()
        return answer


@contextmanager
def receiving(
    *answers: Answer, secret: str | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Run a receiver on a free port; when the script is over it answers 204."""
    receiver = Receiver(answers, secret)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # A caller that neither reads nor goes away fails the test instead of hanging it.
        timeout = 20

        def do_POST(self) -> None:
            self.close_connection = True
            answer = receiver.take(self)
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

"""An HTTP server for points with given answers, for programs that send to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


class IngestServer(ThreadingHTTPServer):
    """Keeps what it is sent and answers from a list; 204 when the list is empty."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answers: list[tuple[int, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def points(self) -> list[tuple[float, float]]:
        return [
            (item["timestamp"], item["value"]) for body in self.received for item in body["metrics"]
        ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = cast("IngestServer", self.server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, headers, reply = server.answers.pop(0) if server.answers else (204, {}, {})
        if status < 300:
            server.received.append(body)
            server.keys.append(self.headers["Authorization"])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        text = b"" if status == 204 else json.dumps(reply).encode()
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def open_ingest_server() -> Iterator[IngestServer]:
    opened = IngestServer()
    thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield opened
    opened.shutdown()
    thread.join()
    opened.server_close()

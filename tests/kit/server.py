"""The real product: `anomify up` on a free port and in a new directory, to be hurt and asked."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
import urllib3

READY_SECONDS = 60
STOP_SECONDS = 100
POLL_SECONDS = 0.02
READY_LINE = re.compile(r"^Anomify is ready: (\S+)$", re.MULTILINE)
SETUP_LINE = re.compile(r"^Open this link to create the first user .*?(http\S+)$", re.MULTILINE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One `anomify up`; it may be started again after it was killed."""

    def __init__(
        self,
        data_dir: Path,
        database_url: str | None = None,
        settings: Mapping[str, object] | None = None,
        command: tuple[str, ...] = ("up",),
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = data_dir / "test-server.log"
        self._command = command
        self._environment = {
            **os.environ,
            "ANOMIFY_DATA_DIR": str(data_dir),
            "ANOMIFY_PORT": str(self.port),
            # A test sends in seconds as many requests as people send in an hour.
            "ANOMIFY_RATE_LIMITS": "off",
            **{f"ANOMIFY_{key.upper()}": str(value) for key, value in (settings or {}).items()},
        }
        if database_url is not None:
            self._environment["ANOMIFY_DATABASE_URL"] = database_url
        self.process: subprocess.Popen[bytes] | None = None
        self._started_at_byte = 0
        self.pool = urllib3.PoolManager(maxsize=8, retries=False, timeout=30)

    # --- life and death ---

    def start(self, *, wait: bool = True) -> "Server":
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._started_at_byte = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                anomify_command(*self._command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()
        return self

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """Return the process that was started."""
        assert self.process is not None, "start the server first"
        return self.process

    def wait_until_ready(self) -> None:
        self.wait_for(lambda: READY_LINE.search(self.log()) is not None)

    def wait_for(self, claim: Any, seconds: float = READY_SECONDS) -> None:
        """Wait until something is so, as long as the server lives."""
        deadline = time.monotonic() + seconds
        while not claim():
            if self.running.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it did not come to that; the server's log:\n{self.log()}")
            time.sleep(POLL_SECONDS)

    def log(self) -> str:
        """Return its log since the last start."""
        with self.log_path.open("rb") as file:
            file.seek(self._started_at_byte)
            return file.read().decode(errors="replace")

    @property
    def setup_link(self) -> str | None:
        found = SETUP_LINE.search(self.log())
        return found[1] if found else None

    def family(self) -> list[psutil.Process]:
        """Return the supervisor and everything under it."""
        try:
            supervisor = psutil.Process(self.running.pid)
            return [supervisor, *supervisor.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def child(self, name: str) -> psutil.Process:
        """Return the process of one of our commands that runs under the supervisor."""
        found = self.find_child(name)
        assert found is not None, f"there is no {name} process:\n{self.log()}"
        return found

    def find_child(self, name: str) -> psutil.Process | None:
        for process in psutil.Process(self.running.pid).children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if name in process.cmdline():
                    return process
        return None

    def answers(self) -> bool:
        """Return whether it takes requests now."""
        try:
            return self.ask("/-/ready").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL everything at once, as a power cut of the process tree would."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.running.wait()

    def kill_web(self) -> None:
        """SIGKILL the web alone: the process that answers, and the one above it."""
        web = self.child("web")
        for process in [*web.children(recursive=True), web]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    # --- asking it ---

    def cli(self, *arguments: str, text: str | None = None) -> Any:
        """Run one of our commands for this installation and return its JSON."""
        ended = subprocess.run(
            anomify_command(*arguments),
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{arguments}: {ended.stderr}{ended.stdout}"
        try:
            return json.loads(ended.stdout)
        except ValueError:
            return ended.stdout

    def create_org(self, name: str = "Acme") -> str:
        """Make an org and return the secret of a token that may ingest, read and write."""
        self.cli("org", "create", name, "--json")
        made = self.cli(
            *("token", "create", "--org", name, "--name", "test"),
            *("--scopes", "ingest,read,write", "--json"),
        )
        token: str = made["token"]
        return token

    def ask(
        self, path: str, token: str | None = None, **parameters: object
    ) -> urllib3.BaseHTTPResponse:
        headers = {"X-Auth-Token": token} if token else {}
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self.pool.request("GET", f"{self.url}{path}{query}", headers=headers)

    def data(self, path: str, token: str, **parameters: object) -> Any:
        """Send a request to the native API and return what is under `data`."""
        reply = self.ask(path, token, **parameters)
        assert reply.status == 200, f"{path}: {reply.status} {reply.data[:500]!r}"
        return reply.json()["data"]

    def points(
        self, token: str, metric: str, from_seconds: float, until_seconds: float
    ) -> list[list[float]]:
        """Return the raw points of a metric."""
        data = self.data(
            f"/metric/{quote(metric, safe='')}/timeseries",
            token,
            from_timestamp=from_seconds,
            until_timestamp=until_seconds,
            resolution="raw",
        )
        timeseries: list[list[float]] = data["timeseries"]
        return timeseries

    def post(
        self, path: str, token: str, document: object, seconds: float = 30
    ) -> urllib3.BaseHTTPResponse:
        return self.pool.request(
            "POST",
            self.url + path,
            body=json.dumps(document).encode(),
            headers={"X-Auth-Token": token, "Content-Type": "application/json"},
            timeout=seconds,
        )


def anomify_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "anomify.cli.main", *arguments]


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start it, and leave nothing of it behind."""
    try:
        yield server.start()
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
        server.pool.clear()


def in_background(work: Any) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread

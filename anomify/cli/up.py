"""`anomify up`: starts the product as one process tree, keeps it alive and stops it politely.

This process stays light: it loads neither the database's nor the engine's libraries.
"""

import fcntl
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import click

from anomify import config
from anomify.cli.failures import use_data_dir
from anomify.cli.settings import data_option, read_settings
from anomify.config import Settings
from anomify.errors import Conflict, Unavailable

LOCK_FILE = "up.lock"
READY_PATH = "/-/ready"
SETUP_PATH = "/ui/setup"
READY_SECONDS = 60
# After SIGKILL of an earlier run its children may take this long to free the port.
PORT_SECONDS = 3
POLL_SECONDS = 0.05
# The web server lets requests run for 25 seconds; the worker writes what it holds in memory.
STOP_SECONDS = {"feed": 5, "web": 30, "worker": 60}
# The pause before a process that ended is started again; it doubles if the process ran shortly.
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 15.0
LONG_LIFE_SECONDS = 3.0


@click.command()
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on.")
@data_option
def up(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Start the web server and the worker.

    Both run as children of this process, which restarts them if they end.
    """
    sys.exit(run(read_settings(host=host, port=port, data_dir=data_dir)))


def run(settings: Settings, companion: str | None = None) -> int:
    """Run the web server and the worker until a signal arrives; return the exit code.

    Prints one line when the web server answers, and a set-up link while there are no users. A
    `companion` is another command to run once the web server answers; it prints its own lines.
    """
    use_data_dir(settings)
    with _locked(settings.data_dir):
        _check_port(settings)
        tree = Tree(settings)
        with tree.listening_to_signals():
            prepared = tree.prepare()
            tree.start()
            if not tree.wait_until_ready():
                return tree.stop()
            _greet(settings, None if companion else prepared["setup_secret"])
            if companion:
                tree.add(companion)
            return tree.keep_alive()


def command(name: str, *arguments: str) -> list[str]:
    """Return the command line that runs an `anomify` command with this interpreter."""
    return [sys.executable, "-m", "anomify.cli.main", name, *arguments]


@dataclass
class Child:
    """A child process."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_seconds: float = FIRST_PAUSE_SECONDS
    start_again_at: float | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process. It ends with this one, and does not receive Ctrl-C of the terminal."""
        self.start_again_at = None
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 -- runs this program without any user input
            command(self.name, "--parent", str(os.getpid())),
            env=environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )

    @property
    def has_ended(self) -> bool:
        """Return whether the process was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def plan_restart(self) -> None:
        """Set the time of the next start and print why."""
        if self.process is None:
            return
        ended, self.process = self.process, None
        if time.monotonic() - self.started >= LONG_LIFE_SECONDS:
            self.pause_seconds = FIRST_PAUSE_SECONDS
        _say(
            f"the {self.name} process ended {_manner(ended.returncode)}; "
            f"starting it again in {self.pause_seconds:g} s"
        )
        self.start_again_at = time.monotonic() + self.pause_seconds
        self.pause_seconds = min(self.pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def stop(self) -> bool:
        """Send SIGTERM and wait; return whether the process ended without being killed."""
        if self.process is None or self.process.poll() is not None:
            return True
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS[self.name])
        except subprocess.TimeoutExpired:
            _say(f"the {self.name} process did not stop in time and was killed")
            self.process.kill()
            self.process.wait()
            return False
        return True


@dataclass
class Tree:
    """The child processes, and the signals that this process receives."""

    settings: Settings
    # In the order in which they are stopped: first those that send data to the next.
    children: list[Child] = field(default_factory=lambda: [Child("web"), Child("worker")])
    is_stopping: bool = False
    _wake_up: socket.socket | None = None

    @contextmanager
    def listening_to_signals(self) -> Iterator[None]:
        """On SIGTERM and SIGINT request a stop; on these and on SIGCHLD end the current wait."""
        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        self._wake_up = here
        signal.set_wakeup_fd(there.fileno())
        before = {
            number: signal.signal(number, self._notice)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(-1)
            here.close()
            there.close()

    def _notice(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.is_stopping = True

    def prepare(self) -> dict[str, str | None]:
        """Migrate the database, in a child process so that its memory is freed."""
        environment = config.environment_of(self.settings)
        ended = subprocess.run(  # noqa: S603 -- runs this program without any user input
            command("prepare"), env=environment, stdout=subprocess.PIPE, check=False
        )
        if ended.returncode != 0:
            raise Unavailable("The database could not be prepared; the reason is printed above.")
        prepared: dict[str, str | None] = json.loads(ended.stdout)
        return prepared

    def start(self) -> None:
        """Start the web server and the worker."""
        for child in self.children:
            child.start(config.environment_of(self.settings))

    def add(self, name: str) -> None:
        """Start another process, which is stopped before the others."""
        self.children.insert(0, Child(name))
        self.children[0].start(config.environment_of(self.settings))

    def wait_until_ready(self) -> bool:
        """Wait until the web server is ready; return False if a stop is requested first."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_stopping:
            if _is_ready(self.settings):
                return True
            for child in self.children:
                if child.has_ended and child.process is not None:
                    _say(
                        f"the {child.name} process ended {_manner(child.process.returncode)} "
                        "while starting; the reason is printed above"
                    )
                    self.stop()
                    sys.exit(1)
            if time.monotonic() > deadline:
                _say(f"not ready after {READY_SECONDS} s; run `anomify doctor` to find the cause")
                self.stop()
                sys.exit(1)
            self._sleep(POLL_SECONDS)
        return False

    def keep_alive(self) -> int:
        """Restart processes that end, until a stop is requested; return the exit code."""
        while not self.is_stopping:
            for child in self.children:
                if child.has_ended:
                    child.plan_restart()
                if child.start_again_at is not None and time.monotonic() >= child.start_again_at:
                    child.start(config.environment_of(self.settings))
            waits = [child.start_again_at for child in self.children if child.start_again_at]
            self._sleep(max(0.0, min(waits) - time.monotonic()) if waits else None)
        return self.stop()

    def stop(self) -> int:
        """Stop all processes so that no request and no datapoint is lost; return the exit code."""
        went = [child.stop() for child in self.children]
        return 0 if all(went) else 1

    def _sleep(self, seconds: float | None) -> None:
        """Wait for `seconds`, without limit if None, or until a signal arrives."""
        if self._wake_up is None:
            raise RuntimeError("no signal handler is installed")
        readable, _, _ = select.select([self._wake_up], [], [], seconds)
        if readable:
            self._wake_up.recv(4096)


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    with (data_dir / LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Conflict(
                f"Process {file.read().strip() or '?'} already runs Anomify in {data_dir}; "
                "stop it, or choose another directory with --data."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _check_port(settings: Settings) -> None:
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            _bind(settings)
        except OSError as error:
            if time.monotonic() > deadline:
                raise Conflict(
                    f"Cannot listen on {settings.listen_address} ({error.strerror}); "
                    "choose another port with --port."
                ) from None
            time.sleep(POLL_SECONDS)
        else:
            return


def _bind(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Like the server: connections in TIME_WAIT from an earlier run do not prevent listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.host, settings.port))


def _is_ready(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(settings.local_host, settings.port, timeout=2)
    try:
        connection.request("GET", READY_PATH)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _greet(settings: Settings, setup_secret: str | None) -> None:
    url = settings.printed_url
    click.echo(f"Anomify is ready: {url}")
    if setup_secret:
        link = f"{url}{SETUP_PATH}?link={setup_secret}"
        click.echo(f"Open this link to create the first user (it works once): {link}")
    sys.stdout.flush()


def _manner(returncode: int) -> str:
    if returncode < 0:
        return f"by {signal.Signals(-returncode).name}"
    return f"with exit code {returncode}"


def _say(sentence: str) -> None:
    click.echo(f"anomify: {sentence}", err=True)

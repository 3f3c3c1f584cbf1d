"""A real Prometheus that scrapes a real node exporter and writes to an address of ours."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from tests.kit.server import free_port

START_SECONDS = 30
SEND_SECONDS = 120
POLL_SECONDS = 0.1

CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ["127.0.0.1:{exporter_port}"]
remote_write:
  - url: {url}/api/v1/write
    authorization:
      credentials: {token}
    queue_config:
      batch_send_deadline: 1s
      max_backoff: 1s
"""


class Prometheus:
    """The two programs, and what Prometheus says that it has."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port, self._exporter_port = free_port(), free_port()
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, url: str, token: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "prometheus.yml"
        config.write_text(CONFIG.format(exporter_port=self._exporter_port, url=url, token=token))
        self._run(
            "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{self._exporter_port}"
        )
        self._run(
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self._directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        )
        self._wait_for(lambda: self._ask("/-/ready") is not None, START_SECONDS)

    def _run(self, program: str, *arguments: str) -> None:
        with (self._directory / f"{program}.log").open("wb") as log:
            self._processes.append(subprocess.Popen([program, *arguments], stdout=log, stderr=log))

    def wait_until_sent(self, until_seconds: float) -> None:
        """Wait until everything that was scraped before a moment has been acknowledged."""
        name = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"

        def is_sent() -> bool:
            text = (self._ask("/metrics") or b"").decode()
            values = [line.split()[-1] for line in text.splitlines() if line.startswith(name)]
            return bool(values) and float(values[0]) > until_seconds

        self._wait_for(is_sent, SEND_SECONDS)

    def samples(self, until_seconds: float, window: str) -> list[tuple[dict[str, str], list[Any]]]:
        """Return labels and raw samples of every series it has."""
        query = urlencode(
            {"query": f'{{__name__=~".+"}}[{window}]', "time": f"{until_seconds:.3f}"}
        )
        reply = json.loads(self._ask(f"/api/v1/query?{query}") or b"{}")
        return [(series["metric"], series["values"]) for series in reply["data"]["result"]]

    def counted(self, name: str) -> float:
        """Return the sum of one of its own metrics."""
        text = (self._ask("/metrics") or b"").decode()
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.split("{")[0].split(" ")[0] == name
        )

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(30)
        self._pool.clear()

    def _ask(self, path: str) -> bytes | None:
        try:
            reply = self._pool.request("GET", f"http://127.0.0.1:{self._port}{path}")
        except urllib3.exceptions.HTTPError:
            return None
        return reply.data if reply.status == 200 else None

    def _wait_for(self, claim: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not claim():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text() for path in self._directory.glob("*.log"))
                raise AssertionError(f"Prometheus did not come to that:\n{logs}")
            time.sleep(POLL_SECONDS)


@contextmanager
def scraping(directory: Path, url: str, token: str) -> Iterator[Prometheus]:
    prometheus = Prometheus(directory)
    try:
        prometheus.start(url, token)
        yield prometheus
    finally:
        prometheus.stop()

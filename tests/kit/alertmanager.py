"""A real Alertmanager whose notifications go to a receiver of ours."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from tests.kit.server import free_port

WAIT_SECONDS = 30
POLL_SECONDS = 0.05

CONFIG = """\
route:
  receiver: ours
  group_by: [alertname, incident]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: ours
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


class Alertmanager:
    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        self._pool = urllib3.PoolManager(retries=False, timeout=10)

    def alerts(self) -> list[dict[str, Any]]:
        """What it lists as firing."""
        reply = self._pool.request("GET", f"{self.url}/api/v2/alerts")
        found: list[dict[str, Any]] = json.loads(reply.data)
        return found

    def is_ready(self) -> bool:
        try:
            return self._pool.request("GET", f"{self.url}/-/ready").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def wait_for(self, claim: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not claim():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(POLL_SECONDS)


@contextmanager
def alertmanager(directory: Path, notify_url: str) -> Iterator[Alertmanager]:
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "alertmanager.yml"
    config.write_text(CONFIG.format(url=notify_url))
    port, log = free_port(), directory / "alertmanager.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={config}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                # No cluster: it would look for a public address.
                "--cluster.listen-address=",
            ],
            stdout=output,
            stderr=output,
        )
    running = Alertmanager(port, log)
    try:
        running.wait_for(running.is_ready)
        yield running
    finally:
        process.terminate()
        process.wait(30)

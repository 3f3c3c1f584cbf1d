"""Send the demo's points to the ingestion API: first the past, then new ones."""

import json
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import urllib3

from anomify.clock import now_ms
from anomify.demo.machine import read_machine
from anomify.demo.scenario import Scenario
from anomify.outbound.http_client import operator_pool

INGEST_PATH = "/flux/metric_data_post"
MACHINE_EVERY_SECONDS = 10
PAUSE_SECONDS = 2.0
POINTS_PER_POST = 5_000
# Older points were missed while the demo was stopped, and are sent as a back-fill.
HISTORY_AFTER_MS = 600_000
STATE_FILE = "demo.json"


class Feed:
    """Sends points until `stopping` is set; may be killed at any moment."""

    def __init__(
        self, base_url: str, token: str, world: Scenario, data_dir: Path, stopping: threading.Event
    ) -> None:
        """Set the server, token and scenario; nothing is sent yet."""
        self._url = base_url + INGEST_PATH
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._world = world
        self._state_path = data_dir / STATE_FILE
        self._stopping = stopping
        self._pool = operator_pool()

    def run(self) -> None:
        """Send the past points that are missing, then the new ones every ten seconds."""
        sent_until_ms = self._send_world(self._sent_until_ms())
        while not self._stopping.wait(MACHINE_EVERY_SECONDS):
            at_ms = now_ms()
            machine = [(name, at_ms, value) for name, value in read_machine().items()]
            self._send(machine, is_history=False)
            sent_until_ms = self._send_world(sent_until_ms)

    def _send_world(self, after_ms: int) -> int:
        until_ms = now_ms()
        points = self._world.points(after_ms, until_ms)
        is_history = until_ms - after_ms > HISTORY_AFTER_MS
        for batch in _batches(points):
            if not self._send(batch, is_history=is_history):
                return after_ms
        self._state_path.write_text(
            json.dumps({"start_ms": self._world.start_ms, "sent_until_ms": until_ms})
        )
        return until_ms

    def _send(self, points: list[tuple[str, int, float]], *, is_history: bool) -> bool:
        document: dict[str, Any] = {
            "metrics": [
                {"metric": name, "timestamp": time_ms / 1000, "value": value}
                for name, time_ms, value in points
            ]
        }
        if is_history:
            document["fill"] = "true"
        body = json.dumps(document).encode()
        while not self._stopping.is_set():
            try:
                reply = self._pool.request("POST", self._url, body=body, headers=self._headers)
            except urllib3.exceptions.HTTPError:
                # The web server is restarting; sending points twice changes nothing.
                self._stopping.wait(PAUSE_SECONDS)
                continue
            if reply.status < 300 or reply.status == 400:  # noqa: PLR2004 -- stored or refused
                return True
            self._stopping.wait(PAUSE_SECONDS)
        return False

    def _sent_until_ms(self) -> int:
        try:
            kept = json.loads(self._state_path.read_text())
        except (FileNotFoundError, ValueError):
            return self._world.start_ms - 1
        if kept.get("start_ms") != self._world.start_ms:
            return self._world.start_ms - 1
        return int(kept["sent_until_ms"])


def _batches(points: Iterable[tuple[str, int, float]]) -> Iterator[list[tuple[str, int, float]]]:
    waiting = iter(points)
    while batch := list(islice(waiting, POINTS_PER_POST)):
        yield batch

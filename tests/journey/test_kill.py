"""The product is killed again and again under load, and loses nothing that it acknowledged.

It is killed 8 times with SQLite, in each way at least once, and 4 times with PostgreSQL.
`KILLS=300 pytest tests/journey/test_kill.py` kills it 300 times with SQLite and 150 times with
PostgreSQL; give a number before a release or after a change of how points are stored.
"""

import os
import random
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from itertools import cycle, islice

import pytest
import urllib3

from tests.kit.server import Server, running

KILLS = int(os.environ.get("KILLS", "8"))
CLIENTS = 6
METRICS_PER_CLIENT = 4
POINTS_PER_POST = 40
# A new point each second of a time that lies behind us, so that nothing is too far ahead.
FIRST_TIMESTAMP = int(time.time()) - 40 * 86_400
# Where a kill falls: from just after the server answers to well under way.
LONGEST_LIFE_SECONDS = 1.2


class Client(threading.Thread):
    """Posts point after point of its own metrics; what failed it sends again, as senders do."""

    def __init__(self, server: Server, token: str, number: int, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._server, self._token, self._stopping = server, token, stopping
        self._metrics = [f"load.client{number}.metric{i}" for i in range(METRICS_PER_CLIENT)]
        self._rng = random.Random(number)
        self._next = FIRST_TIMESTAMP
        self.sent: dict[str, dict[int, float]] = defaultdict(dict)
        self.acknowledged: dict[str, dict[int, float]] = defaultdict(dict)
        self.failures = 0
        self.surprises: list[str] = []

    def run(self) -> None:
        while not self._stopping.is_set():
            items = self._items()
            for item in items:
                self.sent[item["metric"]][item["timestamp"]] = item["value"]
            # Some bytes arrive twice although the first time was acknowledged.
            for _ in range(self._rng.choice([1, 1, 1, 2])):
                if not self._post(items):
                    return
            for item in items:
                self.acknowledged[item["metric"]][item["timestamp"]] = item["value"]
            self._stopping.wait(0.01)

    def _items(self) -> list[dict]:
        start, self._next = self._next, self._next + POINTS_PER_POST // METRICS_PER_CLIENT
        return [
            {"metric": metric, "timestamp": timestamp, "value": self._rng.random()}
            for timestamp in range(start, self._next)
            for metric in self._metrics
        ]

    def _post(self, items: list[dict]) -> bool:
        while not self._stopping.is_set():
            try:
                reply = self._server.post(
                    "/flux/metric_data_post", self._token, {"metrics": items}, seconds=5
                )
            except urllib3.exceptions.HTTPError:
                self.failures += 1
            else:
                if reply.status == 204:
                    return True
                self.failures += 1
                if reply.status != 503:
                    self.surprises.append(f"{reply.status} {reply.data[:200]!r}")
                    return False
            self._stopping.wait(0.02)
        return False


def kill_web(server: Server) -> None:
    server.kill_web()


def kill_everything(server: Server) -> None:
    server.kill()
    server.start(wait=False)


def kill_while_it_starts(server: Server) -> None:
    """Kill it while it migrates, replays and rebuilds at a start, as the clients go on posting."""
    kill_everything(server)
    time.sleep(random.random() * 3)
    kill_everything(server)


def kill_worker(server: Server) -> None:
    # It may still be starting after the kill before.
    server.wait_for(lambda: server.find_child("worker") is not None)
    server.child("worker").kill()


def kill_while_it_stops(server: Server) -> None:
    """Kill it while the worker seals and saves at a stop that was asked for."""
    server.process.terminate()
    time.sleep(random.random() * 0.6)
    kill_everything(server)


# Half of all kills hit the web. The first four are the ways with PostgreSQL.
WAYS = (
    *(kill_web, kill_everything, kill_while_it_stops, kill_while_it_starts),
    *(kill_worker, kill_web, kill_web, kill_web),
)


def shuffled_ways(number: int, seed: int) -> list[Callable[[Server], None]]:
    """Return so many ways to kill the product, in random order."""
    ways = list(islice(cycle(WAYS), number))
    random.Random(seed).shuffle(ways)
    return ways


def hurt(server: Server, ways: list[Callable[[Server], None]], seed: int) -> list[Client]:
    """Kill the server in each of these ways while clients post, and return the clients."""
    rng = random.Random(seed)
    token = server.create_org()
    stopping = threading.Event()
    clients = [Client(server, token, number, stopping) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for kill in ways:
            time.sleep(rng.random() * LONGEST_LIFE_SECONDS)
            kill(server)
            # A web that is killed while the tree is starting is a failed start, and ends it.
            server.wait_until_ready()
            server.wait_for(server.answers)
    finally:
        stopping.set()
        for client in clients:
            client.join()
    kill_everything(server)
    server.wait_until_ready()
    assert [client.surprises for client in clients if client.surprises] == []
    check_nothing_is_lost(server, token, clients)
    return clients


def check_nothing_is_lost(server: Server, token: str, clients: list[Client]) -> None:
    for client in clients:
        assert client.acknowledged, "a client never got through"
        for metric, acknowledged in client.acknowledged.items():
            stored = server.points(token, metric, FIRST_TIMESTAMP, FIRST_TIMESTAMP + 30 * 86_400)
            times = [int(timestamp) for timestamp, _ in stored]
            assert times == sorted(set(times)), f"{metric} holds a time twice"
            found = dict(zip(times, (value for _, value in stored), strict=True))
            missing = {time for time, value in acknowledged.items() if found.get(time) != value}
            assert not missing, f"{metric} lost {len(missing)} of {len(acknowledged)} points"
            # What was sent and not acknowledged may be there; what was never sent may not.
            sent = client.sent[metric]
            assert {time: sent.get(time) for time in found} == found


@pytest.mark.slow
class TestSigkill:
    def test_loses_nothing_on_sqlite(self, tmp_path):
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}")
        with running(Server(tmp_path / "data")) as server:
            clients = hurt(server, shuffled_ways(KILLS, seed), seed)
        assert sum(client.failures for client in clients) > 0, "no kill hit anybody"
        for path in (tmp_path / "data").glob("*.db"):
            with closing(sqlite3.connect(path)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    @pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
    def test_loses_nothing_on_postgresql(self, tmp_path, engine_url):
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}")
        with running(Server(tmp_path / "data", engine_url)) as server:
            clients = hurt(server, shuffled_ways(KILLS // 2, seed), seed)
        assert sum(client.failures for client in clients) > 0, "no kill hit anybody"

"""Measures how long a committed anomaly waits for the first attempt to send its messages.

Run `python benchmarks/latency.py [rounds]`. An org has 100 contact points, each with a receiver on
a port of its own; one of them reads a request and never answers. In each round (20) an anomaly is
committed; measured is, for each of the other receivers, the time from that commit to the arrival of
its message. The anchor is one `POST` after the other with Python's `http.client`, without an
outbox. Goal: 95 of 100 messages arrive within 5 seconds, and the first one within a second.
"""

import http.client
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from anomify.clock import now
from anomify.config import Settings
from anomify.db import Base, Database
from anomify.worker.deliver import Deliverer
from tests.factories import make_org
from tests.kit.deliverer_process import LOOPBACK
from tests.kit.outbox import SECRET, Post
from tests.kit.receiver import Answer, Received, receiving

RECEIVERS = 100
ROUNDS = 20
GOAL_SECONDS = 5.0
FIRST_SECONDS = 1.0
ROUND_SECONDS = 12.0


def main() -> int:
    """Measure and print; return 1 where a goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    arrived: list[float] = []

    def note(_: Received) -> Answer:
        arrived.append(time.monotonic())
        return Answer(204)

    def never(_: Received) -> Answer:
        return Answer(204, delay_seconds=60.0)

    waits: list[float] = []
    firsts: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        database = Database(f"sqlite:///{Path(folder) / 'meta.db'}")
        database.sealing_key = b"s" * 32
        Base.metadata.create_all(database.engine)
        settings = Settings(data_dir=Path(folder), secret_key="k" * 64, egress_allow=LOOPBACK)
        with database.unit_of_work():
            org = make_org("Acme")
        post = Post(database, settings, now, org)  # type: ignore[arg-type] # the real clock
        receivers = [
            stack.enter_context(receiving(secret=SECRET, respond=never if not number else note))
            for number in range(RECEIVERS)
        ]
        for receiver in receivers:
            post.watch(receiver.url)
        stop = threading.Event()
        deliverer = Deliverer(database, settings, lambda _: None)
        thread = threading.Thread(target=deliverer.run_until, args=(stop,))
        thread.start()
        for number in range(rounds):
            arrived.clear()
            post.open(f"cpu.{number}")
            committed = time.monotonic()
            while len(arrived) < RECEIVERS - 1 and time.monotonic() - committed < ROUND_SECONDS:
                time.sleep(0.01)
            missing = RECEIVERS - 1 - len(arrived)
            waits += [moment - committed for moment in arrived] + [ROUND_SECONDS] * missing
            firsts.append(min(arrived, default=committed + ROUND_SECONDS) - committed)
        stop.set()
        thread.join()
        plain = stack.enter_context(receiving())
        anchor = _one_after_the_other([plain.url] * (RECEIVERS - 1))
        database.dispose()
    late = float(np.percentile(waits, 95))
    print(f"first message: {max(firsts):.2f} s at the most (goal {FIRST_SECONDS:.0f})")
    print(f"all messages:  p50 {np.percentile(waits, 50):.2f} s, p95 {late:.2f} s, ", end="")
    print(f"max {max(waits):.2f} s (goal p95 {GOAL_SECONDS:.0f} s)")
    print(f"anchor:        {anchor:.2f} s for the same number of plain requests in turn")
    return int(late > GOAL_SECONDS or max(firsts) > FIRST_SECONDS)


def _one_after_the_other(urls: list[str]) -> float:
    began = time.monotonic()
    for url in urls:
        host, _, path = url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("POST", f"/{path}", b"{}", {"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

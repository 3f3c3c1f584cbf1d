"""Measures what people get of 10,000 anomalies within a minute, and what it costs.

Run `python benchmarks/storm.py`. An org with 10,000 metrics and a watcher of all of them has an
anomaly of each within a minute: in one tick, in 10 and in 60 ticks; with names that have
nothing in common and with related ones; with and without a noisy past. All of them end ten minutes
later. Goals: at most 60 messages until then, and at most 60 about the end; the resident memory
grows by at most 50 MiB beyond what the anomalies themselves take that the ticks write; a tick of
1,000 anomalies is grouped and told in at most 2 seconds.
"""

import itertools
import random
import resource
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from anomify.db import Base, Database
from tests.kit.storms import Storm, make_storm

METRICS = 10_000
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MESSAGES_MOST = 60
SECONDS_MOST = 2.0
MEMORY_MOST_MIB = 50
TICKS = (1, 10, 60)


def names(*, are_related: bool) -> list[str]:
    """Return names of metrics that share a word in twenty, or most of their words."""
    rng = random.Random(7)
    if are_related:
        return [f'm.shop.requests{{host="h{number}"}}' for number in range(METRICS)]
    return [
        f"m{number}." + ".".join(f"w{rng.randrange(10**6)}" for _ in range(3))
        for number in range(METRICS)
    ]


def run(storm: Storm, ticks: int) -> tuple[int, int]:
    """Let the storm pass; return how many messages told of it, and of its end."""
    opened = []
    size = METRICS // ticks
    step = timedelta(seconds=60 / ticks)
    for tick in range(ticks):
        at = NOON + tick * step
        last = METRICS if tick == ticks - 1 else (tick + 1) * size
        opened.append(storm.open(tick * size, last, at))
        storm.look(at)
    for minute in range(2, 10):
        storm.look(NOON + timedelta(minutes=minute))
    told = len(storm.messages())
    for tick, ids in enumerate(opened):
        at = NOON + timedelta(minutes=10) + tick * step
        storm.end(ids, at)
        storm.look(at)
    return told, len(storm.messages()) - told


def resident_mib() -> float:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Measure and print; return 1 where a goal is missed."""
    is_missed = False
    for ticks, are_related, past in itertools.product(TICKS, (False, True), (0, 500)):
        with tempfile.TemporaryDirectory() as folder:
            database = Database(f"sqlite:///{Path(folder) / 'meta.db'}")
            database.sealing_key = b"s" * 32
            Base.metadata.create_all(database.engine)
            storm = make_storm(database, names(are_related=are_related), NOON, past_incidents=past)
            before = resident_mib()
            told, ended = run(storm, ticks)
            grown = resident_mib() - before
            slowest = max(storm.seconds)
            database.dispose()
        words = f"{ticks:3d} ticks, {'related' if are_related else 'unlike '} names, {past:3d} past"
        print(
            f"{words}: {told:3d} messages, {ended:3d} about the end; "
            f"slowest tick {slowest:5.2f} s, +{grown:4.0f} MiB",
            flush=True,
        )
        per_thousand = slowest / max(METRICS / ticks / 1000, 1)
        is_missed |= told > MESSAGES_MOST or ended > MESSAGES_MOST
        is_missed |= per_thousand > SECONDS_MOST or (ticks > 1 and grown > MEMORY_MOST_MIB)
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())

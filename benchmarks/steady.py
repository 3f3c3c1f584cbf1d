"""Measures the CPU of 10,000 metrics with one point a minute each: sent, stored, judged and sealed.

    .venv/bin/python benchmarks/steady.py [--minutes 30] [--every 4] [--database-url URL]
        [--patterns 10]

The real product is started; it learns 110 minutes of every metric, and the program waits until it
is idle. Then `--minutes` minutes are sent, one every `--every` seconds, and the product is stopped
with SIGTERM, which seals all points and saves all states; in normal operation that happens every
fifteen minutes. With `--patterns` each metric has so many patterns, with which what is unusual is
compared. The figure is the CPU time of all processes divided by the minutes, plus the CPU
time of an idle minute. The anchor stores the same points as rows of one SQLite table, without HTTP
and judging.
"""

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import insert, select

sys.path.insert(0, str(Path(__file__).resolve().parent))
from remote_write import (
    anomify,
    children_of,
    cpu_of,
    our_server,
    tree_cpu,
)
from remote_write_bodies import SERIES, make_bodies

from anomify.db import Database, session
from anomify.metric.model import Metric
from anomify.pattern.changes import note_change
from anomify.pattern.model import Pattern, PatternSeries
from anomify.series import Judgements, Series
from anomify.storage.codec import encode_series

LEARNING_MINUTES = 110
MINUTE_MS = 60_000
IDLE_SECONDS = 10
GOAL_SHARE = 0.10


def worker_cpu(pid):
    """Return the CPU-seconds of the worker process."""
    for child in children_of(pid)[1:]:
        if b"\0worker\0" in Path(f"/proc/{child}/cmdline").read_bytes() + b"\0":
            return cpu_of(child)[0]
    raise SystemExit("there is no worker process")


def anchor(folder, minutes):
    """Return the CPU-seconds that storing one minute as plain rows takes."""
    connection = sqlite3.connect(folder / "rows.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE point (metric INTEGER, time INTEGER, value REAL, PRIMARY KEY (metric, time))"
        " WITHOUT ROWID"
    )
    before = time.process_time()
    for minute in range(minutes):
        rows = [(metric, minute * MINUTE_MS, metric * 0.5) for metric in range(SERIES)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO point VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    connection.close()
    return (time.process_time() - before) / minutes


def add_patterns(url, count):
    """Give each metric so many patterns: an hour above its range, each at its own time of the day.

    Returns how many there are.
    """
    times = np.arange(-60, 66) * MINUTE_MS
    at = datetime(2026, 11, 20, tzinfo=UTC)
    made = 0
    database = Database(url)
    with database.unit_of_work():
        metrics = list(session().execute(select(Metric.id, Metric.org_id)))
        for org_id in {org_id for _, org_id in metrics}:
            note_change(org_id)
        for number in range(count):
            started_ms = int(at.timestamp() * 1000) + number * 86_400_000 // count
            values = np.where((times >= 0) & (times < 60 * MINUTE_MS), 40.0 + number, 10.0)
            points = encode_series(Series(started_ms + times, values, Judgements.none(len(times))))
            patterns, series = [], []
            for metric_id, org_id in metrics:
                made += 1
                patterns.append(
                    {
                        "id": made,
                        "org_id": org_id,
                        "metric_id": metric_id,
                        "created_by": "Alice",
                        "created_at": at,
                        "duration_seconds": 86_400,
                        "state_at": at,
                        "state_by": "Alice",
                        "started_ms": started_ms,
                        "last_ms": started_ms + 59 * MINUTE_MS,
                        "expected_lower": 0.0,
                        "expected_upper": 20.0,
                        "value": 40.0 + number,
                        "evidence": "above",
                        "alert": 9.0,
                        "step_ms": MINUTE_MS,
                    }
                )
                series.append(
                    {
                        "pattern_id": made,
                        "excursion_points": points,
                        "context": 60,
                        "window_points": points,
                        "window_step_ms": MINUTE_MS,
                    }
                )
            session().execute(insert(Pattern), patterns)
            session().execute(insert(PatternSeries), series)
    database.dispose()
    return made


def run(folder, minutes, every, database_url, patterns):
    """Measure, and return figures by name, in CPU-seconds a minute."""
    server = our_server(folder, database_url)
    first_ms = (int(time.time()) // 60 - LEARNING_MINUTES - minutes) * MINUTE_MS
    bodies = make_bodies(first_ms, LEARNING_MINUTES + minutes, MINUTE_MS)
    with (folder / "log").open("wb") as log:
        try:
            server.start(log)
            where = {"data": folder / "anomify", "database_url": database_url}
            anomify("org", "create", "Acme", **where)
            made = anomify(
                *("token", "create", "--org", "Acme", "--name", "bench", "--scopes", "ingest"),
                **where,
            )
            server.headers = {"Authorization": f"Bearer {made['token']}"}
            server.post(bodies[:LEARNING_MINUTES])
            server.rest()
            if patterns:
                url = database_url or f"sqlite:///{folder / 'anomify' / 'meta.db'}"
                print(f"{add_patterns(url, patterns):,} patterns")
                server.rest()
            pid = server.process.pid
            idle_before = tree_cpu(pid)
            time.sleep(IDLE_SECONDS)
            idle = (tree_cpu(pid) - idle_before) / IDLE_SECONDS
            before, judged_before, began = tree_cpu(pid), worker_cpu(pid), time.monotonic()
            for minute in bodies[LEARNING_MINUTES:]:
                server.post([minute])
                time.sleep(every)
            server.rest()
            judged = worker_cpu(pid) - judged_before
            elapsed = time.monotonic() - began
            used = server.stop() - before
        finally:
            server.kill()
    busy = max(used - idle * elapsed, 0.0) / minutes
    return {
        "all processes": busy + idle * 60,
        "of which judging, storing and sealing, before the stop": judged / minutes,
        "of which an idle minute": idle * 60,
    }


def main():
    """Measure, print the table, and exit with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--every", type=float, default=4.0)
    parser.add_argument("--database-url", default=os.environ.get("ANOMIFY_DATABASE_URL"))
    parser.add_argument("--patterns", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = anchor(folder, arguments.minutes)
        figures = run(
            folder,
            arguments.minutes,
            arguments.every,
            arguments.database_url,
            arguments.patterns,
        )
    share = figures["all processes"] / 60
    print(f"{SERIES:,} metrics, one point of each a minute; CPU-seconds a minute")
    for name, seconds in figures.items():
        print(f"  {name:<58} {seconds:7.2f}  = {seconds / 60:6.1%} of a core")
    print(f"  {'anchor: the same points as rows of SQLite, nothing else':<58} {rows:7.2f}")
    print(f"goal: at most {GOAL_SHARE:.0%} of a core; measured {share:.1%}")
    sys.exit(share > GOAL_SHARE)


if __name__ == "__main__":
    main()

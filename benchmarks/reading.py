"""Measures storing and reading points, beside a plain SQLite table of rows.

Run `python benchmarks/reading.py`. A day of 1,000 metrics at one point a minute (sine, counts,
mostly constant, random walk, incompressible noise; a fifth each) goes minute by minute through the
log into chunks, sealed every 15 minutes as the worker does, the last 15 minutes left unsealed. The
anchor gets the same rows in a table WITHOUT ROWID keyed (metric, time), one upsert transaction a
minute, with the same durability. Then 24 hours of one metric are read, alternately.

Then all of a metric of 60 days is read alone, and beside a sender of 324 points, one a month (goal:
no more than 1.1 times the time), with whatever a new process reads first, and all of that sender.

It prints the medians of reading (goal: at most 1 ms in process), bytes on disk per value, without
and with its judgement, and points per CPU-second of 2,000-point appends alone and with sealing.
`--json` prints JSON. Other load on the machine changes the times.
"""

import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anomify.metric.store import PointStore
from anomify.series import Judgements, Points
from anomify.storage.log import Entry
from anomify.storage.month_files import PointFiles

METRICS = 1_000
MINUTES = 1_440
SEALED_MINUTES = 15
START = 1_790_812_800_000
MINUTE_MS = 60_000
READS = 500
APPENDS = 300
APPENDED_POINTS = 2_000
GOAL_MS = 1.0
DENSE_DAYS = 60
SPARSE_MONTHS = 324
MONTH_MS = 31 * 1_440 * MINUTE_MS


def day_of_values() -> np.ndarray:
    """Return one row a minute and one column a metric."""
    random = np.random.default_rng(7)
    values = np.empty((MINUTES, METRICS))
    minutes = np.arange(MINUTES)[:, None]
    kind = METRICS // 5
    wave = np.sin((minutes + random.integers(0, MINUTES, kind)) / MINUTES * 2 * np.pi)
    values[:, :kind] = np.round(50 + 20 * wave + random.normal(0, 1, (MINUTES, kind)), 2)
    values[:, kind : 2 * kind] = random.poisson(30, (MINUTES, kind))
    steps = random.random((MINUTES, kind)) < 0.002
    values[:, 2 * kind : 3 * kind] = np.cumsum(steps, axis=0)
    walk = np.cumsum(random.normal(0, 0.1, (MINUTES, kind)), axis=0)
    values[:, 3 * kind : 4 * kind] = np.round(100 + walk, 3)
    values[:, 4 * kind :] = random.normal(0, 1, (MINUTES, METRICS - 4 * kind))
    return values


def minute_of_points(values: np.ndarray, minute: int) -> Points:
    """Return one point of every metric."""
    times = np.full(METRICS, START + minute * MINUTE_MS)
    return Points(np.arange(1, METRICS + 1), times, values[minute])


def judgements_of(points: Points) -> Judgements:
    """Return scores and a range similar to those of the engine: smooth, not constant."""
    random = np.random.default_rng(int(points.times[0] // MINUTE_MS))
    width = 3 + random.normal(0, 0.05, len(points))
    return Judgements(
        random.exponential(0.05, len(points)).clip(0, 1).astype(np.float32),
        (points.values - width).astype(np.float32),
        (points.values + width).astype(np.float32),
    )


def fill(store: PointStore, values: np.ndarray, *, judged: bool) -> float:
    """Store the day; return the CPU-seconds of sealing."""
    waiting: list[Points] = []
    spent = 0.0
    for minute in range(MINUTES):
        waiting.append(minute_of_points(values, minute))
        offset = store.append(Entry(waiting[-1], Points.empty()))
        if len(waiting) == SEALED_MINUTES and minute < MINUTES - 1:
            points = Points.joined(waiting)
            judgements = judgements_of(points) if judged else Judgements.none(len(points))
            began = time.process_time()
            store.chunks.seal(points, judgements, offset)
            spent += time.process_time() - began
            store.log.prune(offset)
            store.follow()
            waiting = []
    return spent


def bytes_of_chunks(folder: Path) -> int:
    """Return the bytes of the chunk files after a checkpoint of their write-ahead log."""
    for path in folder.glob("points-*.db"):
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
    return sum(path.stat().st_size for path in folder.glob("points-*"))


def fill_rows(path: Path, values: np.ndarray) -> tuple[sqlite3.Connection, float]:
    """Store the day as rows; return the connection and the CPU-seconds it took."""
    rows = sqlite3.connect(path, isolation_level=None)
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("PRAGMA synchronous=FULL")
    rows.execute(
        "CREATE TABLE points (metric INTEGER, time INTEGER, value REAL,"
        " PRIMARY KEY (metric, time)) WITHOUT ROWID"
    )
    began = time.process_time()
    for minute in range(MINUTES):
        points = minute_of_points(values, minute)
        columns = (points.metric_ids.tolist(), points.times.tolist(), points.values.tolist())
        rows.execute("BEGIN IMMEDIATE")
        rows.executemany(
            "INSERT INTO points VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            zip(*columns, strict=True),
        )
        rows.execute("COMMIT")
    return rows, time.process_time() - began


def read_rows(rows: sqlite3.Connection, metric_id: int) -> np.ndarray:
    """Return times and values of a day from the rows."""
    found = rows.execute(
        "SELECT time, value FROM points WHERE metric = ? AND time >= ? AND time < ?",
        (metric_id, START, START + MINUTES * MINUTE_MS),
    ).fetchall()
    return np.array(found)


def measure_reads(sides: dict[str, Callable[[int], int]]) -> dict[str, dict[str, float]]:
    """Read random metrics, alternately; return the milliseconds of wall-clock time by side."""
    random = np.random.default_rng(11)
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for metric_id in random.integers(1, METRICS + 1, READS).tolist():
        for name, read in sides.items():
            began = time.perf_counter()
            count = read(metric_id)
            spent[name].append((time.perf_counter() - began) * 1000)
            if count != MINUTES:
                raise SystemExit(f"{name} gave {count} of {MINUTES} points")
    return {
        name: {
            "p50_ms": round(statistics.median(times), 3),
            "p99_ms": round(sorted(times)[int(READS * 0.99)], 3),
        }
        for name, times in spent.items()
    }


def measure_appends(folder: Path) -> float:
    """Return points per CPU-second of durable appends, the tail included."""
    store = PointStore(PointFiles(folder))
    store.follow()
    random = np.random.default_rng(13)
    ids = np.arange(1, APPENDED_POINTS + 1)
    entries = [
        Entry(
            Points(
                ids,
                np.full(APPENDED_POINTS, START + minute * MINUTE_MS),
                random.normal(50, 10, APPENDED_POINTS),
            ),
            Points.empty(),
        )
        for minute in range(APPENDS)
    ]
    began = time.process_time()
    for entry in entries:
        store.append(entry)
    spent = time.process_time() - began
    store.close()
    return APPENDS * APPENDED_POINTS / spent


def measure_old_months(folder: Path) -> dict[str, float]:
    """Return milliseconds of reading all of a metric, beside one of a point a month and alone."""
    dense, sparse = 1, 2
    times = START + np.arange(-DENSE_DAYS * MINUTES, 0) * MINUTE_MS
    filled = PointStore(PointFiles(folder))

    def seal(metric_id: int, times: np.ndarray) -> None:
        ids = np.full(len(times), metric_id, np.int64)
        points = Points(ids, times, np.arange(len(times), dtype=np.float64))
        filled.chunks.seal(points, Judgements.none(len(times)), 1)

    def read_again(metric_id: int) -> tuple[float, float]:
        """Return how long a new process takes at first, and then."""
        store, spent = PointStore(PointFiles(folder)), []
        for _ in range(15):
            began = time.perf_counter()
            store.chunks.read_all(metric_id)
            spent.append((time.perf_counter() - began) * 1000)
        store.close()
        return round(spent[0], 1), round(statistics.median(spent[1:]), 1)

    seal(dense, times)
    first_alone, alone = read_again(dense)
    seal(sparse, START - MONTH_MS * np.arange(4, 4 + SPARSE_MONTHS))
    filled.close()
    first_beside, beside = read_again(dense)
    first_itself, itself = read_again(sparse)
    return {
        "60 days, alone, first": first_alone,
        "60 days, alone": alone,
        "60 days beside 324 old months, first": first_beside,
        "60 days beside 324 old months": beside,
        "the 324 old months, first": first_itself,
        "the 324 old months": itself,
    }


def measure(folder: Path) -> dict[str, object]:
    """Fill both sides, read both, and return every figure."""
    values = day_of_values()
    points = METRICS * MINUTES
    rows, rows_seconds = fill_rows(folder / "rows.db", values)

    plain = PointStore(PointFiles(folder / "plain"))
    fill(plain, values, judged=False)
    plain.close()
    store = PointStore(PointFiles(folder / "judged"))
    seal_seconds = fill(store, values, judged=True)
    sealed = METRICS * (MINUTES - SEALED_MINUTES)

    reads = measure_reads(
        {
            "anomify": lambda metric_id: len(
                store.read(metric_id, START, START + MINUTES * MINUTE_MS)
            ),
            "SQLite rows": lambda metric_id: len(read_rows(rows, metric_id)),
        }
    )
    store.close()
    rows.close()
    appends = measure_appends(folder / "appends")
    both = 1 / (1 / appends + seal_seconds / sealed)
    anchor = points / rows_seconds
    return {
        "read_24h": reads,
        "read_all_ms": measure_old_months(folder / "months"),
        "read_ratio": round(reads["anomify"]["p50_ms"] / reads["SQLite rows"]["p50_ms"], 2),
        "goal_ms": GOAL_MS,
        "bytes_a_value": {
            "anomify": round(bytes_of_chunks(folder / "plain") / sealed, 2),
            "anomify with judgements": round(bytes_of_chunks(folder / "judged") / sealed, 2),
            "SQLite rows": round((folder / "rows.db").stat().st_size / points, 2),
        },
        "points_per_cpu_second": {
            "durable append": round(appends),
            "append and seal": round(both),
            "SQLite rows": round(anchor),
        },
        "append_ratio": round(both / anchor, 1),
    }


def main() -> None:
    """Measure, print the table and exit with 1 where the goal of reading is missed."""
    folder = Path(tempfile.mkdtemp(prefix="anomify-reading-"))
    try:
        figures = measure(folder)
    finally:
        shutil.rmtree(folder)
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for name, times in figures["read_24h"].items():
            print(
                f"24 h of one metric, {name:28} p50 {times['p50_ms']:7.3f} ms"
                f"  p99 {times['p99_ms']:7.3f} ms"
            )
        for name, spent in figures["read_all_ms"].items():
            print(f"all of one metric, {name:36} {spent:7.1f} ms")
        for name, size in figures["bytes_a_value"].items():
            print(f"on disk, {name:39} {size:7.2f} bytes a value")
        for name, rate in figures["points_per_cpu_second"].items():
            print(f"stored, {name:40} {rate:9,} points per CPU-second")
        print(
            f"reading {figures['read_ratio']} and storing {figures['append_ratio']} times the rows'"
            f" (goal: reading at most {GOAL_MS} ms)"
        )
    sys.exit(0 if figures["read_24h"]["anomify"]["p50_ms"] <= GOAL_MS else 1)


if __name__ == "__main__":
    main()

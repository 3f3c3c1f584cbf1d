"""Measures "What else moved?": whether the cause of an incident is on top, and how long it takes.

Run `python benchmarks/moved.py [seed]`. Among 1,000 generated metrics of five kinds a cause moves
first, 5 to 40 effects follow within minutes, by other amounts, and some metrics move by chance; the
window has ten minutes to a day. It prints in which share of the incidents the cause is among the
first five (goal: 0.9), beside the order by the largest z-score against the day before. Then it asks
an index of 10,000 metrics and 90 days for windows of ten minutes to a day, recent and old, on
SQLite and, with ANOMIFY_BENCH_POSTGRESQL_URL, on an empty PostgreSQL database (goal: 300 ms each).
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from anomify.db import Base, Database, session
from anomify.metric.model import Metric
from anomify.metric.moved import INTERVAL_MS, UnusualPoints, list_moved, record_moved
from tests.factories import make_metric, make_org
from tests.kit.moved_incidents import (
    MINUTE,
    START,
    Metrics,
    by_z_score,
    ranked,
    unusual_in,
)

INCIDENTS = 60
METRICS = 10_000
DAYS = 90
CLEAN_SHARE = 0.002
GOAL_SHARE = 0.9
GOAL_MS = 300.0


def measure_order(seed: int) -> float:
    """Print and return the share of incidents with the cause among the first five."""
    metrics = Metrics(1_000, 4.0, seed)
    generator = np.random.default_rng(seed + 1)
    ours, anchor = [], []
    for _ in range(INCIDENTS):
        incident = metrics.incident(generator)
        shown = ranked(unusual_in(metrics, incident), incident.from_ms, incident.until_ms)
        ours.append(incident.cause in shown[:5])
        anchor.append(incident.cause in by_z_score(metrics, incident)[:5])
    print(f"cause among the first five: {np.mean(ours):.2f}, by z-score {np.mean(anchor):.2f}")
    return float(np.mean(ours))


def fill(org_id: int, metric_ids: list[int]) -> None:
    """Fill the index as clean metrics do, with an incident of 400 metrics a day."""
    generator = np.random.default_rng(3)
    for day in range(DAYS):
        clean = int(METRICS * 288 * CLEAN_SHARE)
        chosen = generator.integers(0, METRICS, clean + 4_000)
        intervals = generator.integers(0, 288, clean + 4_000)
        intervals[clean:] = 150 + np.arange(4_000) // 400
        times = START + (day * 288 + intervals) * INTERVAL_MS
        strengths = 5.25 + generator.exponential(1.0, len(times))
        ids = np.array(metric_ids)[chosen]
        points = UnusualPoints(ids, times, times, strengths, strengths, -strengths, strengths)
        record_moved(points, np.full(len(times), org_id))


def measure_time(url: str, where: str) -> float:
    """Print and return the longest of the median times of the questions."""
    database = Database(url)
    Base.metadata.create_all(database.engine)
    with database.unit_of_work():
        org = make_org()
        org_id, first_id = org.id, make_metric(org, "metric.0").id
        known = session().get_one(Metric, first_id)
        session().execute(
            Metric.__table__.insert(),
            [
                {
                    "org_id": org_id,
                    "name": f"metric.{number}",
                    "folded_name": f"metric.{number}",
                    "name_hash": number.to_bytes(32, "big"),
                    "composed_hash": number.to_bytes(32, "big"),
                    "created_at": known.created_at,
                }
                for number in range(1, METRICS)
            ],
        )
        metric_ids = list(range(first_id, first_id + METRICS))
    with database.unit_of_work():
        fill(org_id, metric_ids)
    worst = 0.0
    for age_days in (1, 80):
        for minutes in (10, 60, 1_440):
            until_ms = START + (DAYS - age_days) * 1_440 * MINUTE + 14 * 60 * MINUTE
            took = []
            for _ in range(7):
                with database.unit_of_work(write=False):
                    begin = time.perf_counter()
                    found = list_moved(org_id, until_ms - minutes * MINUTE, until_ms)
                    took.append((time.perf_counter() - begin) * 1000)
            worst = max(worst, statistics.median(took))
            print(
                f"{where}: {minutes} minutes, {age_days} days ago: {statistics.median(took):.0f} ms"
                f" ({len(found)} shown)"
            )
    return worst


def main() -> int:
    """Measure both; return 1 where a goal is missed."""
    share = measure_order(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    with tempfile.TemporaryDirectory() as folder:
        worst = measure_time(f"sqlite:///{folder}/meta.db", "SQLite")
    if url := os.environ.get("ANOMIFY_BENCH_POSTGRESQL_URL"):
        worst = max(worst, measure_time(url, "PostgreSQL"))
    return 0 if share >= GOAL_SHARE and worst <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())

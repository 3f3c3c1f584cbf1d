"""An org with some metrics, its points, and a worker that judges them when it is told to."""

from dataclasses import dataclass

import numpy as np

from anomify.anomaly.queries import list_anomalies
from anomify.clock import now_ms
from anomify.db import Database, session
from anomify.metric.model import Progress
from anomify.metric.store import PointStore
from anomify.series import Points, Series
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyst

MINUTE = 60_000
POINTS = 600


@dataclass
class Plant:
    """A database with one org and some metrics, and its store of points."""

    database: Database
    points: PointStore
    org_id: int
    metric_ids: list[int]

    def analyst(self) -> Analyst:
        found = Analyst(self.database, self.points.log, self.points.chunks)
        found.recover()
        return found

    def send(self, metric_id: int, times: np.ndarray, values: np.ndarray, **more: bool) -> int:
        ids = np.full(len(times), metric_id, np.int64)
        return self.points.append(Entry(Points(ids, times, values), Points.empty(), **more))

    def anomalies(self) -> list[tuple[int, int, int | None, str]]:
        with self.database.unit_of_work(write=False):
            page = list_anomalies(self.org_id, oldest_first=True, limit=500)
            return [
                (one.span.metric_id, one.span.started_ms, one.span.ended_ms, one.span.severity)
                for one in page.items
            ]

    def progress(self, metric_id: int) -> Progress:
        with self.database.unit_of_work(write=False):
            return session().get_one(Progress, metric_id)

    def read(self, metric_id: int) -> Series:
        self.points.follow()
        return self.points.read(metric_id, 0, now_ms() + 10 * MINUTE)


def past(count: int = POINTS, *, end_ms: int | None = None) -> np.ndarray:
    """Minutes up to now, or up to another end."""
    end = (end_ms if end_ms is not None else now_ms()) // MINUTE * MINUTE
    return end - MINUTE * np.arange(count, dtype=np.int64)[::-1]


def noise(count: int = POINTS, seed: int = 1) -> np.ndarray:
    return 100 + np.random.default_rng(seed).normal(0, 1, count)


def with_spike(values: np.ndarray, at: int, height: float = 60.0) -> np.ndarray:
    spiked = values.copy()
    spiked[at : at + 3] += height
    return spiked


def drain(analyst: Analyst) -> None:
    while analyst.run_once():
        pass

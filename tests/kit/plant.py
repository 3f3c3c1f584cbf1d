"""An org with some metrics, its points, and a worker that judges them on request."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from sqlalchemy import select

from anomify.anomaly.queries import list_anomalies
from anomify.clock import now_ms
from anomify.db import Database, session
from anomify.delivery.model import Delivery
from anomify.metric.model import Progress, Rebuild
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.series import Points, Series
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.factories import make_watcher

MINUTE = 60_000
DAY = 1440 * MINUTE
POINTS = 600


@dataclass
class Plant:
    """A database with one org and some metrics, and its store of points."""

    database: Database
    points: PointStore
    org_id: int
    metric_ids: list[int]

    def analyser(self) -> Analyser:
        found = Analyser(self.database, self.points.log, self.points.chunks)
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

    def watch(self, severity: str = "low") -> None:
        """Create a watcher of all metrics with a webhook."""
        with self.database.unit_of_work():
            org = session().get_one(Org, self.org_id)
            make_watcher(org, "m", severity=severity, webhook_url="https://hooks.example/")

    def announced(self) -> list[tuple[str, int]]:
        """Return what is in the outbox: the transition, and when its anomaly had begun."""
        with self.database.unit_of_work(write=False):
            rows = session().scalars(select(Delivery).order_by(Delivery.created_at)).all()
            return [
                (row.transition, cast("dict[str, int]", row.facts["anomaly"])["started_ms"])
                for row in rows
            ]

    def rebuilds(self) -> list[int]:
        """Return the metrics whose rebuild waits."""
        with self.database.unit_of_work(write=False):
            return list(session().scalars(select(Rebuild.metric_id).order_by(Rebuild.metric_id)))

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


def drain(analyser: Analyser) -> None:
    while analyser.run_once():
        pass

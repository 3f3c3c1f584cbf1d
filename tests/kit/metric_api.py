"""An app with the routes of metrics and anomalies, a cast of users, and points to ask for."""

from dataclasses import dataclass

import numpy as np
from flask.testing import FlaskClient

from anomify.clock import now_ms
from anomify.edge.app_state import AppState
from anomify.metric.state import PARTITIONS
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.factories import Cast, make_metric
from tests.kit.web import ApiClient

MINUTE = 60_000
COUNT = 400


@dataclass
class MetricApi(ApiClient):
    """Requests to the app by its users, and points of the org Acme."""

    client: FlaskClient
    app_state: AppState
    cast: Cast
    read_token: str
    ingest_token: str

    def make_metric(self, name: str = "cpu.load") -> int:
        with self.app_state.database.unit_of_work():
            return make_metric(self.cast.acme, name).id

    def send(self, metric_id: int, times: np.ndarray, values: np.ndarray) -> None:
        ids = np.full(len(times), metric_id, np.int64)
        self.app_state.points.append(Entry(Points(ids, times, values), Points.empty()))

    def judge(self) -> None:
        analyser = Analyser(
            self.app_state.database, self.app_state.points.log, self.app_state.points.chunks
        )
        analyser.recover()
        while analyser.run_once():
            pass
        analyser.checkpoint(range(0, PARTITIONS, 2))
        self.app_state.points.follow()


def minutes(count: int = COUNT) -> np.ndarray:
    return now_ms() // MINUTE * MINUTE - MINUTE * np.arange(count, dtype=np.int64)[::-1]


def noise(count: int = COUNT) -> np.ndarray:
    return 100 + np.random.default_rng(7).normal(0, 1, count)

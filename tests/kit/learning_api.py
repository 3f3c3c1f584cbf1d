"""An app with every route about learning, and a metric with a nightly job to learn from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from anomify.db import Database
from anomify.edge.app_state import AppState
from anomify.native import image
from anomify.native.anomaly.blueprints import anomaly_blueprints
from anomify.native.match.blueprints import match_blueprints
from anomify.native.metric.blueprints import metric_blueprints
from anomify.native.org import audit, events, info, overview
from anomify.native.pattern.blueprints import pattern_blueprints
from anomify.worker.analyse import Analyser
from tests.factories import Cast, make_cast, make_metric, make_token
from tests.kit.nights import JOB, KINDS, NEXT, TRAINED_DAY, Job, Kind, Nights
from tests.kit.plant import Plant
from tests.kit.web import ApiClient, make_app, strict


@dataclass
class LearningApi(ApiClient):
    """Requests to the app by its users, and the nights of one metric of Acme."""

    client: FlaskClient
    app_state: AppState
    cast: Cast
    tokens: dict[str, str]

    def post(self, url: str, who: str = "alice", **fields: Any) -> TestResponse:
        """Send a POST as a user and return the reply."""
        return self.client.post(url, headers=self.cast.headers(who), data=fields)

    def change(self, url: str, who: str = "alice", **fields: Any) -> Any:
        """Return the data of a reply to a POST that must be 200."""
        reply = self.post(url, who, **fields)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def nights(self, kind: Kind = KINDS[0], jobs: dict[int, Job] | None = None) -> Nights:
        """Return the nine days of a new metric with jobs in the nights of these days."""
        plant = Plant(self.app_state.database, self.app_state.points, self.cast.acme.id, [])
        with plant.database.unit_of_work():
            metric_id = make_metric(self.cast.acme, kind.name).id
        nights = Nights(plant, metric_id, kind, days=9)
        for day, job in (jobs or {TRAINED_DAY: JOB, NEXT: JOB}).items():
            nights.run(day, job)
        return nights

    def judge(self, nights: Nights, analyser: Analyser, day: int, minute: int = 0) -> None:
        """Have all points before that minute judged, and make them readable for the app."""
        nights.judge(analyser, day, minute)
        self.app_state.points.follow()

    def with_anomaly(self, **more: Any) -> tuple[Nights, Analyser, int]:
        """Return a metric whose job was judged once, and the id of the anomaly of it."""
        nights = self.nights(**more)
        analyser = nights.plant.analyser()
        self.judge(nights, analyser, NEXT)
        [anomaly] = nights.anomalies(TRAINED_DAY)
        return nights, analyser, anomaly.id

    def with_match(self, **more: Any) -> tuple[Nights, Analyser, int]:
        """Return a metric whose job was trained and came again, and the id of the match."""
        nights, analyser, anomaly_id = self.with_anomaly(**more)
        self.change("/anomaly/train", anomaly_id=anomaly_id, expected="true", label="nightly job")
        self.judge(nights, analyser, NEXT + 1)
        [match] = nights.matches(NEXT)
        return nights, analyser, match.id


@contextmanager
def open_learning_api(database: Database, data_dir: Path) -> Iterator[LearningApi]:
    """Open the app on a database with the usual users."""
    with database.unit_of_work():
        cast = make_cast()
        tokens = {
            name: make_token(org, "read", "write", name=name)[1]
            for name, org in (("acme", cast.acme), ("globex", cast.globex))
        }
    blueprints = [
        *(*anomaly_blueprints(), *match_blueprints(), *metric_blueprints()),
        *pattern_blueprints(),
        *(image.blueprint, audit.blueprint, events.blueprint, info.blueprint, overview.blueprint),
    ]
    app = make_app(database, data_dir, blueprints)
    app_state: AppState = app.extensions["anomify"]
    yield LearningApi(app.test_client(use_cookies=False), app_state, cast, tokens)
    app_state.points.close()

"""The pages on the database of a test, with browsers of Alice, Bob, Dave and Charlie."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from anomify.clock import now_ms
from anomify.dashboard.blueprints import dashboard_blueprints
from anomify.db import Database
from anomify.edge.app_state import AppState
from anomify.metric.model import Metric, Progress
from anomify.native.metric.blueprints import metric_blueprints
from anomify.series import Points
from anomify.storage.log import Entry
from tests.factories import Cast, make_cast, make_metric
from tests.kit.web import make_app

BLUEPRINTS = [*dashboard_blueprints(), *metric_blueprints()]
MINUTE = 60_000


@dataclass
class Site:
    """The app, and browsers that are signed in or not."""

    app: Flask
    database: Database
    cast: Cast | None = None

    @property
    def app_state(self) -> AppState:
        return self.app.extensions["anomify"]

    def browser(self, who: str | None = "alice") -> FlaskClient:
        client = self.app.test_client()
        if who is not None:
            client.set_cookie("session_id", self.cast.sessions[who])
        return client

    def get(self, path: str, who: str | None = "alice", **query: Any) -> TestResponse:
        return self.browser(who).get(path, query_string=query or None)

    def text(self, path: str, who: str | None = "alice", **query: Any) -> str:
        reply = self.get(path, who, **query)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return reply.get_data(as_text=True)

    def make_metric(
        self, name: str = "cpu.load", *, points_seen: int | None = 500, **more: Any
    ) -> Metric:
        """A metric of Acme whose progress is known, unless its points are still waiting."""
        with self.database.unit_of_work() as unit:
            made = make_metric(self.cast.acme, name)
            if points_seen is not None:
                unit.add(
                    Progress(
                        **{
                            "metric_id": made.id,
                            "judged_until_ms": now_ms(),
                            "points_seen": points_seen,
                            "last_value": 42.5,
                            "resolution_ms": MINUTE,
                            **more,
                        }
                    )
                )
        return made

    def send(self, metric_id: int, *rows: tuple[int, float]) -> None:
        times = np.array([row[0] for row in rows], np.int64)
        values = np.array([row[1] for row in rows], np.float64)
        ids = np.full(len(rows), metric_id, np.int64)
        self.app_state.points.append(Entry(Points(ids, times, values), Points.empty()))


@pytest.fixture
def empty_site(database: Database, tmp_path: Path) -> Iterator[Site]:
    """An installation without users."""
    site = Site(make_app(database, tmp_path, BLUEPRINTS), database)
    yield site
    site.app_state.points.close()


@pytest.fixture
def site(empty_site: Site) -> Site:
    with empty_site.database.unit_of_work():
        empty_site.cast = make_cast()
    return empty_site

"""The fixture that the tests of metric routes share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anomify.db import Database
from anomify.native.anomaly.blueprints import anomaly_blueprints
from anomify.native.metric.blueprints import metric_blueprints
from tests.factories import make_cast, make_token
from tests.kit.metric_api import MetricApi
from tests.kit.web import make_app

if TYPE_CHECKING:
    from anomify.edge.app_state import AppState


@pytest.fixture
def api(database: Database, tmp_path: Path) -> Iterator[MetricApi]:
    with database.unit_of_work():
        cast = make_cast()
        _, read_token = make_token(cast.acme, "read")
        _, ingest_token = make_token(cast.acme, "ingest", name="sender")
    app = make_app(database, tmp_path, [*metric_blueprints(), *anomaly_blueprints()])
    app_state: AppState = app.extensions["anomify"]
    yield MetricApi(app.test_client(), app_state, cast, read_token, ingest_token)
    app_state.points.close()

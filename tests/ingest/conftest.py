"""A small app with the ingestion api, the real registry and the real store of points."""

from dataclasses import dataclass

import pytest
from flask import Flask
from pydantic import SecretStr

from anomify.clock import now
from anomify.config import Settings
from anomify.edge import install as edge_install
from anomify.edge.app_state import AppState
from anomify.edge.contract import check_declared
from anomify.exclusion.assigning import excluder_of
from anomify.ingest import flux, prometheus
from anomify.metric.model import Metric
from anomify.metric.registry import Registry
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.org.token import create_token
from anomify.storage.month_files import PointFiles
from anomify.storage.postgresql import PointTables

ALWAYS = 1 << 45


@dataclass
class IngestApi:
    """A client of the ingestion routes, and access to what was stored."""

    app_state: AppState
    client: object
    org_id: int
    token: str
    app: Flask

    def post(self, path, body=b"", token="", **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        return self.client.post(path, data=body, headers=sent)

    def stored(self, name, org_id=None):
        """(time, value) of every datapoint of the metric, or None where there is no metric."""
        with self.app_state.database.unit_of_work(write=False) as session:
            metric = (
                session.query(Metric).filter_by(name=name, org_id=org_id or self.org_id).first()
            )
        if metric is None:
            return None
        series = self.app_state.points.read(metric.id, 0, ALWAYS)
        return list(zip(series.times.tolist(), series.values.tolist(), strict=True))

    def names(self, org_id=None):
        with self.app_state.database.unit_of_work(write=False) as session:
            rows = session.query(Metric).filter_by(org_id=org_id or self.org_id)
            return sorted(metric.name for metric in rows)

    def log(self):
        """Every entry of the log."""
        return [row.entry for row in self.app_state.points.log.read(0)]

    def make_org(self, name, scopes=("ingest",), quota=None):
        with self.app_state.database.unit_of_work() as session:
            org = Org(name=name, created_at=now(), metric_quota=quota)
            session.add(org)
            session.flush()
            return org.id, create_token(org, "sender", scopes, "tests")[1]


@pytest.fixture
def api(database, backend, tmp_path):
    points = PointFiles(tmp_path) if backend == "sqlite" else PointTables(database.engine)
    store = PointStore(points)
    settings = Settings(data_dir=tmp_path, secret_key=SecretStr("00" * 32))
    app_state = AppState(settings, database, store, Registry(database, excluder_of))
    app = Flask("anomify")
    edge_install.install(app, app_state)
    app.register_blueprint(flux.blueprint)
    app.register_blueprint(prometheus.blueprint)
    check_declared(app)
    made = IngestApi(app_state, app.test_client(), 0, "", app)
    made.org_id, made.token = made.make_org("Acme")
    store.follow()
    yield made
    store.close()
    points.close()

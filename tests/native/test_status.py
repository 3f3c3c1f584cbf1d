"""/status: the state of each part."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.errors import Unavailable
from anomify.metric.failing import MOST_FAILURES, record_failure
from anomify.native import status
from anomify.org.heartbeat import record_heartbeat
from anomify.org.muting import mute_org
from anomify.storage.damaged_items import Kind
from tests.factories import make_anomaly, make_delivery, make_metric, make_org, make_watcher
from tests.kit.web import make_app, strict


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, [status.blueprint])
    yield app
    app.extensions["anomify"].points.close()


def parts(app):
    reply = app.test_client().get("/status")
    assert reply.status_code == 200
    return {part["name"]: part for part in strict(reply)["data"]["components"]}


def heartbeat(database, ago=0.0, lag=0.0, worker="host:1"):
    with database.unit_of_work():
        record_heartbeat(worker, now() - timedelta(seconds=ago), log_offset=1, lag_seconds=lag)


class TestStatus:
    def test_reports_that_no_worker_has_run(self, app):
        found = parts(app)
        assert found["database"] == {
            "name": "database",
            "ok": True,
            "lag_seconds": None,
            "problem": None,
        }
        assert found["log"]["ok"] is True
        assert found["worker"] == {
            "name": "worker",
            "ok": False,
            "lag_seconds": None,
            "problem": None,
        }

    def test_reports_the_lag_of_the_worker(self, app, database):
        heartbeat(database, lag=3.5)
        assert parts(app)["worker"] == {
            "name": "worker",
            "ok": True,
            "lag_seconds": 3.5,
            "problem": None,
        }
        heartbeat(database, lag=3600)
        assert parts(app)["worker"]["ok"] is False

    def test_reports_how_many_metrics_are_learnt_again(self, app, database):
        counts = {"learnt_again": 3_400, "to_learn_again": 10_000}
        with database.unit_of_work():
            record_heartbeat("host:1", now(), log_offset=1, lag_seconds=40, **counts)
        found = parts(app)["worker"]
        assert found["ok"] is True
        assert found["problem"] == "learning the metrics again: 3,400 of 10,000"
        heartbeat(database, worker="host:2")
        assert parts(app)["worker"]["problem"] is None, "the first one was stopped meanwhile"

    def test_reports_a_worker_without_heartbeats(self, app, database):
        heartbeat(database, ago=61)
        assert parts(app)["worker"]["ok"] is False

    def test_reports_overdue_messages(self, app, database):
        assert parts(app)["delivery"] == {
            "name": "delivery",
            "ok": True,
            "lag_seconds": 0.0,
            "problem": None,
        }
        with database.unit_of_work():
            org = make_org()
            anomaly = make_anomaly(make_metric(org))
            due_at = now() - timedelta(minutes=10)
            make_delivery(make_watcher(org), anomaly, due_at=due_at)
        found = parts(app)["delivery"]
        assert found["ok"] is False
        assert found["lag_seconds"] >= 600
        with database.unit_of_work():
            mute_org(org.id, 30, actor="Alice")
        assert parts(app)["delivery"]["ok"] is True

    def test_reports_an_unreadable_log(self, app, monkeypatch):
        def fail():
            raise Unavailable("the disk is gone")

        monkeypatch.setattr(app.extensions["anomify"].points.log, "last_offset", fail)
        found = parts(app)
        assert found["log"]["ok"] is False
        assert found["database"]["ok"] is True

    def test_reports_damaged_stored_data(self, app):
        assert parts(app)["storage"]["ok"] is True
        points = app.extensions["anomify"].points
        points.chunks.damaged_items.add(Kind.CHUNK, 1, b"rubbish", "It is cut short.", metric_id=1)
        points.follow()
        found = parts(app)["storage"]
        assert found["ok"] is False
        assert found["problem"] == (
            "1 stored pieces cannot be read and are left out; `anomify doctor` says which"
        )

    def test_reports_an_isolated_metric(self, app, database):
        with database.unit_of_work():
            metric_id = make_metric(make_org()).id
            for _ in range(MOST_FAILURES):
                record_failure(metric_id, "judging", ArithmeticError("no"), now())
        assert parts(app)["storage"]["problem"].startswith("1 metrics are isolated after failures;")

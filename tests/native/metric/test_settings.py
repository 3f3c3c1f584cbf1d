"""/metric/settings and /metric/delete over HTTP, and their effect in the worker."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from anomify.audit.model import AuditEntry
from anomify.clock import now_ms
from anomify.db import Database, session
from anomify.edge.app_state import AppState
from anomify.metric.deleting import SETTLED_AFTER
from anomify.metric.model import DeletedMetric, Metric, Rebuild
from anomify.metric.state import PARTITIONS
from anomify.native.metric import settings as metric_settings
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.factories import Cast, make_anomaly, make_cast, make_delivery, make_metric, make_watcher
from tests.kit.web import error, make_app, strict

MINUTE = 60_000
DAY_MS = 1440 * MINUTE
COUNT = 300


@dataclass
class Shop:
    """An app with the routes under test, its users, and a metric of Acme's."""

    client: FlaskClient
    app_state: AppState
    cast: Cast
    metric_id: int

    def ask(self, method: str, url: str, who: str = "alice", **requested: Any) -> Any:
        headers = self.cast.headers(who)
        if method == "GET":
            return self.client.get(url, headers=headers, query_string=requested)
        return self.client.post(url, headers=headers, json=requested)

    def data(self, method: str, url: str, who: str = "alice", **requested: Any) -> Any:
        reply = self.ask(method, url, who, **requested)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def send(self, metric_id: int, count: int = COUNT, *, end_ms: int | None = None) -> None:
        end = (now_ms() if end_ms is None else end_ms) // MINUTE * MINUTE
        times = end - MINUTE * np.arange(count, dtype=np.int64)[::-1]
        values = 100 + np.random.default_rng(1).normal(0, 1, count)
        ids = np.full(count, metric_id, np.int64)
        self.app_state.points.append(Entry(Points(ids, times, values), Points.empty()))

    def analyser(self) -> Analyser:
        analyser = Analyser(
            self.app_state.database, self.app_state.points.log, self.app_state.points.chunks
        )
        analyser.recover()
        return analyser

    def audited(self) -> list[tuple[str, str, Any]]:
        with self.app_state.database.unit_of_work(write=False):
            rows = session().scalars(select(AuditEntry).order_by(AuditEntry.id))
            return [(row.actor, row.action, row.after) for row in rows]


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    app = make_app(database, tmp_path, [metric_settings.blueprint])
    with database.unit_of_work():
        cast = make_cast()
        metric_id = make_metric(cast.acme, "cpu.load").id
    app_state = app.extensions["anomify"]
    yield Shop(app.test_client(), app_state, cast, metric_id)
    app_state.points.close()


class TestSettings:
    def test_have_defaults(self, shop: Shop) -> None:
        for url, requested in (
            ("/metric/cpu.load/settings", {}),
            ("/metric/settings", {"metric": "cpu.load"}),
        ):
            assert shop.data("GET", url, **requested)["settings"] == {
                "metric": "cpu.load",
                "direction": "both",
                "smallest_change": 0.0,
                "kind": "auto",
                "step": None,
                "unit": "",
                "may_be_silent": False,
                "sensitivity": None,
            }

    def test_do_not_change_if_left_out(self, shop: Shop) -> None:
        url = "/metric/cpu.load/settings"
        shop.data("POST", url, direction="up", unit=" ms ", step=30, sensitivity=0.25)
        data = shop.data("POST", url, smallest_change=2.5, step=0, sensitivity=0)
        assert data["settings"] == shop.data("GET", url)["settings"]
        assert data["settings"] | {"metric": ""} == {
            "metric": "",
            "direction": "up",
            "smallest_change": 2.5,
            "kind": "auto",
            "step": None,
            "unit": "ms",
            "may_be_silent": False,
            "sensitivity": None,
        }

    def test_request_a_rebuild_only_if_the_past_is_judged_differently(self, shop: Shop) -> None:
        url = "/metric/cpu.load/settings"
        assert not shop.data("POST", url, direction="down")["is_judged_anew"]
        assert shop.data("POST", url, kind="counter")["is_judged_anew"]
        assert not shop.data("POST", url, kind="counter")["is_judged_anew"]
        with shop.app_state.database.unit_of_work(write=False):
            assert session().get_one(Rebuild, shop.metric_id).reason == "settings"

    def test_changes_are_recorded_in_the_audit_trail(self, shop: Shop) -> None:
        for _ in range(2):
            shop.data("POST", "/metric/cpu.load/settings", "bob", may_be_silent=True)
        [(actor, action, after)] = shop.audited()
        assert (actor, action, after) == ("Bob", "metric.settings", {"may_be_silent": True})

    @pytest.mark.parametrize(
        "requested",
        [
            {"direction": "sideways"},
            {"smallest_change": -1},
            {"smallest_change": 1e300},
            {"kind": "histogram"},
            {"step": -1},
            {"step": "often"},
            {"unit": "x" * 33},
            {"sensitivity": -1},
            {"sensitivity": 1000},
        ],
    )
    def test_refuse_invalid_values(self, shop: Shop, requested: dict[str, Any]) -> None:
        reply = shop.ask("POST", "/metric/cpu.load/settings", **requested)
        assert reply.status_code == 400
        assert set(error(reply)["fields"]) == set(requested)

    def test_are_read_by_viewers_and_set_by_editors_of_the_org_only(self, shop: Shop) -> None:
        url = "/metric/cpu.load/settings"
        assert shop.ask("GET", url, "charlie").status_code == 404
        assert shop.ask("POST", url, "charlie", unit="ms").status_code == 404
        assert shop.ask("POST", url, "dave", unit="ms").status_code == 403
        assert shop.ask("GET", url, "dave").status_code == 200
        assert shop.ask("GET", "/metric/nothing/settings").status_code == 404

    def test_apply_in_the_worker_from_the_next_point(self, shop: Shop) -> None:
        shop.send(shop.metric_id)
        analyser = shop.analyser()
        analyser.run_once()
        shop.data("POST", "/metric/cpu.load/settings", direction="down", may_be_silent=True)
        analyser.reload_settings()
        for known in (analyser, shop.analyser()):
            slot = known._scorer._slots_of(np.array([shop.metric_id]))
            assert known._scorer.state.slots["set_direction"][slot] == -1
            assert known._settings.by_metric[shop.metric_id].may_be_silent


class TestDelete:
    def prepare(self, shop: Shop) -> Analyser:
        shop.send(shop.metric_id)
        analyser = shop.analyser()
        analyser.run_once()
        analyser.checkpoint(range(PARTITIONS))
        shop.send(shop.metric_id, 2, end_ms=now_ms() + 2 * MINUTE)
        with shop.app_state.database.unit_of_work():
            metric = session().get_one(Metric, shop.metric_id)
            anomaly = make_anomaly(metric)
            make_delivery(make_watcher(shop.cast.acme), anomaly)
        shop.app_state.points.follow()
        return analyser

    def test_returns_what_would_be_deleted_first(self, shop: Shop) -> None:
        self.prepare(shop)
        data = shop.data("POST", "/metric/cpu.load/delete")
        assert data == {
            "metric": "cpu.load",
            "deleted": False,
            "points": COUNT + 2,
            "anomalies": 1,
            "messages": 1,
        }
        assert shop.data("GET", "/metric/cpu.load/settings")
        assert shop.audited() == []

    def test_deletes_all_data_of_the_metric(self, shop: Shop) -> None:
        analyser = self.prepare(shop)
        known = shop.app_state.registry.register(shop.cast.acme.id, {b"key": "cpu.load"}).ids
        assert known == {b"key": shop.metric_id}
        assert shop.data("POST", "/metric/cpu.load/delete", dry_run=False)["deleted"]
        assert shop.ask("GET", "/metric/cpu.load/settings").status_code == 404
        assert [action for _, action, _ in shop.audited()] == ["metric.delete"]
        # What was on its way to the worker belongs to no metric, and does not stop it.
        shop.send(shop.metric_id, 1, end_ms=now_ms() + 3 * MINUTE)
        analyser.run_once()
        analyser.checkpoint(range(PARTITIONS))
        analyser.drop_deleted()
        assert len(analyser._scorer) == 0
        assert len(shop.app_state.points.chunks.read_all(shop.metric_id)) == 0
        with shop.app_state.database.unit_of_work():
            buried = session().get_one(DeletedMetric, shop.metric_id)
            assert buried.points_gone_at is None
            buried.deleted_at -= SETTLED_AFTER
        analyser.drop_deleted()
        with shop.app_state.database.unit_of_work(write=False):
            buried = session().get_one(DeletedMetric, shop.metric_id)
            assert buried.points_gone_at is not None

    def test_the_next_point_of_the_name_creates_a_new_metric(self, shop: Shop) -> None:
        analyser = self.prepare(shop)
        shop.app_state.registry.register(shop.cast.acme.id, {b"key": "cpu.load"})
        shop.data("POST", "/metric/cpu.load/delete", dry_run=False)
        assert shop.app_state.registry.known(shop.cast.acme.id)(b"key") is None
        [new_id] = shop.app_state.registry.register(
            shop.cast.acme.id, {b"key": "cpu.load"}
        ).ids.values()
        assert new_id != shop.metric_id
        shop.send(new_id, 10)
        while analyser.run_once():
            pass
        assert analyser._scorer.summary_of(np.array([new_id])).seen.tolist() == [10]
        assert len(shop.app_state.points.read(new_id, 0, now_ms() + DAY_MS)) == 10

    def test_other_processes_notice_the_deletion(self, shop: Shop) -> None:
        registry = shop.app_state.registry
        registry.register(shop.cast.acme.id, {b"key": "cpu.load"})
        with shop.app_state.database.unit_of_work():
            session().add(
                DeletedMetric(metric_id=shop.metric_id, deleted_at=shop.cast.acme.created_at)
            )
        registry.follow_deleted()
        assert registry.known(shop.cast.acme.id)(b"key") is None

    def test_accepts_only_the_name_because_an_id_may_be_another_name(self, shop: Shop) -> None:
        for url in (f"/metric/{shop.metric_id}/delete", "/metric/delete"):
            requested = {"metric": str(shop.metric_id)} if url == "/metric/delete" else {}
            reply = shop.ask("POST", url, dry_run=False, **requested)
            assert (reply.status_code, list(error(reply)["fields"])) == (400, ["metric"])
        assert shop.data("GET", f"/metric/{shop.metric_id}/settings")["settings"]["metric"]

    def test_is_for_admins_of_the_org(self, shop: Shop) -> None:
        assert shop.ask("POST", "/metric/cpu.load/delete", "bob").status_code == 403
        assert shop.ask("POST", "/metric/cpu.load/delete", "charlie").status_code == 404

"""Rows that are deleted while the worker uses them cost a second attempt, never a restart."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import delete, event, select
from sqlalchemy.exc import SQLAlchemyError

from anomify.anomaly.model import Anomaly, Span
from anomify.clock import now_ms
from anomify.db import Database, session
from anomify.errors import NotFound
from anomify.metric.judged_counts import HOUR_MS, judged_points
from anomify.metric.model import DormantState, Metric, Progress
from anomify.metric.state import PARTITIONS
from anomify.metric_deletion.delete_metric import delete_metric_and_anomalies
from anomify.org.model import Org
from anomify.org_deletion.delete_org import delete_org
from anomify.user.model import User
from anomify.watcher.model import Watcher
from anomify.worker import no_data
from anomify.worker.checkpoints import DORMANT_AFTER_MS
from tests.factories import make_metric, make_org, make_user, make_watcher
from tests.kit.plant import MINUTE, POINTS, Plant, drain, noise, past, with_spike


def delete_metric_of(plant: Plant) -> None:
    delete_metric_and_anomalies(session().get_one(Metric, plant.metric_ids[1]), "Alice")


def delete_org_of(plant: Plant) -> None:
    del plant
    delete_org(session().scalars(select(Org).where(Org.name == "Globex")).one())


def delete_rows(kind: type) -> Callable[[Plant], None]:
    def delete_all(plant: Plant) -> None:
        del plant
        session().execute(delete(kind))

    return delete_all


VANISHING = {
    "metric": delete_metric_of,
    "org": delete_org_of,
    "watcher": delete_rows(Watcher),
    "user": delete_rows(User),
    "anomaly": delete_rows(Anomaly),
}


def elsewhere(database: Database, act: Callable[[], None]) -> None:
    """Do it in a transaction of another process, which gives up where it would have to wait."""

    def commit() -> None:
        with database.unit_of_work(wait_seconds=0.02):
            if not database.is_sqlite:
                session().connection().exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
            act()

    def attempt() -> None:
        try:
            commit()
        except (SQLAlchemyError, NotFound):
            # It had to wait, or has happened already.
            return

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join(30)


class Crowd:
    """Three metrics of one org and one of another, an open anomaly on most, and watchers."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.other = Database(plant.database.url.render_as_string(hide_password=False))
        self.other.sealing_key = plant.database.sealing_key
        with plant.database.unit_of_work():
            globex = make_org("Globex")
            self.foreign = make_metric(globex, "m1").id
            for org in (session().get_one(Org, plant.org_id), globex):
                user = make_user(org, email=f"{org.name}@example.org".lower())
                make_watcher(
                    org,
                    "m",
                    severity="low",
                    webhook_url="https://hooks.example/",
                    email_user_ids=[user.id],
                )
        self.ids = [*plant.metric_ids, self.foreign]
        self.times = past()

    def send(self, first: int, end: int) -> None:
        for number, metric_id in enumerate(self.ids):
            # Some are in an anomaly before the tick that is watched, the others come into one.
            start = POINTS - 60 if number % 2 else POINTS - 20
            values = noise(seed=number)
            values[start:] += 60
            self.plant.send(metric_id, self.times[first:end], values[first:end])


@pytest.mark.parametrize("what", VANISHING)
class TestVanishing:
    def test_does_not_disturb_a_tick_at_any_statement(self, plant: Plant, what: str) -> None:
        crowd = Crowd(plant)
        analyser = plant.analyser()
        crowd.send(0, POINTS - 30)
        drain(analyser)
        crowd.send(POINTS - 30, POINTS)
        statements = 0

        def vanish(*_: object) -> None:
            nonlocal statements
            statements += 1
            if threading.current_thread() is threading.main_thread() and statements % 7 == 3:
                elsewhere(crowd.other, lambda: VANISHING[what](plant))

        event.listen(plant.database.engine, "before_cursor_execute", vanish)
        drain(analyser)
        analyser.find_metrics_without_data()
        analyser.checkpoint(range(PARTITIONS))
        event.remove(plant.database.engine, "before_cursor_execute", vanish)
        crowd.other.dispose()
        assert statements > 7
        kept = plant.metric_ids[0]
        assert plant.progress(kept).points_seen == POINTS
        assert np.isfinite(plant.read(kept).judgements.scores[100:]).all()
        with plant.database.unit_of_work(write=False):
            counted = judged_points(plant.org_id, 0, now_ms() + HOUR_MS)
            still = set(session().scalars(select(Progress.metric_id)))
        whole = {
            metric_id: int(np.isfinite(plant.read(metric_id).judgements.scores).sum())
            for metric_id in plant.metric_ids
            if metric_id in still
        }
        # What was counted of a metric before it was deleted stays counted.
        assert sum(whole.values()) <= counted <= 3 * (POINTS - 100)
        again = plant.analyser()
        assert not drain(again)


class TestMetricIsDeleted:
    """Between the moment the worker looks what was deleted and its write."""

    def vanish_before(self, plant: Plant, monkeypatch, place: object, step: str) -> None:
        real = getattr(place, step)

        def delete_first(*arguments: object) -> object:
            monkeypatch.undo()
            with plant.database.unit_of_work():
                delete_metric_of(plant)
            return real(*arguments)

        monkeypatch.setattr(place, step, delete_first)

    def test_in_a_tick(self, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        analyser = plant.analyser()
        for metric_id in plant.metric_ids:
            plant.send(metric_id, past(), with_spike(noise(), POINTS - 2))
        self.vanish_before(plant, monkeypatch, analyser, "_find_new_rows")
        drain(analyser)
        kept = [plant.metric_ids[0], plant.metric_ids[2]]
        assert [found[0] for found in plant.anomalies()] == kept
        with plant.database.unit_of_work(write=False):
            counted = judged_points(plant.org_id, 0, now_ms() + HOUR_MS)
        judged = [np.isfinite(plant.read(one).judgements.scores).sum() for one in kept]
        assert counted == sum(judged)
        plant.send(plant.metric_ids[1], past()[-1:] + MINUTE, np.ones(1))
        drain(analyser)

    def test_while_it_becomes_dormant(self, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        analyser = plant.analyser()
        for metric_id in plant.metric_ids:
            plant.send(metric_id, past(), noise())
        drain(analyser)
        analyser._received.times_ms[:] -= 2 * DORMANT_AFTER_MS
        self.vanish_before(plant, monkeypatch, analyser._chunks, "seal")
        analyser.checkpoint([plant.metric_ids[1] % PARTITIONS])
        with plant.database.unit_of_work(write=False):
            assert session().get(DormantState, plant.metric_ids[1]) is None

    @pytest.mark.parametrize(
        ("part", "step"),
        [
            ("_checkpoints", "keep_one"),
            ("_rebuilder", "_write_down_counted"),
            ("_settings", "reload"),
        ],
    )
    def test_in_a_rebuild(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch, part: str, step: str
    ) -> None:
        analyser = plant.analyser()
        plant.send(plant.metric_ids[1], past(), noise())
        drain(analyser)
        self.vanish_before(plant, monkeypatch, getattr(analyser, part), step)
        analyser.rebuild(plant.metric_ids[1])
        with plant.database.unit_of_work(write=False):
            assert session().get(Progress, plant.metric_ids[1]) is None

    def test_while_it_is_silent(self, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        analyser = plant.analyser()
        for metric_id in plant.metric_ids:
            plant.send(metric_id, past(), noise())
        drain(analyser)
        with plant.database.unit_of_work():
            for metric_id in plant.metric_ids:
                session().get_one(Progress, metric_id).silent_from_ms = now_ms() - 1
        analyser._overdue.note((each, now_ms() - 1) for each in plant.metric_ids)
        real = no_data.write

        def delete_first(*arguments: object) -> object:
            monkeypatch.undo()
            with plant.database.unit_of_work():
                delete_metric_of(plant)
            return real(*arguments)

        monkeypatch.setattr(no_data, "write", delete_first)
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work(write=False):
            silences = set(session().scalars(select(Span.metric_id).where(Span.is_silence)))
        assert silences == {plant.metric_ids[0], plant.metric_ids[2]}

"""States that an older version of the engine has stored are learnt again from the stored points."""

import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from anomify.config import Settings
from anomify.db import session
from anomify.detection import state as engine
from anomify.metric.model import Checkpoint, DormantState
from anomify.metric.state import PARTITIONS, find_state
from anomify.org.heartbeat import learning_again_in_words
from anomify.org.model import WorkerHeartbeat
from anomify.worker import loop
from anomify.worker.analyse import Analyser
from anomify.worker.engine_states import EngineStates
from anomify.worker.loop import judge_until
from tests.kit.plant import POINTS, Plant, drain, noise, past, with_spike


@pytest.fixture
def stored_by_older(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Judge two metrics, one of them dormant, with the engine's older version; return the times."""
    active, dormant = plant.metric_ids[:2]
    times = past()
    plant.watch()
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_VERSION", engine._VERSION - 1)
        analyser = plant.analyser()
        for metric_id in (active, dormant):
            plant.send(metric_id, times[:-5], with_spike(noise(), 500)[:-5])
        drain(analyser)
        analyser._received.times_ms[dormant] = 1
        analyser.checkpoint(range(PARTITIONS))
    with plant.database.unit_of_work(write=False):
        assert session().get(DormantState, dormant) is not None
        assert session().get(Checkpoint, active % PARTITIONS) is not None
        assert find_state(active) is None
    return times


class TestStatesOfAnOlderVersion:
    def test_are_learnt_again_as_if_this_version_had_judged_all_points(
        self, plant: Plant, stored_by_older: np.ndarray
    ) -> None:
        active, dormant, reference = plant.metric_ids
        values = with_spike(noise(), 500)
        analyser = plant.analyser()
        for metric_id in (active, dormant):
            plant.send(metric_id, stored_by_older[-5:], values[-5:])
        plant.send(reference, stored_by_older, values)
        drain(analyser)
        expected = analyser._scorer.snapshot_of(np.array([reference]))
        for metric_id in (active, dormant):
            assert analyser._scorer.snapshot_of(np.array([metric_id])) == expected
            assert plant.progress(metric_id).points_seen == POINTS
        assert not plant.points.chunks.damaged_items.list()
        analyser.checkpoint(range(PARTITIONS))
        with plant.database.unit_of_work(write=False):
            assert find_state(active) is not None

    def test_report_nothing_about_old_points_and_report_new_ones(
        self, plant: Plant, stored_by_older: np.ndarray
    ) -> None:
        active, dormant = plant.metric_ids[:2]
        anomalies, announced = plant.anomalies(), plant.announced()
        judgements = plant.read(active).judgements
        assert len(anomalies) == 2
        analyser = plant.analyser()
        for metric_id in (active, dormant):
            plant.send(metric_id, stored_by_older[-5:-3], noise()[-5:-3])
        drain(analyser)
        assert plant.anomalies() == anomalies
        assert plant.announced() == announced
        scores = plant.read(active).judgements.scores
        np.testing.assert_array_equal(scores[: POINTS - 5], judgements.scores)
        for metric_id in (active, dormant):
            plant.send(metric_id, stored_by_older[-3:], noise()[-3:] + 60)
        drain(analyser)
        new = {(whose, began) for whose, began, _, _ in plant.anomalies()[len(anomalies) :]}
        assert new == {(active, stored_by_older[-3]), (dormant, stored_by_older[-3])}
        # They began together, so they are told as one.
        assert len(plant.announced()) == len(announced) + 1


def all_judged_by_older(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Judge three metrics, of three partitions, with the older version; return the times."""
    times = past()
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_VERSION", engine._VERSION - 1)
        analyser = plant.analyser()
        for metric_id in plant.metric_ids:
            plant.send(metric_id, times[:-5], with_spike(noise(), 500)[:-5])
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
    return times


class TestRelearning:
    def test_is_counted_and_reported_after_each_metric(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        all_judged_by_older(plant, monkeypatch)
        analyser = Analyser(plant.database, plant.points.log, plant.points.chunks)
        seen = set()

        def report() -> None:
            seen.add((analyser.relearning.done, analyser.relearning.total))
            assert analyser.lag_seconds() == 0

        assert analyser.recover(report=report)
        assert seen >= {(1, 3), (2, 3), (3, 3)}
        assert (analyser.relearning.done, analyser.relearning.total) == (0, 0)
        assert "learning 3 metrics again from their points" in caplog.text

    def test_continues_with_the_rest_after_a_stop_in_the_middle(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times = all_judged_by_older(plant, monkeypatch)
        values = with_spike(noise(), 500)
        for metric_id in plant.metric_ids:
            plant.send(metric_id, times[-5:], values[-5:])
        stopped = Analyser(plant.database, plant.points.log, plant.points.chunks)
        assert not stopped.recover(lambda: stopped.relearning.done >= 2)
        totals = []
        resumed = Analyser(plant.database, plant.points.log, plant.points.chunks)
        assert resumed.recover(report=lambda: totals.append(resumed.relearning.total))
        assert max(totals) == 2, "one partition was complete and is kept"
        drain(resumed)
        assert all(
            plant.progress(metric_id).points_seen == POINTS for metric_id in plant.metric_ids
        )
        states = {resumed._scorer.snapshot_of(np.array([one])) for one in plant.metric_ids}
        assert len(states) == 1, "as if there had been no stop"
        with plant.database.unit_of_work(write=False):
            assert find_state(plant.metric_ids[0]) is not None

    def test_has_heartbeats_with_the_progress(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        all_judged_by_older(plant, monkeypatch)
        told: list[str | None] = []
        learnt: list[int] = []
        stopping = threading.Event()
        monkeypatch.setattr(loop, "HEARTBEAT_EVERY_SECONDS", 0)
        learn = EngineStates._learn_metric_again

        def learn_and_look(states: EngineStates, metric_id: int, since_ms: int) -> None:
            with plant.database.unit_of_work(write=False):
                rows = session().scalars(select(WorkerHeartbeat))
                told.extend(learning_again_in_words(row) for row in rows)
            learn(states, metric_id, since_ms)
            learnt.append(metric_id)
            if len(learnt) == 3:
                stopping.set()

        monkeypatch.setattr(EngineStates, "_learn_metric_again", learn_and_look)
        judge_until(stopping, plant.database, plant.points, Settings(data_dir=tmp_path))
        assert told[-2:] == [f"learning the metrics again: {done} of 3" for done in (1, 2)]

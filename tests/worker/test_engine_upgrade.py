"""States that an older version of the engine has stored are learnt again from the stored points."""

import numpy as np
import pytest

from anomify.db import session
from anomify.detection import state as engine
from anomify.metric.model import Checkpoint, DormantState
from anomify.metric.state import PARTITIONS, find_state
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
        assert len(plant.announced()) == len(announced) + 2

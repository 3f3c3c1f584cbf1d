"""The first reading of a counter after a restart has no rate: it arrives, but is not judged."""

import numpy as np

from anomify.clock import now_ms
from anomify.metric.judged_counts import HOUR_MS, judged_points
from anomify.worker.analyse import Analyser
from tests.kit.plant import MINUTE, Plant, drain, past

COUNT = 400


def counted(count: int = COUNT, *, restart: int | None = None, fast: slice | None = None):
    """Return readings of a counter of about ten a second, which is faster for some points."""
    steps = 600 + np.random.default_rng(4).normal(0, 6, count)
    if fast is not None:
        steps[fast] *= 5
    values = 1e6 + np.cumsum(steps)
    if restart is not None:
        values[restart:] -= values[restart] - 200
    return values


def judged(plant: Plant) -> int:
    with plant.database.unit_of_work(write=False):
        return judged_points(plant.org_id, 0, now_ms() + HOUR_MS)


def judge(plant: Plant, times: np.ndarray, values: np.ndarray) -> Analyser:
    """Send the points of the first metric, each in a row of the log of its own, and judge them."""
    analyser = plant.analyser()
    plant.send(plant.metric_ids[0], times[:-60], values[:-60])
    drain(analyser)
    for place in range(len(times) - 60, len(times)):
        plant.send(plant.metric_ids[0], times[place : place + 1], values[place : place + 1])
        analyser.run_once()
    return analyser


class TestRestart:
    def test_is_stored_without_a_judgement_and_counted_as_arrived(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times = past(COUNT)
        analyser = judge(plant, times, counted(restart=380))
        assert plant.anomalies() == []
        progress = plant.progress(metric_id)
        assert progress.is_counter
        assert (progress.points_seen, progress.judged_until_ms) == (COUNT, times[-1])
        scores = plant.read(metric_id).judgements.scores
        assert times[np.isnan(scores)].tolist() == [*times[:100].tolist(), times[380]]
        assert judged(plant) == COUNT - 101

        analyser.rebuild(metric_id)
        again = plant.read(metric_id).judgements.scores
        np.testing.assert_array_equal(np.isnan(again), np.isnan(scores))
        assert judged(plant) == COUNT - 101
        assert plant.anomalies() == []

    def test_as_the_newest_point_delays_when_silence_is_an_anomaly(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(COUNT), counted(restart=COUNT - 1)
        analyser = judge(plant, times[:-1], values[:-1])
        before = plant.progress(metric_id)
        plant.send(metric_id, times[-1:], values[-1:])
        drain(analyser)
        after = plant.progress(metric_id)
        assert after.judged_until_ms == times[-1]
        assert before.silent_from_ms is not None
        assert after.silent_from_ms is not None
        assert after.silent_from_ms >= before.silent_from_ms
        analyser.find_metrics_without_data()
        assert plant.anomalies() == []

    def test_ends_a_silence(self, plant: Plant) -> None:
        times = past(COUNT, end_ms=now_ms() - 10 * MINUTE)
        analyser = judge(plant, times, counted())
        analyser._overdue._from_ms -= 10 * MINUTE
        analyser.find_metrics_without_data()
        [(metric_id, started, ended, _)] = plant.anomalies()
        assert ended is None
        back = past(1)
        plant.send(metric_id, back, np.array([150.0]))
        drain(analyser)
        assert [(one[1], one[2]) for one in plant.anomalies()] == [(started, back[0])]

    def test_neither_extends_nor_closes_an_open_anomaly(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(COUNT), counted(restart=375, fast=slice(370, 375))
        analyser = judge(plant, times[:375], values[:375])
        [(_, started, ended, _)] = plant.anomalies()
        assert (started, ended) == (times[370], None)
        plant.send(metric_id, times[375:376], values[375:376])
        drain(analyser)
        assert plant.anomalies()[0][1:3] == (started, None)
        plant.send(metric_id, times[376:], values[376:])
        drain(analyser)
        [(_, started, ended, _)] = plant.anomalies()
        assert started == times[370]
        assert ended is not None
        assert times[374] <= ended < times[390]
        assert ended != times[375]

        live = plant.anomalies()
        analyser.rebuild(metric_id)
        assert plant.anomalies() == live

    def test_only_restarts_in_a_row_are_judged_from_the_second_on(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(COUNT), counted()
        values[380:390] = np.geomspace(1000, 1, 10)
        judge(plant, times, values)
        scores = plant.read(metric_id).judgements.scores
        assert np.flatnonzero(np.isnan(scores[100:])).tolist() == [280]

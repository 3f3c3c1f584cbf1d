"""The worker judges on real databases: nothing is recorded twice or lost, whenever it is killed."""

from datetime import timedelta

import numpy as np
import pytest

from anomify.anomaly.queries import Running, list_anomalies
from anomify.clock import now, now_ms
from anomify.db import session
from anomify.metric.forecast import expected_ahead
from anomify.metric.model import Checkpoint, Metric, Rebuild
from anomify.metric.queries import get_metric_status
from anomify.metric.state import PARTITIONS
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from anomify.worker.rebuild import rebuild_one
from tests.kit.plant import MINUTE, POINTS, Plant, drain, noise, past, with_spike


class TestRunOnce:
    def test_learns_a_hundred_points_then_judges(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(150), noise(150)
        analyser = plant.analyser()
        plant.send(metric_id, times[:50], values[:50])
        drain(analyser)
        assert plant.progress(metric_id).points_seen == 50
        plant.send(metric_id, times[50:], values[50:])
        drain(analyser)
        progress = plant.progress(metric_id)
        assert (progress.points_seen, progress.resolution_ms) == (150, MINUTE)
        assert progress.judged_until_ms == times[-1]
        scores = plant.read(metric_id).judgements.scores
        assert np.isnan(scores[:100]).all()
        assert np.isfinite(scores[100:]).all()

    def test_finds_a_spike_and_its_end(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times = past()
        plant.send(metric_id, times, with_spike(noise(), 500))
        drain(plant.analyser())
        [(found, started, ended, severity)] = plant.anomalies()
        assert (found, severity) == (metric_id, "high")
        assert started == times[500]
        assert ended is not None
        assert times[500] <= ended <= times[505]

    def test_leaves_an_anomaly_open_while_it_runs(self, plant: Plant) -> None:
        plant.send(plant.metric_ids[0], past(), with_spike(noise(), POINTS - 2))
        drain(plant.analyser())
        [(_, _, ended, _)] = plant.anomalies()
        assert ended is None

    def test_explains_what_was_expected(self, plant: Plant) -> None:
        plant.send(plant.metric_ids[0], past(), with_spike(noise(), 500))
        drain(plant.analyser())
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id, running=Running.ENDED).items
            assert "above the expected" in anomaly.span.explanation
            assert anomaly.span.expected_lower < 100 < anomaly.span.expected_upper < 120

    def test_counts_points_that_are_sent_again_once(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 500)
        analyser = plant.analyser()
        plant.send(metric_id, times, values)
        drain(analyser)
        before = (plant.anomalies(), plant.read(metric_id).judgements.scores.tolist())
        plant.send(metric_id, times[::-1], values[::-1])
        analyser.checkpoint(range(PARTITIONS))
        plant.send(metric_id, times[400:], values[400:])
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        assert plant.progress(metric_id).late_points == 0
        after = (plant.anomalies(), plant.read(metric_id).judgements.scores.tolist())
        assert str(before) == str(after)

    def test_keeps_the_state_of_a_metric_soon_after_it_has_learnt(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        analyser = plant.analyser()

        def has_forecast() -> bool:
            until_ms = int(times[-1]) + 10 * MINUTE
            with plant.database.unit_of_work(write=False):
                metric = session().get_one(Metric, metric_id)
                status = get_metric_status(plant.org_id, metric.name, now())
                return len(expected_ahead(status, 0, until_ms, now_ms()).times) > 0

        plant.send(metric_id, times[:50], values[:50])
        drain(analyser)
        assert not analyser.keep_new_states()
        plant.send(metric_id, times[50:150], values[50:150])
        drain(analyser)
        assert not has_forecast()
        assert analyser.keep_new_states()
        assert has_forecast()
        # Once is enough: from then on it has its turn with the others.
        plant.send(metric_id, times[150:], values[150:])
        drain(analyser)
        assert not analyser.keep_new_states()
        again = plant.analyser()
        plant.send(metric_id, times[-1:] + MINUTE, values[:1])
        drain(again)
        assert not again.keep_new_states()

    def test_counts_late_points_and_does_not_judge_them(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        analyser = plant.analyser()
        plant.send(metric_id, np.delete(times, [200, 210]), np.delete(values, [200, 210]))
        drain(analyser)
        plant.send(metric_id, times[[200, 210]], values[[200, 210]])
        drain(analyser)
        assert plant.progress(metric_id).late_points == 2
        series = plant.read(metric_id)
        assert len(series) == 300
        assert np.isnan(series.judgements.scores[[200, 210]]).all()

    def test_marks_a_series_that_its_sender_ends(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times = past()
        plant.send(metric_id, times, with_spike(noise(), POINTS - 2))
        stale = Points(np.array([metric_id]), times[-1:] + MINUTE, np.zeros(1))
        plant.points.append(Entry(Points.empty(), stale))
        drain(plant.analyser())
        assert plant.progress(metric_id).has_ended
        [(_, _, ended, _)] = plant.anomalies()
        assert ended is not None

    def test_marks_an_ended_series_as_live_when_a_new_point_comes(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(200), noise(200)
        plant.send(metric_id, times[:-1], values[:-1])
        stale = Points(np.array([metric_id]), times[-2:-1] + 1, np.zeros(1))
        plant.points.append(Entry(Points.empty(), stale))
        analyser = plant.analyser()
        drain(analyser)
        assert plant.progress(metric_id).has_ended
        plant.send(metric_id, times[-1:], values[-1:])
        drain(analyser)
        assert not plant.progress(metric_id).has_ended

    def test_leaves_a_series_ended_when_old_points_are_sent_again(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(200), noise(200)
        plant.send(metric_id, times, values)
        stale = Points(np.array([metric_id]), times[-1:] + 1, np.zeros(1))
        plant.points.append(Entry(Points.empty(), stale))
        analyser = plant.analyser()
        drain(analyser)
        plant.send(metric_id, times[-5:], values[-5:])
        drain(analyser)
        assert plant.progress(metric_id).has_ended

    def test_counts_the_late_points_of_each_metric(self, plant: Plant) -> None:
        times, values = past(200), noise(200)
        analyser = plant.analyser()
        for metric_id in plant.metric_ids:
            plant.send(metric_id, times[100:], values[100:])
        drain(analyser)
        first, second, third = plant.metric_ids
        plant.send(third, times[:2], values[:2])
        plant.send(first, times[:3], values[:3], is_backfill=True)
        plant.send(third, times[2:4], values[2:4])
        drain(analyser)
        late = [plant.progress(metric_id).late_points for metric_id in (first, second, third)]
        assert late == [3, 0, 4]
        with plant.database.unit_of_work(write=False):
            assert [rebuild.metric_id for rebuild in session().query(Rebuild)] == [first]


class TestRecover:
    @pytest.mark.parametrize("checkpointed", [False, True])
    def test_replays_to_the_same_state(self, plant: Plant, *, checkpointed: bool) -> None:
        times = past()
        first, second = plant.analyser(), None
        for start in range(0, POINTS, 150):
            for number, metric_id in enumerate(plant.metric_ids):
                values = with_spike(noise(seed=number), 250 + 40 * number)
                plant.send(metric_id, times[start : start + 150], values[start : start + 150])
            drain(first)
            if checkpointed and start == 150:
                first.checkpoint(range(0, PARTITIONS, 2))
        before = plant.anomalies()
        second = plant.analyser()
        drain(second)
        assert plant.anomalies() == before
        ids = np.array(plant.metric_ids)
        assert second._scorer.snapshot_of(ids) == first._scorer.snapshot_of(ids)

    def test_records_nothing_twice_when_killed_between_any_two_steps(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 500)
        for start in range(0, POINTS, 60):
            plant.send(metric_id, times[start : start + 60], values[start : start + 60])
            # Each round is a new process that dies after it, with or without a checkpoint.
            analyser = plant.analyser()
            drain(analyser)
            if start % 120 == 0:
                analyser.checkpoint([metric_id % PARTITIONS])
        [(_, started, ended, _)] = plant.anomalies()
        assert (started, ended is not None) == (times[500], True)
        assert plant.progress(metric_id).points_seen == POINTS
        series = plant.read(metric_id)
        assert series.values.tolist() == values.tolist()
        assert np.isfinite(series.judgements.scores[100:]).all()

    def test_stops_when_asked_and_leaves_the_rest_to_the_next(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        for start in range(0, 300, 100):
            plant.send(metric_id, times[start : start + 100], values[start : start + 100])
            drain(plant.analyser())
        stopped = Analyser(plant.database, plant.points.log, plant.points.chunks)
        assert not stopped.recover(lambda: True)
        plant.send(metric_id, times[-1:] + MINUTE, values[-1:])
        drain(plant.analyser())
        assert plant.progress(metric_id).points_seen == 301

    def test_learns_states_of_another_engine_version_again(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        plant.send(metric_id, times[:-1], values[:-1])
        first = plant.analyser()
        drain(first)
        first.checkpoint(range(PARTITIONS))
        with plant.database.unit_of_work():
            kept = session().get_one(Checkpoint, metric_id % PARTITIONS)
            # As long as a real one, and of no version there is.
            kept.state = kept.state[:12] + b"\xff" * (len(kept.state) - 12)
        second = plant.analyser()
        ids = np.array([metric_id])
        assert second._scorer.snapshot_of(ids) == first._scorer.snapshot_of(ids)
        plant.send(metric_id, times[-1:], values[-1:])
        drain(second)
        assert plant.progress(metric_id).points_seen == 300


class TestRebuild:
    def test_judges_late_history_as_if_it_had_come_in_order(self, plant: Plant) -> None:
        early, late = plant.metric_ids[:2]
        times, values = past(), with_spike(noise(), 300)
        analyser = plant.analyser()
        plant.send(early, times, values)
        plant.send(late, times[550:], values[550:])
        drain(analyser)
        plant.send(late, times[:550], values[:550], is_backfill=True)
        drain(analyser)
        with plant.database.unit_of_work():
            [rebuild] = session().query(Rebuild).all()
            rebuild.due_at = now() - timedelta(seconds=1)
        assert rebuild_one(plant.database, analyser)
        assert not rebuild_one(plant.database, analyser)
        by_metric = {found: rest for found, *rest in plant.anomalies()}
        assert by_metric[late] == by_metric[early]
        in_order, rebuilt = plant.read(early), plant.read(late)
        np.testing.assert_array_equal(rebuilt.judgements.scores, in_order.judgements.scores)
        assert plant.progress(late).points_seen == POINTS
        ids = [np.array([one]) for one in (early, late)]
        assert analyser._scorer.snapshot_of(ids[0]) == analyser._scorer.snapshot_of(ids[1])

    def test_is_requested_after_more_than_ten_late_points(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        holes = np.arange(150, 161)
        analyser = plant.analyser()
        plant.send(metric_id, np.delete(times, holes), np.delete(values, holes))
        plant.send(metric_id, times[holes[:10]], values[holes[:10]])
        drain(analyser)
        with plant.database.unit_of_work(write=False):
            assert session().query(Rebuild).count() == 0
        plant.send(metric_id, times[holes[10:]], values[holes[10:]])
        drain(analyser)
        with plant.database.unit_of_work(write=False):
            assert session().query(Rebuild).one().metric_id == metric_id


class TestHugeValues:
    def test_are_stored_although_they_are_not_judged(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        values[200:] = 1e150
        plant.send(metric_id, times, values)
        drain(plant.analyser())
        progress = plant.progress(metric_id)
        assert (progress.judged_until_ms, progress.points_seen) == (times[-1], 200)
        assert progress.late_points == 0


class TestRecordRebuild:
    def test_keeps_the_id_of_an_anomaly_whose_beginning_changes(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 500)
        analyser = plant.analyser()
        # The spike's first point is missing, so the anomaly is seen to begin a minute late.
        plant.send(metric_id, np.delete(times, 500), np.delete(values, 500))
        drain(analyser)
        with plant.database.unit_of_work(write=False):
            [known] = list_anomalies(plant.org_id).items
            assert known.span.started_ms == times[501]
        plant.send(metric_id, times[500:501], values[500:501], is_backfill=True)
        drain(analyser)
        analyser.rebuild(metric_id)
        with plant.database.unit_of_work(write=False):
            [found] = list_anomalies(plant.org_id).items
            assert found.id == known.id
            assert found.span.started_ms == times[500]

"""The worker judges on real databases: nothing is recorded twice or lost, whenever it is killed."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
import time_machine
from sqlalchemy import event

from anomify.anomaly.model import Span
from anomify.anomaly.queries import Running, list_anomalies
from anomify.clock import now, now_ms
from anomify.db import session
from anomify.metric.deleting import delete_metric, list_unsettled
from anomify.metric.forecast import expected_ahead
from anomify.metric.judged_counts import HOUR_MS, judged_points
from anomify.metric.model import Checkpoint, DormantState, Metric, Progress, Rebuild
from anomify.metric.queries import get_metric_status
from anomify.metric.settings import Wanted, change_settings
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.pipeline import no_data
from anomify.series import Judgements, Points, Series
from anomify.storage.chunk_keys import BUCKET_MS
from anomify.storage.chunks import ChunkStore
from anomify.storage.log import Entry
from anomify.worker import checkpoints
from anomify.worker.analyse import Analyser
from anomify.worker.loop import DROP_EVERY_SECONDS
from anomify.worker.rebuild import rebuild_one
from tests.factories import make_anomaly, make_metric, make_org
from tests.kit.plant import DAY, MINUTE, POINTS, Plant, drain, noise, past, with_spike


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


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class TestKilledInCheckpoint:
    @pytest.mark.parametrize("step", ["seal", "keep_checkpoint", "prune_judged", "prune"])
    @pytest.mark.parametrize("before", [False, True])
    def test_loses_and_duplicates_nothing(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch, *, step: str, before: bool
    ) -> None:
        """It dies right before or right after each step; metric ids share their partitions."""
        killed, whole = plant.metric_ids[:2]
        times, values = past(), with_spike(noise(), 500)
        half = POINTS // 2
        first = plant.analyser()
        plant.send(killed, times[:half], values[:half])
        # Of these the last one is corrected, so that there is something late to be sealed.
        plant.send(killed, times[half - 1 : half], values[half - 1 : half] + 1)
        drain(first)
        home = {"seal": first._chunks, "prune": first._log}.get(step, checkpoints)
        real = getattr(home, step)

        def die(*arguments: object) -> None:
            if not before:
                real(*arguments)
            raise Killed

        monkeypatch.setattr(home, step, die)
        with pytest.raises(Killed):
            first.checkpoint(range(PARTITIONS))
        monkeypatch.undo()

        second = plant.analyser()
        assert plant.read(killed).values.tolist()[:-1] == values[: half - 1].tolist()
        plant.send(killed, times[half:], values[half:])
        drain(second)
        second.checkpoint(range(PARTITIONS))
        assert plant.points.log.read(0) == []
        plant.send(whole, times, values)
        drain(second)
        ids = [np.array([metric_id]) for metric_id in (killed, whole)]
        assert second._scorer.snapshot_of(ids[0]) == second._scorer.snapshot_of(ids[1])
        series, undisturbed = plant.read(killed), plant.read(whole)
        assert series.times.tolist() == times.tolist()
        np.testing.assert_array_equal(series.judgements.scores, undisturbed.judgements.scores)
        [one, other] = plant.anomalies()
        assert one[1:] == other[1:]
        assert plant.progress(killed).late_points == 1


class TestCheckpoint:
    def test_prunes_the_log_and_keeps_every_point(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 500)
        plant.send(metric_id, times, values)
        analyser = plant.analyser()
        drain(analyser)
        said = plant.read(metric_id).judgements.lowers
        analyser.checkpoint(range(PARTITIONS))
        assert plant.points.log.read(0) == []
        series = plant.read(metric_id)
        assert series.values.tolist() == values.tolist()
        np.testing.assert_array_equal(series.judgements.lowers, said)

    def test_unloads_a_dormant_metric_and_loads_it_with_its_next_point(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        plant.send(metric_id, times[:-1], values[:-1])
        analyser = plant.analyser()
        drain(analyser)
        analyser._received.times_ms[:] = 1
        analyser.checkpoint(range(PARTITIONS))
        assert len(analyser._scorer) == 0
        plant.send(metric_id, times[-1:], values[-1:])
        drain(analyser)
        assert plant.progress(metric_id).points_seen == 300
        # It dies before the next checkpoint, and wakes the metric once more.
        again = plant.analyser()
        ids = np.array([metric_id])
        assert again._scorer.snapshot_of(ids) == analyser._scorer.snapshot_of(ids)
        again.checkpoint(range(PARTITIONS))
        with plant.database.unit_of_work(write=False):
            assert session().get(DormantState, metric_id) is None


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


class TestFindMetricsWithoutData:
    def test_ends_the_anomaly_of_a_metric_that_stopped(self, plant: Plant) -> None:
        times = past(end_ms=now_ms() - 20 * MINUTE)
        plant.send(plant.metric_ids[0], times, with_spike(noise(), POINTS - 2))
        analyser = plant.analyser()
        drain(analyser)
        analyser.find_metrics_without_data()
        assert plant.anomalies()[0][2] is None, "its points have only just arrived"
        analyser._received.times_ms[:] = now_ms() - 20 * MINUTE
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
            assert anomaly.span.ended_by_silence

    def test_closes_the_anomaly_of_a_dormant_slow_metric(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times = now_ms() - DAY * (6 + np.arange(POINTS, dtype=np.int64)[::-1])
        plant.send(metric_id, times, with_spike(noise(), POINTS - 2))
        analyser = plant.analyser()
        drain(analyser)
        assert plant.progress(metric_id).resolution_ms == DAY
        analyser._received.times_ms[:] = now_ms() - 2 * DAY
        analyser.checkpoint(range(PARTITIONS))
        assert len(analyser._scorer) == 0
        analyser.find_metrics_without_data()
        assert plant.anomalies()[0][2] is None, "it may be silent for five of its days"
        analyser._received.times_ms[:] = now_ms() - 6 * DAY
        analyser.find_metrics_without_data()
        assert plant.anomalies()[0][2] is not None

    def test_waits_again_after_a_long_time_without_a_worker(self, plant: Plant) -> None:
        times = past(end_ms=now_ms() - 600 * MINUTE)
        plant.send(plant.metric_ids[0], times, with_spike(noise(), POINTS - 2))
        first = plant.analyser()
        drain(first)
        first.checkpoint(range(PARTITIONS))
        second = plant.analyser()
        second.find_metrics_without_data()
        assert plant.anomalies()[0][2] is None, "its sender may only now be able to send again"
        second._received.times_ms[:] -= 6 * MINUTE
        second.find_metrics_without_data()
        assert plant.anomalies()[0][2] is not None


class TestNoDataAnomaly:
    def silenced(self, plant: Plant, count: int = 300) -> Analyser:
        """Return an analyser that received nothing of the first metric for ten minutes."""
        times = past(count, end_ms=now_ms() - 10 * MINUTE)
        plant.watch()
        plant.send(plant.metric_ids[0], times, noise(count))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= 10 * MINUTE
        return analyser

    def test_opens_an_announced_anomaly_of_its_own(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        analyser.find_metrics_without_data()
        [(metric_id, started, ended, severity)] = plant.anomalies()
        last_ms = plant.progress(metric_id).judged_until_ms
        assert (started, ended, severity) == (last_ms + MINUTE, None, "medium")
        assert plant.told() == [("opened", started)]
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
            assert anomaly.span.evidence == "silent"
            assert anomaly.span.since_ms == last_ms
            assert anomaly.span.explanation.startswith("No data has come, though a point")

    def test_ends_when_data_returns(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        [(metric_id, started, _, _)] = plant.anomalies()
        back = past(2)
        plant.send(metric_id, back, noise(2))
        drain(analyser)
        [(_, again, ended, _)] = plant.anomalies()
        assert (again, ended) == (started, back[0])
        assert plant.told() == [("opened", started), ("recovered", started)]
        analyser._overdue._from_ms -= 60 * MINUTE
        analyser.find_metrics_without_data()
        assert len(plant.anomalies()) == 2, "it has fallen silent once more"

    def test_is_opened_once_by_the_next_worker(self, plant: Plant) -> None:
        self.silenced(plant).find_metrics_without_data()
        analyser = plant.analyser()
        analyser.find_metrics_without_data()
        analyser._overdue._from_ms -= 10 * MINUTE
        analyser.find_metrics_without_data()
        assert len(plant.anomalies()) == 1

    def test_is_not_opened_for_the_time_without_a_worker(self, plant: Plant) -> None:
        self.silenced(plant)
        with plant.database.unit_of_work():
            for progress in session().query(Progress):
                progress.silent_from_ms = now_ms() - 2 * MINUTE
        analyser = plant.analyser()
        analyser.find_metrics_without_data()
        assert plant.anomalies() == []

    def test_is_not_opened_while_the_metric_learns(self, plant: Plant) -> None:
        self.silenced(plant, count=90).find_metrics_without_data()
        assert plant.anomalies() == []

    def test_is_not_opened_for_history_that_is_sent_once(self, plant: Plant) -> None:
        plant.send(plant.metric_ids[0], past(300, end_ms=now_ms() - 3 * DAY), noise(300))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= DAY
        analyser.find_metrics_without_data()
        assert plant.anomalies() == []

    def test_is_not_opened_where_the_settings_allow_silence(self, plant: Plant) -> None:
        with plant.database.unit_of_work():
            metric = session().get_one(Metric, plant.metric_ids[0])
            change_settings(metric, Wanted(may_be_silent=True), "Alice")
        self.silenced(plant).find_metrics_without_data()
        assert plant.anomalies() == []

    def test_ends_when_the_settings_allow_silence(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work():
            metric = session().get_one(Metric, plant.metric_ids[0])
            change_settings(metric, Wanted(may_be_silent=True), "Alice")
        analyser.reload_settings()
        analyser.find_metrics_without_data()
        [(_, _, ended, _)] = plant.anomalies()
        assert ended is not None

    def test_ends_when_the_sender_says_that_the_series_has_ended(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        metric_id = plant.metric_ids[0]
        ended = np.array([now_ms()])
        plant.points.append(
            Entry(Points.empty(), Points(np.array([metric_id]), ended, np.zeros(1)))
        )
        drain(analyser)
        assert plant.progress(metric_id).silent_from_ms is None
        [(_, _, ended_ms, _)] = plant.anomalies()
        assert ended_ms is not None

    def test_lasts_longer_where_points_are_sent_together(self, plant: Plant) -> None:
        singly, together = plant.metric_ids[:2]
        times, values = past(300), noise(300)
        for start in range(0, 300, 20):
            plant.send(together, times[start : start + 20], values[start : start + 20])
        for time, value in zip(times, values, strict=True):
            plant.send(singly, np.array([time]), np.array([value]))
        drain(plant.analyser())
        waits = [
            plant.progress(metric_id).silent_from_ms - now_ms() for metric_id in (singly, together)
        ]
        assert waits[0] <= 5 * MINUTE
        assert 20 * MINUTE < waits[1] <= 25 * MINUTE

    def test_of_a_metric_with_an_anomaly_ends_that_one(self, plant: Plant) -> None:
        plant.send(plant.metric_ids[0], past(), with_spike(noise(), POINTS - 2))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= 10 * MINUTE
        analyser._received.times_ms -= 10 * MINUTE
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work(write=False):
            page = list_anomalies(plant.org_id, oldest_first=True)
            [(_, spike), (_, silence)] = [(one.id, one.span) for one in page.items]
            assert (spike.is_open, spike.ended_by_silence, spike.is_silence) == (False, True, False)
            assert (silence.is_open, silence.is_silence) == (True, True)

    def test_of_very_many_metrics_is_recorded_for_all_and_announced_for_a_few(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(no_data, "MOST_ANNOUNCED_AT_ONCE", 2)
        plant.watch()
        for metric_id in plant.metric_ids:
            plant.send(metric_id, past(300), noise(300))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= 10 * MINUTE
        analyser.find_metrics_without_data()
        assert len(plant.anomalies()) == 3
        assert len(plant.told()) == 2


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


class TestJudgedCounts:
    """The number of judged points on the Overview equals the judged points on charts."""

    def judged_on_charts(self, plant: Plant) -> int:
        return sum(
            int(np.count_nonzero(~np.isnan(plant.read(metric_id).judgements.scores)))
            for metric_id in plant.metric_ids
        )

    def counted(self, plant: Plant) -> int:
        with plant.database.unit_of_work(write=False):
            return judged_points(plant.org_id, 0, now_ms() + HOUR_MS)

    def test_equals_what_is_judged_also_after_a_rebuild_and_a_restart(self, plant: Plant) -> None:
        times, values = past(), noise()
        plant.send(plant.metric_ids[0], times, values)
        plant.send(plant.metric_ids[1], times[300:], values[300:])
        analyser = plant.analyser()
        drain(analyser)
        assert self.counted(plant) == self.judged_on_charts(plant) > 500

        plant.send(plant.metric_ids[1], times[:300], values[:300], is_backfill=True)
        drain(analyser)
        analyser.rebuild(plant.metric_ids[1])
        assert self.counted(plant) == self.judged_on_charts(plant) > 900

        drain(plant.analyser())
        assert self.counted(plant) == self.judged_on_charts(plant)

    def test_does_not_drift_when_a_rebuild_breaks_off_however_often(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It dies before, between and after the parts that it rewrites; points come meanwhile."""
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        analyser = plant.analyser()
        # At first it is judged from its middle on; with its history it is from the beginning.
        plant.send(metric_id, times[300:-60], values[300:-60])
        drain(analyser)
        plant.send(metric_id, times[:300], values[:300], is_backfill=True)
        drain(analyser)
        read_series = ChunkStore.read_series

        def read_by_chunk(store: ChunkStore, metric_id: int) -> Iterator[Series]:
            for part in read_series(store, metric_id):
                starts = np.flatnonzero(np.diff(part.times // BUCKET_MS)) + 1
                yield from map(part.of, np.split(np.arange(len(part)), starts))

        monkeypatch.setattr(ChunkStore, "read_series", read_by_chunk)
        for attempt in range(6):
            fresh = slice(-60 + 10 * attempt, -50 + 10 * attempt or None)
            analyser = plant.analyser()
            left = iter(range(attempt))
            rewrite_scores = analyser._chunks.rewrite_scores

            def rewrite_some(*part: object, left=left, rewrite=rewrite_scores) -> None:
                if next(left, None) is None:
                    raise Killed
                rewrite(*part)

            analyser._chunks.rewrite_scores = rewrite_some
            # At last all are rewritten, but that is not written down.
            analyser._rebuilder._record_rebuilt = die
            with pytest.raises(Killed):
                analyser.rebuild(metric_id)
            analyser._chunks.rewrite_scores = rewrite_scores
            analyser = plant.analyser()
            plant.send(metric_id, times[fresh], values[fresh])
            drain(analyser)
            if attempt == 2:
                analyser.checkpoint(range(PARTITIONS))
        assert self.counted(plant) == POINTS - 400, "what was counted when points came"
        plant.analyser().rebuild(metric_id)
        assert self.counted(plant) == self.judged_on_charts(plant) == POINTS - 100
        plant.analyser().rebuild(metric_id)
        assert self.counted(plant) == self.judged_on_charts(plant)


def die(*_: object) -> None:
    raise Killed


class TestOpenAnomalies:
    def test_of_others_are_not_loaded_however_many_there_are(self, plant: Plant) -> None:
        analyser = plant.analyser()
        one, _, quiet = plant.metric_ids
        with plant.database.unit_of_work():
            globex = make_org("Globex")
            for number in range(50):
                found = make_anomaly(make_metric(globex, f"g{number}"), now(), minutes=None)
                found.span.is_silence = bool(number % 2)
        plant.send(quiet, past(), noise())
        drain(analyser)
        loaded: list[int] = []

        def note(span: Span, _: object) -> None:
            loaded.append(span.metric_id)

        event.listen(Span, "load", note)
        times, values = past(), noise()
        values[-15:] += 60
        plant.send(one, times[:-10], values[:-10])
        drain(analyser)
        plant.send(one, times[-10:], values[-10:])
        drain(analyser)
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work():
            change_settings(session().get_one(Metric, quiet), Wanted(may_be_silent=True), "Alice")
        analyser.reload_settings()
        analyser.checkpoint(range(PARTITIONS))
        event.remove(Span, "load", note)
        assert set(loaded) == {one}
        assert plant.anomalies()[0][2] is None


class TestDropDeleted:
    def test_deletes_stored_points_within_the_hour_and_late_ones_after_it(
        self, plant: Plant
    ) -> None:
        analyser = plant.analyser()
        start = now()
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            metrics = [make_metric(org, f"gone{number}") for number in range(1_250)]
            session().flush()
            ids = [metric.id for metric in metrics]
        times = np.full(len(ids), past()[-1])
        points = Points(np.array(ids), times, np.ones(len(ids)))
        analyser._chunks.seal(points, Judgements.none(len(ids)), 0)
        with plant.database.unit_of_work():
            for metric in metrics:
                delete_metric(metric, "Alice")
        for second in range(0, 3_600, DROP_EVERY_SECONDS):
            with time_machine.travel(start + timedelta(seconds=second), tick=False):
                analyser.drop_deleted()
                with plant.database.unit_of_work(write=False):
                    if not list_unsettled(now(), 1):
                        break
        assert second < 1_800
        assert not analyser._chunks.latest(np.array(ids))
        # What waited in the log was sealed afterwards.
        analyser._chunks.seal(points.of(np.arange(7)), Judgements.none(7), 1)
        with time_machine.travel(start + timedelta(minutes=61)):
            for _ in range(20):
                analyser.drop_deleted()
        assert not analyser._chunks.latest(np.array(ids))
        with (
            time_machine.travel(start + timedelta(days=3)),
            plant.database.unit_of_work(write=False),
        ):
            assert not list_unsettled(now(), 1)

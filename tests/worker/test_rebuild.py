"""A metric's past judged again: what is found, what stays, and who is told."""

from datetime import timedelta

import numpy as np

from anomify.clock import now
from anomify.db import session
from anomify.metric.model import Rebuild
from anomify.metric.progress import MOST_REBUILD_ATTEMPTS, REBUILD_LEASE, request_rebuild
from anomify.metric.state import PARTITIONS
from anomify.worker.rebuild import rebuild_one
from tests.kit.plant import MINUTE, POINTS, Plant, drain, noise, past, with_spike

SPIKE = 3


def wait_for_rebuild(plant: Plant, metric_id: int) -> None:
    """Ask for a rebuild that is due at once."""
    with plant.database.unit_of_work():
        request_rebuild(metric_id, "late points", now() - timedelta(minutes=1))


class TestRebuildOne:
    def test_does_nothing_where_none_is_due(self, plant: Plant) -> None:
        with plant.database.unit_of_work():
            request_rebuild(plant.metric_ids[0], "late points", now())
        assert not rebuild_one(plant.database, plant.analyst())
        assert plant.rebuilds() == plant.metric_ids[:1]

    def test_takes_a_finished_one_off_the_queue(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.send(metric_id, past(), noise())
        analyst = plant.analyst()
        drain(analyst)
        wait_for_rebuild(plant, metric_id)
        assert rebuild_one(plant.database, analyst)
        assert plant.rebuilds() == []
        assert not rebuild_one(plant.database, analyst)

    def test_does_one_again_that_was_asked_for_while_it_was_done(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.send(metric_id, past(), noise())
        analyst = plant.analyst()
        drain(analyst)
        wait_for_rebuild(plant, metric_id)
        take_settings = analyst.take_settings

        def take_settings_too_early() -> None:
            take_settings()
            wait_for_rebuild(plant, metric_id)
            analyst.take_settings = take_settings

        analyst.take_settings = take_settings_too_early
        assert rebuild_one(plant.database, analyst)
        assert plant.rebuilds() == [metric_id], "what was set meanwhile is not judged by yet"
        assert rebuild_one(plant.database, analyst), "it need not wait for the lease"
        assert plant.rebuilds() == []

    def test_says_why_one_failed_and_goes_on_with_the_others(self, plant: Plant) -> None:
        broken, sound = plant.metric_ids[:2]
        for metric_id in (broken, sound):
            plant.send(metric_id, past(), noise())
        analyst = plant.analyst()
        drain(analyst)
        wait_for_rebuild(plant, broken)
        wait_for_rebuild(plant, sound)
        rebuild = analyst.rebuild

        def rebuild_unless_broken(metric_id: int) -> None:
            if metric_id == broken:
                raise OSError("the disk has gone")
            rebuild(metric_id)

        analyst.rebuild = rebuild_unless_broken
        while rebuild_one(plant.database, analyst):
            pass
        with plant.database.unit_of_work(write=False):
            [left] = session().query(Rebuild)
            assert (left.metric_id, left.last_error) == (broken, "OSError: the disk has gone")

    def test_gives_up_after_some_attempts_until_more_points_come_late(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        wait_for_rebuild(plant, metric_id)
        analyst = plant.analyst()
        analyst.rebuild = lambda metric_id: metric_id // 0
        for attempt in range(MOST_REBUILD_ATTEMPTS):
            assert rebuild_one(plant.database, analyst)
            assert not rebuild_one(plant.database, analyst), "it is leased"
            with plant.database.unit_of_work():
                rebuild = session().get_one(Rebuild, metric_id)
                assert rebuild.attempts == attempt + 1
                rebuild.leased_until -= REBUILD_LEASE + timedelta(seconds=1)
        assert not rebuild_one(plant.database, analyst)
        wait_for_rebuild(plant, metric_id)
        assert rebuild_one(plant.database, analyst)


class TestTelling:
    def test_tells_of_an_anomaly_that_still_runs(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        times, values = past(), with_spike(noise(), POINTS - SPIKE)
        analyst = plant.analyst()
        # The newest point comes first, so that all others are late.
        plant.send(metric_id, times[-1:], values[-1:])
        plant.send(metric_id, times, values)
        drain(analyst)
        assert plant.told() == []
        analyst.rebuild(metric_id)
        assert plant.told() == [("opened", times[-SPIKE])]
        analyst.rebuild(metric_id)
        assert plant.told() == [("opened", times[-SPIKE])], "once is enough"

    def test_tells_nobody_of_what_was_over_an_hour_ago(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        times, values = past(), with_spike(noise(), POINTS - 70)
        analyst = plant.analyst()
        plant.send(metric_id, times[-1:], values[-1:])
        plant.send(metric_id, times, values)
        drain(analyst)
        analyst.rebuild(metric_id)
        assert [started for _, started, _, _ in plant.anomalies()] == [times[-70]]
        assert plant.told() == []

    def test_tells_those_who_were_told_when_it_turns_out_to_be_over(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        start = POINTS - 20
        times, values = past(), noise()
        analyst = plant.analyst()
        wrong = values.copy()
        wrong[start:] += 60
        plant.send(metric_id, times, wrong)
        drain(analyst)
        assert plant.told() == [("opened", times[start])]
        corrected = slice(start + SPIKE, None)
        plant.send(metric_id, times[corrected], values[corrected])
        drain(analyst)
        assert plant.anomalies()[0][2] is None
        analyst.rebuild(metric_id)
        assert plant.told() == [("opened", times[start]), ("recovered", times[start])]

    def test_tells_those_who_were_told_of_what_is_not_found_again(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        start = POINTS - 20
        times, values = past(), noise()
        analyst = plant.analyst()
        wrong = values.copy()
        wrong[start:] += 60
        plant.send(metric_id, times, wrong)
        drain(analyst)
        plant.send(metric_id, times[start:], values[start:])
        drain(analyst)
        analyst.rebuild(metric_id)
        assert plant.told() == [("opened", times[start]), ("recovered", times[start])]
        [(_, started, ended, _)] = plant.anomalies()
        assert started == times[start], "its link was sent, so it stays"
        assert ended is not None

    def test_forgets_what_is_not_found_again_and_was_told_to_nobody(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        analyst = plant.analyst()
        plant.send(metric_id, times, with_spike(values, 500))
        drain(analyst)
        assert len(plant.anomalies()) == 1
        plant.send(metric_id, times[495:510], values[495:510])
        drain(analyst)
        analyst.rebuild(metric_id)
        assert plant.anomalies() == []


class TestWhatStays:
    def test_keeps_the_anomalies_of_a_past_whose_points_are_gone(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times = past()
        values = with_spike(with_spike(noise(), 150), 500)
        analyst = plant.analyst()
        plant.send(metric_id, times, values)
        drain(analyst)
        before = plant.anomalies()
        assert [started for _, started, _, _ in before] == [times[150], times[500]]
        analyst.checkpoint(range(PARTITIONS))
        plant.points.drop_before(int(times[300]))
        analyst.rebuild(metric_id)
        assert plant.anomalies() == before

    def test_keeps_points_that_come_while_it_waits(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        analyst = plant.analyst()
        plant.send(metric_id, times[300:], values[300:])
        drain(analyst)
        plant.send(metric_id, times[:300], values[:300], is_backfill=True)
        drain(analyst)
        # In the log, and not judged yet, when the rebuild begins.
        plant.send(metric_id, times[-1:] + MINUTE, np.full(1, 100.0))
        analyst.rebuild(metric_id)
        assert plant.progress(metric_id).points_seen == POINTS
        drain(analyst)
        assert plant.progress(metric_id).points_seen == POINTS + 1
        series = plant.read(metric_id)
        assert len(series) == POINTS + 1
        assert np.isfinite(series.judgements.scores[100:]).all()

    def test_is_as_if_it_had_been_done_when_the_worker_dies_right_after(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 300)
        first = plant.analyst()
        plant.send(metric_id, times[550:], values[550:])
        drain(first)
        plant.send(metric_id, times[:550], values[:550], is_backfill=True)
        drain(first)
        first.rebuild(metric_id)
        ids = np.array([metric_id])
        second = plant.analyst()
        assert second._scorer.snapshot_of(ids) == first._scorer.snapshot_of(ids)
        assert plant.read(metric_id).judgements.scores[300] > 0.5

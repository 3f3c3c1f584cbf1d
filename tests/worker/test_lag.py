"""How far judging is behind: the age of the oldest accepted point that is not judged."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import time_machine
from sqlalchemy import update

from anomify.clock import now
from anomify.metric.progress import request_rebuild
from anomify.storage.log import LogRow, PointLog
from anomify.storage.tables import point_log
from anomify.worker.loop import REBUILD_LAG_SECONDS
from tests.kit.plant import MINUTE, Plant, drain, noise, past
from tests.worker.test_loop import WaitTimes, work


class TestLagSeconds:
    def test_is_the_age_of_the_point_that_waits_longest(self, plant: Plant) -> None:
        analyser = plant.analyser()
        metric_id = plant.metric_ids[0]
        assert analyser.lag_seconds() == 0
        start = now()
        times, values = past(300), noise(300)
        for minutes in (0, 10):
            with time_machine.travel(start + timedelta(minutes=minutes), tick=False):
                # Whatever times the points themselves are of.
                plant.send(metric_id, times - 30 * 1440 * MINUTE + minutes, values)
        with time_machine.travel(start + timedelta(minutes=15), tick=False):
            assert abs(analyser.lag_seconds() - 900) < 1
            assert plant.analyser().lag_seconds() == analyser.lag_seconds(), "of any worker"
            drain(analyser)
            assert analyser.lag_seconds() == 0

    def test_does_not_grow_while_judging_keeps_up_without_a_pause(self, plant: Plant) -> None:
        analyser = plant.analyser()
        times, values = past(60), noise(60)
        start = now()
        plant.send(plant.metric_ids[0], times[:1], values[:1])
        for minute in range(1, 60):
            with time_machine.travel(start + timedelta(minutes=minute), tick=False):
                # Before one is judged the next one is there: it is never idle.
                plant.send(plant.metric_ids[0], times[minute : minute + 1], values[:1])
                analyser._log.read = partial(PointLog.read, analyser._log, most_rows=1)
                assert analyser.run_once() == 1
                assert analyser.behind() == 1
                assert analyser.lag_seconds() == 0

    def test_counts_from_the_start_where_an_older_version_accepted_the_points(
        self, plant: Plant
    ) -> None:
        plant.send(plant.metric_ids[0], past(5), noise(5))
        with plant.points._database.writing_log() as connection:
            connection.execute(update(point_log).values(accepted_ms=None))
        start = now()
        with time_machine.travel(start, tick=False):
            analyser = plant.analyser()
        with time_machine.travel(start + timedelta(seconds=90), tick=False):
            assert abs(analyser.lag_seconds() - 90) < 1


class TestRebuildsUnderLoad:
    """There is always something to judge: points come faster than ticks."""

    def judge(self, plant: Plant, tmp_path: Path, monkeypatch, age: timedelta) -> list[int]:
        """Judge for some ticks points that were accepted so long ago; return what waits then."""
        late, busy, _ = plant.metric_ids
        plant.send(late, past(300), noise(300))
        drain(plant.analyser())
        with plant.database.unit_of_work():
            request_rebuild(late, "late points", now() - timedelta(minutes=1))
        read, times, stopping = plant.points.log.read, iter(past(60)), WaitTimes()

        def send_two_and_read_one(after: int) -> list[LogRow]:
            for _ in range(2):
                with time_machine.travel(now() - age):
                    plant.send(busy, np.array([next(times)]), noise(1))
            if plant.points.log.last_offset() > 20:
                stopping.set()
            return read(after, most_rows=1)

        monkeypatch.setattr(plant.points.log, "read", send_two_and_read_one)
        work(plant, stopping, tmp_path)
        assert not stopping.pauses, "it was never idle"
        return plant.rebuilds()

    def test_rebuilds_metrics_with_late_points(
        self, plant: Plant, tmp_path: Path, monkeypatch
    ) -> None:
        assert self.judge(plant, tmp_path, monkeypatch, timedelta(0)) == []

    def test_postpones_rebuilds_while_it_is_behind(
        self, plant: Plant, tmp_path: Path, monkeypatch
    ) -> None:
        age = timedelta(seconds=2 * REBUILD_LAG_SECONDS)
        assert self.judge(plant, tmp_path, monkeypatch, age) == plant.metric_ids[:1]

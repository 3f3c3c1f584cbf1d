"""The worker runs until it is asked to stop, and starts again after failures."""

import threading
from pathlib import Path

from sqlalchemy import select

from anomify.config import Settings
from anomify.db import session
from anomify.errors import Unavailable
from anomify.metric.model import Checkpoint
from anomify.metric.state import PARTITIONS
from anomify.org.model import WorkerHeartbeat
from anomify.worker.loop import RESTART_PAUSE_SECONDS, judge_until
from tests.kit.plant import POINTS, Plant, noise, past, with_spike


class WaitTimes(threading.Event):
    """An event that is set at a given pause; it records how long each pause was to be."""

    def __init__(self, pauses: int = 1) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._most = pauses

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0)
        if len(self.pauses) >= self._most:
            self.set()
        return self.is_set()


def work(plant: Plant, stopping: WaitTimes, tmp_path: Path, **settings: object) -> None:
    judge_until(stopping, plant.database, plant.points, Settings(data_dir=tmp_path, **settings))


class TestJudgeUntil:
    def test_judges_the_log_and_stores_the_states(self, plant: Plant, tmp_path: Path) -> None:
        plant.send(plant.metric_ids[0], past(), with_spike(noise(), 300))
        work(plant, WaitTimes(), tmp_path)
        assert plant.progress(plant.metric_ids[0]).points_seen == POINTS
        assert len(plant.anomalies()) == 1
        assert plant.points.log.read(0) == [], "everything is sealed"
        with plant.database.unit_of_work(write=False):
            assert len(session().scalars(select(Checkpoint)).all()) == PARTITIONS
            [heartbeat] = session().scalars(select(WorkerHeartbeat))
            assert heartbeat.log_offset == plant.points.log.last_offset()

    def test_continues_judging_when_the_sweep_fails(
        self, plant: Plant, tmp_path: Path, monkeypatch, caplog
    ) -> None:
        def refuse(ms: int) -> None:
            raise Unavailable(f"nothing before {ms} can be deleted")

        monkeypatch.setattr(plant.points, "drop_before", refuse)
        plant.send(plant.metric_ids[0], past(), noise())
        stopping = WaitTimes()
        work(plant, stopping, tmp_path, retention_days=30)
        assert "tidying failed" in caplog.text
        assert "judging failed" not in caplog.text
        assert plant.points.log.read(0) == []

    def test_starts_again_after_failures_with_growing_pauses(
        self, plant: Plant, tmp_path: Path, monkeypatch, caplog
    ) -> None:
        def refuse(after: int) -> list[object]:
            raise Unavailable(f"the log after {after} cannot be read")

        monkeypatch.setattr(plant.points.log, "read", refuse)
        stopping = WaitTimes(len(RESTART_PAUSE_SECONDS) + 2)
        work(plant, stopping, tmp_path)
        assert stopping.pauses == [
            *RESTART_PAUSE_SECONDS,
            RESTART_PAUSE_SECONDS[-1],
            RESTART_PAUSE_SECONDS[-1],
        ]
        assert "starting over" in caplog.text
        monkeypatch.undo()
        plant.send(plant.metric_ids[0], past(), noise())
        work(plant, WaitTimes(), tmp_path)
        assert plant.progress(plant.metric_ids[0]).points_seen == POINTS

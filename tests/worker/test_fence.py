"""Two workers on one database: an owner that was paused writes nothing after its successor."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, text

from anomify.clock import now_ms
from anomify.db import Database, session
from anomify.metric.judged_counts import HOUR_MS, judged_points
from anomify.metric.model import JudgedBatch
from anomify.metric.open_store import open_points
from anomify.metric.state import PARTITIONS
from anomify.worker import metric_rebuild
from anomify.worker.analyse import Analyser
from anomify.worker.ownership import Ownership, OwnershipLost
from tests.kit.plant import MINUTE, POINTS, Plant, drain, noise, past, with_spike

# Where the first owner is paused, before or after a transaction: the task, the attribute of the
# analyser ("" for itself), and its method.
PAUSES = (
    ("tick", "", "_find_new_rows"),
    ("tick", "", "_add_unsealed"),
    ("checkpoint", "_checkpoints", "keep_one"),
    ("rebuild", "_rebuilder", "_write_down_counted"),
    ("rebuild", "_rebuilder", "_record_rebuilt"),
    ("silence", "_no_data", "_close_silent"),
)


class Worker:
    """The parts that `judge_until` puts together, called step by step."""

    def __init__(self, plant: Plant, folder: Path) -> None:
        self.database = Database(str(plant.database.url.render_as_string(hide_password=False)))
        self.database.sealing_key = plant.database.sealing_key
        folder.mkdir(exist_ok=True)
        self.points = open_points(self.database, plant_folder(plant))
        self.ownership = Ownership(self.database, folder)
        self._holding = self.ownership.held(threading.Event())
        self.analyser: Analyser | None = None

    def take(self) -> Analyser:
        assert self._holding.__enter__()
        self.analyser = Analyser(
            self.database.fenced(self.ownership.fence),
            self.points.log,
            self.points.chunks.fenced(self.ownership.fence_points),
        )
        self.analyser.recover()
        return self.analyser

    def close(self) -> None:
        self._holding.__exit__(None, None, None)
        self.points.close()
        self.database.dispose()


def plant_folder(plant: Plant) -> Path:
    month_folder = getattr(plant.points._database, "_folder", None)
    return Path() if month_folder is None else month_folder.folder


def in_a_process_of_its_own(act: Callable[[], None]) -> None:
    """Do it in a thread, which shares no transaction with ours."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result(60)


def end_the_lock(database: Database) -> None:
    """End the lock in the database, as happens to a machine that it cannot reach."""
    if database.is_sqlite:
        return
    with database.engine.connect() as other:
        other.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )


def counted(plant: Plant) -> int:
    with plant.database.unit_of_work(write=False):
        return judged_points(plant.org_id, 0, now_ms() + HOUR_MS)


def judged_on_charts(plant: Plant) -> int:
    return sum(
        int(np.count_nonzero(~np.isnan(plant.read(metric_id).judgements.scores)))
        for metric_id in plant.metric_ids
    )


class TestPausedOwner:
    @pytest.mark.parametrize(("task", "part", "step"), PAUSES)
    def test_writes_nothing_when_it_continues_after_its_successor_started(
        self,
        plant: Plant,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        task: str,
        part: str,
        step: str,
    ) -> None:
        times = past()
        half = POINTS // 2
        paused, successor = Worker(plant, tmp_path / "first"), Worker(plant, tmp_path / "second")
        first = paused.take()
        for number, metric_id in enumerate(plant.metric_ids):
            values = with_spike(noise(seed=number), 450)
            plant.send(metric_id, times[:half], values[:half])
        drain(first)
        for number, metric_id in enumerate(plant.metric_ids):
            values = with_spike(noise(seed=number), 450)
            plant.send(metric_id, times[half:], values[half:])
        if task != "tick":
            drain(first)
        place = getattr(first, part) if part else first
        real = getattr(place, step)
        state: list[object] = []

        def pause_then_continue(*arguments: object) -> object:
            monkeypatch.undo()

            def take_over() -> None:
                end_the_lock(successor.database)
                second = successor.take()
                drain(second)
                if task != "tick":
                    second.rebuild(plant.metric_ids[0])
                second.checkpoint(range(PARTITIONS))
                state.extend([counted(plant), judged_on_charts(plant), plant.anomalies()])

            in_a_process_of_its_own(take_over)
            return real(*arguments)

        # Where it is called inside a transaction, it is paused before that one begins.
        if step == "_record_rebuilt":
            real_write = metric_rebuild.write

            def write(database: Database, act: Callable[[], object], ids: object = ()) -> object:
                if "_record_rebuilt" in getattr(act, "__code__", real_write.__code__).co_names:
                    return sleep_then_go_on_writing(database, act, ids)
                return real_write(database, act, ids)

            def sleep_then_go_on_writing(*arguments: object) -> object:
                nonlocal real
                real = real_write
                return pause_then_continue(*arguments)

            monkeypatch.setattr(metric_rebuild, "write", write)
        else:
            monkeypatch.setattr(place, step, pause_then_continue)
        act = {
            "tick": lambda: drain(first),
            "checkpoint": lambda: first.checkpoint(range(PARTITIONS)),
            "rebuild": lambda: first.rebuild(plant.metric_ids[0]),
            "silence": lambda: (first.find_metrics_without_data(), paused.ownership.check()),
        }[task]
        if step == "_add_unsealed":
            # Its transaction is over: it notices with the next one.
            drain(first)
            plant.send(plant.metric_ids[0], times[-1:] + MINUTE, np.array([100.0]))
        with pytest.raises(OwnershipLost):
            act()
        assert state, "it was paused"
        assert [counted(plant), judged_on_charts(plant), plant.anomalies()] == state
        assert state[0] == state[1] > 3 * (POINTS - 110)
        with plant.database.unit_of_work(write=False):
            offsets = list(session().scalars(select(JudgedBatch.through_offset)))
        assert len(offsets) == len(set(offsets)), "no tick is recorded twice"
        paused.close()
        successor.close()

    def test_finishes_the_transaction_that_it_is_in_before_anybody_takes_over(
        self, plant: Plant, tmp_path: Path
    ) -> None:
        if plant.database.is_sqlite:
            return
        paused, successor = Worker(plant, tmp_path / "first"), Worker(plant, tmp_path / "second")
        paused.take()
        has_taken = threading.Event()

        def take_over() -> None:
            successor.take()
            has_taken.set()

        thread = threading.Thread(target=take_over)
        with paused.database.fenced(paused.ownership.fence).unit_of_work():
            end_the_lock(successor.database)
            thread.start()
            assert not has_taken.wait(1)
        thread.join(60)
        assert has_taken.is_set()
        with pytest.raises(OwnershipLost):
            paused.ownership.check()
        paused.close()
        successor.close()

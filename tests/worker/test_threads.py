"""The worker's threads: a failing task is started again, and a dead thread ends the process."""

import threading
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from anomify.config import Settings
from anomify.db import session
from anomify.org.model import WorkerHeartbeat
from anomify.worker.loop import judge_until
from anomify.worker.threads import WorkerThread, WorkerThreads
from tests.kit.plant import Plant

SECONDS = 10
FOLLOWING = SimpleNamespace(is_following=True)


@pytest.fixture
def stopping():
    event = threading.Event()
    yield event
    event.set()


def thread_of(task, stopping):
    return WorkerThread("a task", task, stopping, pause_seconds=(0.01,))


def heartbeats(plant: Plant) -> int:
    with plant.database.unit_of_work(write=False):
        return session().scalar(select(func.count()).select_from(WorkerHeartbeat))


class Failing:
    """A task that fails, or ends by itself, a number of times, and then runs."""

    def __init__(self, times: int, problem: Exception | None) -> None:
        self._left = times
        self._problem = problem
        self.does_its_duty, self.has_failed = threading.Event(), threading.Event()

    def __call__(self, stop: threading.Event) -> None:
        self._left -= 1
        if self._left >= 0:
            self.has_failed.set()
            if self._problem is not None:
                raise self._problem
            return
        self.does_its_duty.set()
        stop.wait()


class TestWorkerThread:
    def test_starts_its_task_again_after_any_failure(self, stopping, caplog):
        for problem in (ValueError("a poisoned row"), MemoryError(), RecursionError(), None):
            task = Failing(3, problem)
            thread = thread_of(task, stopping)
            thread.start()
            assert task.does_its_duty.wait(SECONDS)
            assert thread.is_alive
            assert not thread.is_healthy, "it has failed a moment ago"
        assert "the thread a task failed" in caplog.text

    def test_is_healthy_while_its_task_runs(self, stopping):
        task = Failing(0, None)
        thread = thread_of(task, stopping)
        assert not thread.is_healthy, "it has not begun"
        thread.start()
        assert task.does_its_duty.wait(SECONDS)
        assert thread.is_healthy
        stopping.set()
        thread.join(SECONDS)
        assert not thread.is_alive


class TestWorkerThreads:
    def test_end_the_process_when_one_has_died(self, stopping, caplog):
        # One that was never started is as one that is gone: there is no thread.
        threads = WorkerThreads([thread_of(Failing(0, None), stopping)], FOLLOWING, stopping)
        threads.check()
        assert stopping.is_set()
        assert threads.has_lost_one
        assert "has died" in caplog.text

    def test_log_nothing_when_asked_to_stop(self, stopping):
        threads = WorkerThreads([thread_of(Failing(0, None), stopping)], FOLLOWING, stopping)
        threads.start()
        stopping.set()
        threads.join(SECONDS)
        threads.check()
        assert not threads.has_lost_one


class TestHeartbeat:
    def test_is_not_recorded_while_a_thread_fails(self, plant: Plant, tmp_path, stopping):
        task = Failing(10**9, ValueError("for ever"))
        threads = WorkerThreads([thread_of(task, stopping)], plant.points, stopping)
        threads.start()
        assert task.has_failed.wait(SECONDS)
        judging = threading.Thread(
            target=judge_until,
            args=(stopping, plant.database, plant.points, Settings(data_dir=tmp_path), threads),
        )
        judging.start()
        stopping.wait(1)
        assert not threads.are_healthy
        stopping.set()
        judging.join()
        assert heartbeats(plant) == 0

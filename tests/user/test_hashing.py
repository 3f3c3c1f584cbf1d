"""Password hashing: few at once, at low priority, with a bounded queue."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from anomify.errors import Unavailable
from anomify.user import hashing
from anomify.user.hashing import MOST_AT_ONCE, NICENESS, in_turn


class TestInTurn:
    def test_returns_the_result_or_raises_the_error_of_the_work(self):
        assert in_turn(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            in_turn(lambda: 1 // 0)

    def test_runs_at_low_priority(self):
        def niceness():
            return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

        assert in_turn(niceness) == min(niceness() + NICENESS, 19)

    def test_limits_the_number_at_once(self):
        begun, go = threading.Semaphore(0), threading.Event()

        def work():
            begun.release()
            go.wait(30)

        with ThreadPoolExecutor(MOST_AT_ONCE + 1) as pool:
            futures = [pool.submit(in_turn, work) for _ in range(MOST_AT_ONCE + 1)]
            for _ in range(MOST_AT_ONCE):
                assert begun.acquire(timeout=30)
            assert not begun.acquire(blocking=False)
            go.set()
            for one in futures:
                one.result()

    def test_limits_the_queue(self, monkeypatch):
        full = threading.BoundedSemaphore(1)
        full.acquire()
        monkeypatch.setattr(hashing, "_admitted", full)
        with pytest.raises(Unavailable) as refused:
            in_turn(lambda: 7)
        assert refused.value.retry_after_seconds
        full.release()
        assert in_turn(lambda: 7) == 7
        # It gave its place back.
        assert in_turn(lambda: 7) == 7

"""The store of points while another process writes, and under load."""

import threading

import pytest

from anomify.errors import Unavailable
from anomify.metric import store as store_module
from anomify.metric.store import PointStore
from anomify.storage.chunk_keys import NEWEST_MS, OLDEST_MS
from anomify.storage.database import PointDatabase
from tests.kit.points import (
    DAY,
    MINUTE,
    START,
    Machines,
    entry,
    pairs,
)

EVER = (OLDEST_MS, NEWEST_MS + 1)


class TestStartFollowing:
    def test_follows_at_once_and_again_until_closed(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_module, "FOLLOW_SECONDS", 0)
        other, store = PointStore(machines.open()), PointStore(machines.open())
        other.append(entry((1, START, 1.0)))
        rounds = threading.Semaphore(0)
        follow = store.follow

        def follow_and_tell() -> None:
            follow()
            rounds.release()

        monkeypatch.setattr(store, "follow", follow_and_tell)
        store.start_following()
        assert pairs(store.read(1, *EVER)) == [(START, 1.0)]
        other.append(entry((1, START + 1, 2.0)))
        while rounds.acquire(blocking=False):
            pass
        # The first of these may have begun before the append, the second has not.
        for _ in range(2):
            assert rounds.acquire(timeout=30)
        assert pairs(store.read(1, *EVER)) == [(START, 1.0), (START + 1, 2.0)]
        store.close()
        assert not store._follower.is_alive()

    def test_continues_after_a_failure(
        self,
        point_database: PointDatabase,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(store_module, "FOLLOW_SECONDS", 0)
        store = PointStore(point_database)
        answers = iter([0, Unavailable("The store went away.")])
        went_on = threading.Event()

        def sealed_through() -> int:
            answer = next(answers, None)
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                went_on.set()
            return 0

        monkeypatch.setattr(store.log, "sealed_through", sealed_through)
        store.start_following()
        assert went_on.wait(30)
        store.close()
        assert "trying again" in caplog.text


class TestAppendUnderLoad:
    def test_raises_unavailable_while_too_much_is_unsealed(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("anomify.metric.store.MOST_UNSEALED", 1)
        store = PointStore(machines.open())
        store.append(entry((1, START, 1.0), (1, START + MINUTE, 2.0)))
        with pytest.raises(Unavailable) as refused:
            store.append(entry((1, START + 2 * MINUTE, 3.0)))
        assert refused.value.retry_after_seconds
        store.tail.prune(store.log.last_offset())
        store.append(entry((1, START + 2 * MINUTE, 3.0)))
        assert len(store.read(1, START, START + DAY)) == 1

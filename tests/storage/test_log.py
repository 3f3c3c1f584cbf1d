"""Appended is durable, in order, and all or nothing."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, insert, text

from anomify.clock import now_ms
from anomify.errors import Unavailable
from anomify.series import Points
from anomify.storage import log as log_module
from anomify.storage.database import PointDatabase
from anomify.storage.log import Entry, PointLog
from anomify.storage.tables import point_log
from tests.kit.points import START, Machines, entry, points, rows_of


class Gate:
    """A database of points that lets a test stop, count and break its commits."""

    def __init__(self, database: PointDatabase) -> None:
        self._database = database
        self.commits = 0
        self.opened = threading.Event()
        self.opened.set()
        self.arrived = threading.Event()
        self.failure: Exception | None = None

    @contextmanager
    def appending_log(self) -> Iterator[Connection]:
        self.arrived.set()
        assert self.opened.wait(30)
        with self._database.appending_log() as connection:
            yield connection
            if self.failure is not None:
                raise self.failure
        self.commits += 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)


class Appending:
    """Threads that append one entry each and remember how it went."""

    def __init__(self, log: PointLog) -> None:
        self._log = log
        self._threads: list[threading.Thread] = []
        self.offsets: dict[int, int] = {}
        self.errors: list[Exception] = []

    def start(self, number: int, added: Entry | None = None) -> None:
        kept = added or entry((number, START, float(number)))
        self._threads.append(threading.Thread(target=self._append, args=(number, kept)))
        self._threads[-1].start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _append(self, number: int, kept: Entry) -> None:
        try:
            self.offsets[number] = self._log.append(kept)
        except Unavailable as problem:
            self.errors.append(problem)


class WatchedQueue(deque):
    """A queue that says when so many entries have come into it."""

    def __init__(self) -> None:
        super().__init__()
        self._came = threading.Semaphore(0)

    def append(self, waiting: object) -> None:
        super().append(waiting)
        self._came.release()

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self._came.acquire(timeout=30)


def watch_queue(log: PointLog) -> WatchedQueue:
    log._queue = WatchedQueue()
    return log._queue


class TestAppend:
    def test_keeps_points_ends_and_kind(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        kept = Entry(points((7, START, 1.5), (8, START, -0.0)), points((9, START, 0)), True)
        offset = log.append(kept)
        (row,) = log.read(0)
        assert row.offset == offset
        assert rows_of([row.entry.points]) == [(7, START, 1.5), (8, START, -0.0)]
        assert row.entry.ended.metric_ids.tolist() == [9]
        assert row.entry.is_backfill

    def test_is_seen_by_another_process_at_once(self, machines: Machines) -> None:
        mine, other = PointLog(machines.open()), PointLog(machines.open())
        first = mine.append(entry((1, START, 1.0)))
        second = other.append(entry((2, START, 2.0)))
        assert first < second
        assert [row.offset for row in mine.read(0)] == [first, second]
        assert [row.offset for row in other.read(first)] == [second]

    def test_takes_an_entry_without_points(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        log.append(Entry(Points.empty(), Points.empty()))
        assert len(log.read(0)[0].entry.points) == 0

    def test_of_many_threads_shares_one_commit(self, point_database: PointDatabase) -> None:
        gate = Gate(point_database)
        log = PointLog(gate)
        queue = watch_queue(log)
        appending = Appending(log)
        gate.opened.clear()
        appending.start(0)
        assert gate.arrived.wait(30)
        for number in range(1, 20):
            appending.start(number)
        queue.wait_for(20)
        gate.opened.set()
        appending.wait()
        assert gate.commits == 2
        rows = log.read(0)
        found = {int(row.entry.points.metric_ids[0]): row.offset for row in rows}
        assert found == appending.offsets
        assert len(found) == 20

    def test_groups_no_more_than_fit(
        self, point_database: PointDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "MOST_GROUP_ENTRIES", 4)
        gate = Gate(point_database)
        log = PointLog(gate)
        queue = watch_queue(log)
        appending = Appending(log)
        gate.opened.clear()
        appending.start(0)
        assert gate.arrived.wait(30)
        for number in range(1, 10):
            appending.start(number)
        queue.wait_for(10)
        gate.opened.set()
        appending.wait()
        assert gate.commits == 1 + 3
        assert len(set(appending.offsets.values())) == 10

    def test_counts_bytes_too_and_still_takes_what_is_larger(
        self, point_database: PointDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "MOST_GROUP_BYTES", 10)
        gate = Gate(point_database)
        log = PointLog(gate)
        queue = watch_queue(log)
        appending = Appending(log)
        gate.opened.clear()
        for number in range(3):
            appending.start(number)
        queue.wait_for(3)
        gate.opened.set()
        appending.wait()
        assert gate.commits == 3

    def test_that_fails_raises_in_every_thread_and_stores_nothing(
        self, point_database: PointDatabase
    ) -> None:
        gate = Gate(point_database)
        log = PointLog(gate)
        queue = watch_queue(log)
        appending = Appending(log)
        gate.failure = OSError("disk full")
        gate.opened.clear()
        appending.start(0)
        assert gate.arrived.wait(30)
        for number in range(1, 5):
            appending.start(number)
        queue.wait_for(5)
        gate.opened.set()
        appending.wait()
        assert len(appending.errors) == 5
        assert {problem.status for problem in appending.errors} == {503}
        assert log.read(0) == []
        gate.failure = None
        assert log.append(entry((1, START, 1.0))) > 0

    def test_lets_only_so_many_wait(
        self, point_database: PointDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "MOST_WAITING", 2)
        monkeypatch.setattr(log_module, "MOST_WAIT_SECONDS", 0)
        gate = Gate(point_database)
        log = PointLog(gate)
        queue = watch_queue(log)
        appending = Appending(log)
        gate.opened.clear()
        for number in range(2):
            appending.start(number)
        queue.wait_for(2)
        with pytest.raises(Unavailable, match="busy"):
            log.append(entry((3, START, 3.0)))
        gate.opened.set()
        appending.wait()
        assert len(appending.offsets) == 2
        assert log.append(entry((3, START, 3.0))) > max(appending.offsets.values())

    def test_waits_until_another_writer_is_done_so_that_offsets_appear_in_order(
        self, machines: Machines
    ) -> None:
        database = machines.open()
        log = PointLog(machines.open())
        queue = watch_queue(log)
        appending = Appending(log)
        with database.appending_log() as connection:
            connection.execute(insert(point_log).values(entry=b""))
            appending.start(1)
            queue.wait_for(1)
            assert appending.offsets == {}
        appending.wait()
        with database.reading_log() as connection:
            first = connection.execute(text("SELECT min(log_offset) FROM point_log")).scalar()
        assert appending.offsets[1] > first


class TestRead:
    def test_is_in_order_and_after(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        offsets = [log.append(entry((n, START, float(n)))) for n in range(5)]
        assert [row.offset for row in log.read(0)] == offsets
        assert [row.offset for row in log.read(offsets[2])] == offsets[3:]
        assert log.read(offsets[-1]) == []

    def test_stops_at_so_many_rows(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        offsets = [log.append(entry((n, START, float(n)))) for n in range(5)]
        assert [row.offset for row in log.read(0, most_rows=3)] == offsets[:3]

    def test_stops_at_so_many_bytes_but_gives_one_always(
        self, point_database: PointDatabase
    ) -> None:
        log = PointLog(point_database)
        offsets = [log.append(entry(*((m, START, m / 7) for m in range(100)))) for _ in range(5)]
        assert [row.offset for row in log.read(0, most_bytes=1)] == offsets[:1]
        assert [row.offset for row in log.read(0, most_bytes=2500)] == offsets[:2]

    def test_of_rows_leaves_out_what_is_gone(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        offsets = [log.append(entry((n, START, float(n)))) for n in range(4)]
        log.prune(offsets[0])
        assert [row.offset for row in log.read_rows([offsets[0], offsets[1], offsets[3]])] == [
            offsets[1],
            offsets[3],
        ]


class TestPrune:
    def test_deletes_through_and_remembers(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        offsets = [log.append(entry((n, START, float(n)))) for n in range(3)]
        log.prune(offsets[1])
        assert [row.offset for row in log.read(0)] == offsets[2:]
        assert log.sealed_through() == offsets[1]

    def test_of_everything_never_gives_an_offset_again(self, machines: Machines) -> None:
        log = PointLog(machines.open())
        offsets = [log.append(entry((n, START, float(n)))) for n in range(3)]
        log.prune(offsets[-1])
        assert log.last_offset() == offsets[-1]
        later = PointLog(machines.open())
        assert later.last_offset() == offsets[-1]
        assert later.append(entry((1, START, 1.0))) > offsets[-1]

    def test_further_than_the_end_stops_at_the_end(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        offset = log.append(entry((1, START, 1.0)))
        log.prune(offset + 1000)
        assert log.sealed_through() == offset
        assert log.last_offset() == offset

    def test_less_far_than_before_changes_nothing(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        offsets = [log.append(entry((n, START, float(n)))) for n in range(3)]
        log.prune(offsets[1])
        log.prune(offsets[0])
        assert log.sealed_through() == offsets[1]

    def test_of_more_than_one_transaction_deletes_them_all(
        self, point_database: PointDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "MOST_ROWS_PRUNED", 2)
        monkeypatch.setattr(log_module, "_OLDEST", log_module._OLDEST.limit(2))
        log = PointLog(point_database)
        offsets = [log.append(entry((n, START, float(n)))) for n in range(7)]
        log.prune(offsets[5])
        assert [row.offset for row in log.read(0)] == offsets[6:]


class TestLastOffset:
    def test_is_nought_before_the_first(self, point_database: PointDatabase) -> None:
        assert PointLog(point_database).last_offset() == 0
        assert PointLog(point_database).sealed_through() == 0


class TestFirstAfter:
    def test_returns_when_the_next_row_was_accepted(self, point_database: PointDatabase) -> None:
        log = PointLog(point_database)
        assert log.first_after(0) is None
        before = now_ms()
        first = log.append(entry((1, START, 1.0)))
        second = log.append(entry((1, START, 2.0)))
        offset, accepted_ms = log.first_after(0)
        assert (offset, before <= accepted_ms <= now_ms()) == (first, True)
        assert log.first_after(first)[0] == second
        assert log.first_after(second) is None

    def test_does_so_too_in_a_log_that_an_older_version_made(self, machines: Machines) -> None:
        database = machines.open()
        first = PointLog(database).append(entry((1, START, 1.0)))
        with database.writing_log() as connection:
            connection.execute(text("ALTER TABLE point_log DROP COLUMN accepted_ms"))
        database.close()
        log = PointLog(machines.open())
        assert log.first_after(0) == (first, None)
        assert [row.offset for row in log.read(0)] == [first]
        second = log.append(entry((1, START, 2.0)))
        assert log.first_after(first)[1] is not None
        assert [row.offset for row in log.read(0)] == [first, second]

"""A reader sees every accepted point once, wherever it is just now."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomify.errors import Invalid, Unavailable
from anomify.metric.store import CommittedBatch, PointStore
from anomify.series import Points
from anomify.storage.chunk_keys import BUCKET_MS, NEWEST_MS, OLDEST_MS
from anomify.storage.chunk_reader import Chunk
from anomify.storage.chunks import ChunkStore
from anomify.storage.codec import Judged, encode_judged
from anomify.storage.database import PointDatabase
from anomify.storage.log import Entry, PointLog
from tests.kit.points import (
    DAY,
    HOUR,
    MINUTE,
    START,
    Machines,
    entry,
    judgements_of,
    no_judgements,
    pairs,
    points,
    scores,
)

EVER = (OLDEST_MS, NEWEST_MS + 1)


class Sealer:
    """What the worker does, on its own connections: read the log, seal it, prune it."""

    def __init__(self, database: PointDatabase) -> None:
        self.log = PointLog(database)
        self.chunks = ChunkStore(database)
        self.sealed = 0

    def seal(self) -> None:
        rows = self.log.read(self.sealed)
        if rows:
            kept = Points.joined([row.entry.points for row in rows])
            self.chunks.seal(kept, no_judgements(len(kept)), rows[-1].offset)
            self.sealed = rows[-1].offset

    def seal_and_prune(self) -> None:
        self.seal()
        self.log.prune(self.sealed)


class JudgedBatches:
    """The worker's table of judged batches."""

    def __init__(self) -> None:
        self.batches: list[CommittedBatch] = []

    def add(self, through_offset: int, *rows: tuple[int, int, float]) -> None:
        kept = points(*rows)
        judged = Judged(
            kept.metric_ids, kept.times, judgements_of(*((row[2], 1, 2) for row in rows))
        )
        number = len(self.batches) + 1
        self.batches.append(CommittedBatch(number, through_offset, encode_judged(judged)))

    def __call__(self, after: int) -> Sequence[CommittedBatch]:
        return [batch for batch in self.batches if batch.id > after][:1]


class HookedChunks(ChunkStore):
    """Chunks that let a test do something just before they are read."""

    def __init__(self, database: PointDatabase) -> None:
        super().__init__(database)
        self.before_read = lambda: None

    def read(self, *window: int, **more: int | None) -> list[Chunk]:
        self.before_read()
        return super().read(*window, **more)


def hooked(store: PointStore, database: PointDatabase) -> HookedChunks:
    store.chunks = HookedChunks(database)
    return store.chunks


class TestAppend:
    def test_is_read_at_once(self, point_database: PointDatabase) -> None:
        store = PointStore(point_database)
        store.follow()
        store.append(entry((1, START, 1.0), (2, START, 2.0), (1, START + MINUTE, 3.0)))
        assert pairs(store.read(1, *EVER)) == [(START, 1.0), (START + MINUTE, 3.0)]

    def test_is_read_after_a_restart(self, machines: Machines) -> None:
        PointStore(machines.open()).append(entry((1, START, 1.0)))
        again = PointStore(machines.open())
        again.follow()
        assert pairs(again.read(1, *EVER)) == [(START, 1.0)]

    def test_is_read_by_another_process_after_it_follows(self, machines: Machines) -> None:
        mine, other = PointStore(machines.open()), PointStore(machines.open())
        for store in (mine, other):
            store.follow()
        mine.append(entry((1, START, 1.0)))
        assert pairs(other.read(1, *EVER)) == []
        other.follow()
        assert pairs(other.read(1, *EVER)) == [(START, 1.0)]

    @pytest.mark.parametrize("time", [OLDEST_MS - 1, NEWEST_MS + 1])
    def test_refuses_a_time_that_no_chunk_can_hold(
        self, point_database: PointDatabase, time: int
    ) -> None:
        store = PointStore(point_database)
        with pytest.raises(Invalid):
            store.append(entry((1, START, 1.0), (1, time, 1.0)))
        assert store.log.last_offset() == 0

    def test_that_fails_shows_nothing(
        self, point_database: PointDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = PointStore(point_database)

        def refuse(_added: Entry) -> int:
            raise Unavailable("The points could not be stored; send them again.")

        monkeypatch.setattr(store.log, "append", refuse)
        with pytest.raises(Unavailable):
            store.append(entry((1, START, 1.0)))
        assert pairs(store.read(1, *EVER)) == []


class TestRead:
    def test_joins_chunks_and_tail(self, machines: Machines) -> None:
        sealer, store = Sealer(machines.open()), PointStore(machines.open())
        store.append(entry((1, START, 1.0), (1, START + HOUR, 2.0)))
        sealer.seal_and_prune()
        store.append(entry((1, START + HOUR, 3.0), (1, START + DAY, 4.0)))
        store.follow()
        assert pairs(store.read(1, *EVER)) == [
            (START, 1.0),
            (START + HOUR, 3.0),
            (START + DAY, 4.0),
        ]

    def test_includes_the_first_moment_and_not_the_last(self, machines: Machines) -> None:
        sealer, store = Sealer(machines.open()), PointStore(machines.open())
        store.append(entry(*((1, START + n * HOUR, float(n)) for n in range(12))))
        wanted = [(START + n * HOUR, float(n)) for n in range(3, 7)]
        assert pairs(store.read(1, START + 3 * HOUR, START + 7 * HOUR)) == wanted
        sealer.seal_and_prune()
        store.follow()
        assert len(store.tail) == 0
        assert pairs(store.read(1, START + 3 * HOUR, START + 7 * HOUR)) == wanted
        assert pairs(store.read(1, START + 7 * HOUR, START + 3 * HOUR)) == []

    def test_of_an_unknown_metric_is_empty(self, point_database: PointDatabase) -> None:
        assert len(PointStore(point_database).read(1, *EVER)) == 0

    def test_takes_bounds_beyond_all_time(self, point_database: PointDatabase) -> None:
        store = PointStore(point_database)
        store.append(entry((1, START, 1.0)))
        assert pairs(store.read(1, -(10**30), 10**30)) == [(START, 1.0)]

    def test_lets_a_later_write_win_over_what_is_sealed_but_not_an_earlier_one(
        self, machines: Machines
    ) -> None:
        sealer, store = Sealer(machines.open()), PointStore(machines.open())
        store.append(entry((1, START, 1.0)))
        store.append(entry((1, START, 2.0)))
        sealer.seal()
        assert pairs(store.read(1, *EVER)) == [(START, 2.0)]
        store.append(entry((1, START, 3.0)))
        assert pairs(store.read(1, *EVER)) == [(START, 3.0)]

    @pytest.mark.parametrize("step", ["seal", "seal_and_prune"])
    def test_has_no_gap_and_no_double_while_the_worker_seals_between(
        self, machines: Machines, step: str
    ) -> None:
        sealer, database = Sealer(machines.open()), machines.open()
        store = PointStore(database)
        store.append(entry((1, START, 1.0), (1, START + BUCKET_MS, 2.0)))
        store.append(entry((1, START, 3.0), (1, START + MINUTE, 4.0)))
        wanted = [(START, 3.0), (START + MINUTE, 4.0), (START + BUCKET_MS, 2.0)]

        def work() -> None:
            getattr(sealer, step)()
            store.follow()

        hooked(store, database).before_read = work
        assert pairs(store.read(1, *EVER)) == wanted
        assert sealer.sealed > 0
        assert pairs(store.read(1, *EVER)) == wanted

    def test_has_no_gap_while_a_thread_seals_all_the_time(self, machines: Machines) -> None:
        sealer, database = Sealer(machines.open()), machines.open()
        store = PointStore(database)
        store.follow()
        is_done = threading.Event()
        problems: list[Exception] = []

        def keep_sealing() -> None:
            try:
                while not is_done.is_set():
                    sealer.seal_and_prune()
                    store.follow()
            except Exception as problem:  # noqa: BLE001 - whatever it is, the test tells
                problems.append(problem)

        thread = threading.Thread(target=keep_sealing)
        thread.start()
        try:
            for number in range(60):
                store.append(entry((1, START + number * 10 * MINUTE, float(number))))
                wanted = [(START + n * 10 * MINUTE, float(n)) for n in range(number + 1)]
                assert pairs(store.read(1, *EVER)) == wanted
        finally:
            is_done.set()
            thread.join(60)
        assert problems == []

    def test_continues_to_follow_after_any_failure(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("anomify.metric.store.FOLLOW_SECONDS", 0.01)
        store = PointStore(machines.open())
        has_gone_on = threading.Event()
        problems: list[Exception] = [ValueError("a damaged row"), KeyError("x"), MemoryError()]

        def also() -> None:
            if problems:
                raise problems.pop()
            has_gone_on.set()

        store.start_following(also)
        try:
            assert has_gone_on.wait(10)
            assert store.is_following
        finally:
            store.close()

    def test_is_harmed_by_no_crash_between_sealing_and_pruning(self, machines: Machines) -> None:
        store = PointStore(machines.open())
        store.append(entry((1, START, 1.0)))
        store.append(entry((1, START, 2.0), (1, START + MINUTE, 5.0)))
        Sealer(machines.open()).seal()
        store.append(entry((1, START, 3.0)))
        Sealer(machines.open()).seal_and_prune()
        again = PointStore(machines.open())
        again.follow()
        assert pairs(again.read(1, *EVER)) == [(START, 3.0), (START + MINUTE, 5.0)]
        assert pairs(store.read(1, *EVER)) == [(START, 3.0), (START + MINUTE, 5.0)]


WRITES = st.lists(
    st.lists(
        st.tuples(
            st.integers(1, 2),
            st.sampled_from([START - 1, START, START + 1, START + BUCKET_MS, START + DAY]),
            st.integers(0, 99),
        ),
        max_size=5,
    ),
    max_size=10,
)
STEPS = st.lists(st.sampled_from(["nothing", "seal", "prune", "follow", "restart"]), max_size=12)


class TestAnyHistory:
    @given(writes=WRITES, steps=STEPS)
    @settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_reads_as_a_dictionary_would(
        self,
        machines: Machines,
        writes: list[list[tuple[int, int, int]]],
        steps: list[str],
    ) -> None:
        database = machines.open()
        store, other, sealer = PointStore(database), PointStore(database), Sealer(database)
        store.follow()
        sealer.sealed = store.log.sealed_through()
        # Metrics of their own for each example: the database is shared by all of them.
        shift = 10 * store.log.last_offset()
        model: dict[int, dict[int, float]] = {1: {}, 2: {}}
        pending = iter(steps)
        for number, batch in enumerate(writes):
            writer = store if number % 3 else other
            writer.append(
                entry(*((metric + shift, time, float(value)) for metric, time, value in batch))
            )
            for metric, time, value in batch:
                model[metric][time] = float(value)
            match next(pending, "nothing"):
                case "seal":
                    sealer.seal()
                case "prune":
                    sealer.seal_and_prune()
                case "follow":
                    other.follow()
                case "restart":
                    store = PointStore(database)
            store.follow()
            for metric, wanted in model.items():
                assert pairs(store.read(metric + shift, *EVER)) == sorted(wanted.items())


class TestJudgements:
    def test_come_with_the_follower(self, point_database: PointDatabase) -> None:
        judged = JudgedBatches()
        store = PointStore(point_database, judged)
        offset = store.append(entry(*((1, START + n * MINUTE, 1.0) for n in range(3))))
        judged.add(offset, (1, START, 0.0), (1, START + 2 * MINUTE, 1.0))
        judged.add(offset, (2, START, 1.0))
        store.follow()
        found = store.read(1, *EVER)
        assert scores(found) == [0.0, None, 1.0]
        assert found.judgements.lowers[[0, 2]].tolist() == [1.0, 1.0]
        assert store.score_tail.last_id == 2

    def test_of_a_later_batch_win(self, point_database: PointDatabase) -> None:
        judged = JudgedBatches()
        store = PointStore(point_database, judged)
        offset = store.append(entry((1, START, 1.0)))
        judged.add(offset, (1, START, 0.0))
        judged.add(offset, (1, START, 1.0))
        store.follow()
        assert scores(store.read(1, *EVER)) == [1.0]

    def test_that_are_sealed_win_over_what_came_before_and_lose_to_what_comes_after(
        self, point_database: PointDatabase
    ) -> None:
        judged = JudgedBatches()
        store = PointStore(point_database, judged)
        offset = store.append(entry((1, START, 1.0)))
        judged.add(offset, (1, START, 1.0))
        store.follow()
        store.chunks.seal(points((1, START, 1.0)), judgements_of((1.0, 1, 2)), offset)
        store.chunks.rewrite_scores(1, np.array([START]), judgements_of((0.0, 1, 2)))
        assert scores(store.read(1, *EVER)) == [0.0]
        judged.add(store.append(entry((1, START + 1, 1.0))), (1, START, 1.0))
        store.follow()
        assert scores(store.read(1, *EVER)) == [1.0, None]

    def test_leave_memory_with_their_points(self, machines: Machines) -> None:
        judged = JudgedBatches()
        sealer, store = Sealer(machines.open()), PointStore(machines.open(), judged)
        judged.add(store.append(entry((1, START, 1.0))), (1, START, 1.0))
        store.follow()
        assert (len(store.tail), len(store.score_tail)) == (1, 1)
        sealer.seal_and_prune()
        store.follow()
        assert (len(store.tail), len(store.score_tail)) == (0, 0)
        assert store.log.sealed_through() == sealer.sealed

    def test_stay_with_a_point_that_is_written_again(self, point_database: PointDatabase) -> None:
        store = PointStore(point_database)
        offset = store.append(entry((1, START, 1.0)))
        store.chunks.seal(points((1, START, 1.0)), judgements_of((1.0, 1, 2)), offset)
        store.append(entry((1, START, 5.0)))
        found = store.read(1, *EVER)
        assert pairs(found) == [(START, 5.0)]
        assert scores(found) == [1.0]

"""Sealing merges, may be repeated, and never goes back."""

from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomify.series import Judgements
from anomify.storage import chunk_reader
from anomify.storage import chunks as chunks_module
from anomify.storage.chunk_keys import BUCKET_MS, MOST_METRIC_ID, NEWEST_MS, OLDEST_MS
from anomify.storage.chunk_reader import Chunk
from anomify.storage.chunks import ChunkStore
from anomify.storage.database import PointDatabase
from anomify.storage.month_files import PointFiles
from tests.kit.points import (
    DAY,
    HOUR,
    MINUTE,
    START,
    Machines,
    judgements_of,
    no_judgements,
    pairs,
    points,
    scores,
    series,
)
from tests.kit.threads import problems_of_two

EVER = (OLDEST_MS, NEWEST_MS + 1)


def seal(chunks: ChunkStore, through: int, *rows: tuple[int, int, float]) -> None:
    chunks.seal(points(*rows), no_judgements(len(rows)), through)


def stored(chunks: ChunkStore, metric_id: int) -> list[tuple[int, float]]:
    return [pair for chunk in chunks.read(metric_id, *EVER) for pair in pairs(chunk.series)]


def all_scores(chunks: ChunkStore, metric_id: int) -> list[float | None]:
    return [score for chunk in chunks.read(metric_id, *EVER) for score in scores(chunk.series)]


class TestRead:
    def test_gives_chunks_oldest_first_over_months(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        times = [START - 40 * DAY, START - 1, START, START + BUCKET_MS, START + 40 * DAY]
        seal(chunks, 1, *((1, time, 1.0) for time in reversed(times)))
        found = chunks.read(1, *EVER)
        assert [chunk.bucket_ms for chunk in found] == [
            time // BUCKET_MS * BUCKET_MS for time in times
        ]
        assert stored(chunks, 1) == [(time, 1.0) for time in times]

    def test_gives_only_chunks_that_overlap(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        seal(chunks, 1, *((1, START + n * BUCKET_MS, float(n)) for n in range(5)))
        found = chunks.read(1, START + BUCKET_MS, START + 3 * BUCKET_MS)
        assert [chunk.bucket_ms for chunk in found] == [START + BUCKET_MS, START + 2 * BUCKET_MS]
        assert len(chunks.read(1, START + 1, START + 2)) == 1
        assert chunks.read(1, START, START) == []

    def test_keeps_other_metrics_and_neighbouring_chunks_apart(
        self, point_database: PointDatabase
    ) -> None:
        chunks = ChunkStore(point_database)
        for metric_id in (1, 2, MOST_METRIC_ID):
            seal(
                chunks, 1, *((metric_id, time, float(metric_id)) for time in (OLDEST_MS, NEWEST_MS))
            )
        assert stored(chunks, 2) == [(OLDEST_MS, 2.0), (NEWEST_MS, 2.0)]
        assert stored(chunks, MOST_METRIC_ID)[1] == (NEWEST_MS, float(MOST_METRIC_ID))
        assert stored(chunks, 3) == []


class TestWrite:
    def test_replaces_an_older_chunk_and_never_a_newer(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        chunks.write([Chunk(1, START, 5, series((START, 5.0)))])
        chunks.write([Chunk(1, START, 4, series((START, 4.0)))])
        assert stored(chunks, 1) == [(START, 5.0)]
        chunks.write(
            [Chunk(1, START, 6, series((START, 6.0))), Chunk(2, START, 6, series((START, 7.0)))]
        )
        assert stored(chunks, 1) == [(START, 6.0)]
        assert stored(chunks, 2) == [(START, 7.0)]


class TestSeal:
    def test_merges_into_what_is_there(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        seal(chunks, 1, (1, START, 1.0), (2, START, 1.5), (1, START + HOUR, 2.0))
        seal(chunks, 2, (1, START + HOUR, 3.0), (1, START + MINUTE, 4.0), (1, START + HOUR, 5.0))
        assert stored(chunks, 1) == [(START, 1.0), (START + MINUTE, 4.0), (START + HOUR, 5.0)]
        assert stored(chunks, 2) == [(START, 1.5)]
        assert chunks.read(1, *EVER)[0].through_offset == 2

    def test_again_changes_nothing(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        rows = [(1, START, 1.0), (1, START, 2.0), (2, START + HOUR, 3.0)]
        seal(chunks, 7, *rows)
        seal(chunks, 7, *rows)
        assert stored(chunks, 1) == [(START, 2.0)]
        assert stored(chunks, 2) == [(START + HOUR, 3.0)]

    def test_less_far_than_before_changes_nothing(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        seal(chunks, 9, (1, START, 1.0), (1, START, 9.0))
        seal(chunks, 4, (1, START, 1.0))
        assert stored(chunks, 1) == [(START, 9.0)]

    def test_keeps_earlier_judgements_and_adds_new_ones(
        self, point_database: PointDatabase
    ) -> None:
        chunks = ChunkStore(point_database)
        times = [(1, START + n * MINUTE, float(n)) for n in range(3)]
        chunks.seal(points(*times), judgements_of((0.0, 1, 2), (1.0, 3, 4), (1.0, 5, 6)), 1)
        nan = float("nan")
        chunks.seal(points(*times[:2]), judgements_of((nan, nan, nan), (0.0, 7, 8)), 2)
        assert all_scores(chunks, 1) == [0.0, 0.0, 1.0]
        (chunk,) = chunks.read(1, *EVER)
        assert chunk.series.judgements.lowers.tolist() == [1.0, 7.0, 5.0]
        assert chunk.series.judgements.uppers.tolist() == [2.0, 8.0, 6.0]

    def test_of_nothing_writes_nothing(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        seal(chunks, 1)
        assert stored(chunks, 1) == []

    def test_takes_more_chunks_than_one_transaction(
        self, point_database: PointDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chunk_reader, "MOST_CHUNKS_AT_ONCE", 7)
        chunks = ChunkStore(point_database)
        for through in (1, 2):
            seal(chunks, through, *((m, START + through, float(m)) for m in range(20)))
        for metric_id in range(20):
            value = float(metric_id)
            assert stored(chunks, metric_id) == [(START + 1, value), (START + 2, value)]

    def test_of_two_processes_at_once_loses_nothing(self, machines: Machines) -> None:
        stores = [ChunkStore(machines.open()) for _ in range(2)]
        seal(stores[0], 1, *((m, START, 0.0) for m in range(50)))

        def write(number: int) -> None:
            order = range(50) if number else reversed(range(50))
            seal(stores[number], 2, *((m, START + 1 + number, 1.0) for m in order))

        assert problems_of_two(write) == []
        for metric_id in range(50):
            assert [time - START for time, _ in stored(stores[0], metric_id)] == [0, 1, 2]


WRITES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from([START - 1, START, START + 1, START + BUCKET_MS, START + 32 * DAY]),
        st.integers(0, 99),
    ),
    max_size=24,
)

EXAMPLES = count(1)

# Sealings, each of so many more entries; after True the worker dies before it has saved how far.
SEALINGS = st.lists(st.tuples(st.integers(1, 24), st.booleans()), max_size=6)


class TestAnyHistory:
    @given(writes=WRITES, sealings=SEALINGS)
    @settings(
        max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_of_seals_repeats_and_crashes_is_the_last_write_of_each_time(
        self,
        point_database: PointDatabase,
        writes: list[tuple[int, int, int]],
        sealings: list[tuple[int, bool]],
    ) -> None:
        chunks = ChunkStore(point_database)
        # Metrics of their own for each example: the database is shared by all of them.
        shift = next(EXAMPLES)
        log = [(metric + 8 * shift, time, float(value)) for metric, time, value in writes]
        saved = 0
        for more, crashes in [*sealings, (len(log), False)]:
            through = min(saved + more, len(log))
            seal(chunks, through, *log[saved:through])
            if not crashes:
                saved = through
        for metric in {row[0] for row in log}:
            model = {time: value for found, time, value in log if found == metric}
            assert stored(chunks, metric) == sorted(model.items())


class TestRewriteScores:
    def test_replaces_them_over_chunks_and_months_and_keeps_values(
        self, point_database: PointDatabase
    ) -> None:
        chunks = ChunkStore(point_database)
        times = [START - HOUR, START, START + MINUTE, START + DAY]
        rows = [(1, time, float(n)) for n, time in enumerate(times)]
        chunks.seal(points(*rows), judgements_of(*[(1.0, 1, 2)] * 4), 3)
        nan = float("nan")
        chunks.rewrite_scores(
            1,
            np.array([times[0], times[1], START + 5, times[3]]),
            judgements_of((0.0, 3, 4), (nan, nan, nan), (0.0, 0, 0), (0.0, 5, 6)),
        )
        assert all_scores(chunks, 1) == [0.0, None, 1.0, 0.0]
        assert stored(chunks, 1) == [(time, float(n)) for n, time in enumerate(times)]
        assert {chunk.through_offset for chunk in chunks.read(1, *EVER)} == {3}

    def test_of_what_is_not_stored_does_nothing(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        chunks.rewrite_scores(1, np.array([START]), judgements_of((1, 1, 1)))
        chunks.rewrite_scores(1, np.empty(0, np.int64), Judgements.none(0))
        assert stored(chunks, 1) == []


class TestReadAll:
    def test_is_everything_of_a_metric_in_order(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        times = [START - 40 * DAY, START, START + MINUTE, START + DAY]
        chunks.seal(
            points(*((1, time, 1.0) for time in times)), judgements_of(*[(1.0, 1, 2)] * 4), 1
        )
        whole = chunks.read_all(1)
        assert whole.times.tolist() == times
        assert scores(whole) == [1.0] * 4
        assert len(chunks.read_all(2)) == 0


class TestValuesAt:
    def test_are_those_of_the_same_metric_and_time(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        seal(
            chunks, 1, (1, START, 1.0), (1, START + HOUR, 2.0), (2, START, 3.0), (1, START - 1, 4.0)
        )
        requested = points(
            (1, START + HOUR, 0),
            (2, START + HOUR, 0),
            (3, START, 0),
            (1, START - 1, 0),
            (1, START + 90 * DAY, 0),
            (1, START, 0),
            (1, START, 0),
        )
        found = chunks.values_at(requested)
        assert np.nan_to_num(found, nan=-1).tolist() == [2.0, -1, -1, 4.0, -1, 1.0, 1.0]

    def test_of_nothing_are_none(self, point_database: PointDatabase) -> None:
        assert len(ChunkStore(point_database).values_at(points())) == 0


class TestLatest:
    def test_is_the_newest_chunk_of_each(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        seal(
            chunks,
            1,
            (1, START, 1.0),
            (1, START + 40 * DAY, 2.0),
            (2, START - 40 * DAY, 3.0),
            (3, START, 4.0),
        )
        found = {
            chunk.metric_id: pairs(chunk.series) for chunk in chunks.latest(np.array([1, 2, 9]))
        }
        assert found == {1: [(START + 40 * DAY, 2.0)], 2: [(START - 40 * DAY, 3.0)]}


class TestDropBefore:
    def test_forgets_whole_buckets_of_every_metric(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        times = [START - 40 * DAY, START - HOUR, START, START + BUCKET_MS, START + 40 * DAY]
        for metric_id in (1, 2, 900):
            seal(chunks, 1, *((metric_id, time, 1.0) for time in times))
        chunks.drop_before(START + BUCKET_MS + HOUR)
        for metric_id in (1, 2, 900):
            assert [time for time, _ in stored(chunks, metric_id)] == times[3:]
        chunks.drop_before(START + BUCKET_MS + HOUR)
        assert [time for time, _ in stored(chunks, 1)] == times[3:]

    def test_sweeps_many_metrics_in_pieces(
        self, point_database: PointDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chunks_module, "MOST_METRICS_SWEPT", 3)
        chunks = ChunkStore(point_database)
        seal(chunks, 1, *((m, START + n * BUCKET_MS, 1.0) for m in range(10) for n in range(3)))
        chunks.drop_before(START + 2 * BUCKET_MS)
        for metric_id in range(10):
            assert [time for time, _ in stored(chunks, metric_id)] == [START + 2 * BUCKET_MS]

    def test_of_an_empty_store_does_nothing(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        chunks.drop_before(START)
        assert stored(chunks, 1) == []

    def test_gives_the_disk_back(self, point_database: PointDatabase) -> None:
        chunks = ChunkStore(point_database)
        noise = np.random.default_rng(1).normal(size=500)
        seal(
            chunks,
            1,
            *(
                (m, START + n * BUCKET_MS + row * MINUTE, float(noise[row]))
                for m in range(40)
                for n in range(2)
                for row in range(100)
            ),
        )
        without = chunks.size_bytes()
        assert chunks.damaged_items.list() == [], "the log exists from here on"
        full, log = chunks.size_bytes(), chunks.size_bytes() - without
        chunks.drop_before(START + 2 * BUCKET_MS)
        assert stored(chunks, 1) == []
        if isinstance(point_database, PointFiles):
            assert chunks.size_bytes() - log < (full - log) / 3

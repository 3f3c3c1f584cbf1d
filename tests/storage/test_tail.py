"""The tail adds every entry once, and finds the rows of a metric in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anomify.series import Judgements
from anomify.storage import tail as tail_module
from anomify.storage.codec import Judged
from anomify.storage.database import PointDatabase
from anomify.storage.log import LogRow, PointLog
from anomify.storage.tail import ScoreTail, Tail, stable_order
from tests.kit.points import MINUTE, START, Machines, entry, judgements_of, points

EVER = (-(2**62), 2**62)


def values_of(tail: Tail, metric_id: int) -> list[float]:
    return tail.read(metric_id, *EVER)[1].tolist()


class TestRead:
    def test_finds_a_metric_in_the_order_of_offsets(self) -> None:
        tail = Tail()
        tail.append(3, points((1, START, 3.0), (2, START, 9.0)))
        tail.append(1, points((1, START, 1.0)))
        tail.append(2, points((1, START + MINUTE, 2.0), (1, START + MINUTE, 2.5)))
        times, values, offsets = tail.read(1, *EVER)
        assert values.tolist() == [1.0, 2.0, 2.5, 3.0]
        assert offsets.tolist() == [1, 2, 2, 3]
        assert times.tolist() == [START, START + MINUTE, START + MINUTE, START]

    def test_includes_the_first_moment_and_not_the_last(self) -> None:
        tail = Tail()
        tail.append(1, points(*((1, START + n, float(n)) for n in range(5))))
        assert tail.read(1, START + 1, START + 4)[1].tolist() == [1.0, 2.0, 3.0]

    def test_of_an_unknown_metric_is_empty(self) -> None:
        tail = Tail()
        tail.append(1, points((1, START, 1.0)))
        assert [len(column) for column in tail.read(2, *EVER)] == [0, 0, 0]
        assert [len(column) for column in Tail().read(2, *EVER)] == [0, 0, 0]

    @given(st.data())
    def test_is_the_same_however_runs_are_made_and_merged(self, data: st.DataObject) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tail_module, "MOST_FRESH_BATCHES", data.draw(st.integers(1, 5)))
            patch.setattr(tail_module, "MOST_FRESH_ROWS", data.draw(st.integers(1, 50)))
            patch.setattr(tail_module, "RUNS_MERGED", data.draw(st.integers(2, 4)))
            ids = st.integers(1, 4) | st.just(2**40)
            batches = data.draw(st.lists(st.lists(ids, max_size=8), max_size=30))
            offsets = data.draw(st.permutations(range(1, len(batches) + 1)))
            tail, model = Tail(), {}
            pruned = 0
            for offset in offsets:
                rows = batches[offset - 1]
                tail.append(
                    offset,
                    points(*((m, START + n, offset + n / 100) for n, m in enumerate(rows))),
                )
                model[offset] = rows
                if data.draw(st.booleans()):
                    tail._runs.merge_runs()
                if data.draw(st.booleans()):
                    pruned = max(pruned, data.draw(st.integers(0, len(batches))))
                    tail.prune(pruned)
            for metric in (1, 2, 3, 4, 2**40):
                _, values, found = tail.read(metric, *EVER)
                wanted = [
                    (offset, offset + n / 100)
                    for offset in sorted(model)
                    for n, m in enumerate(model[offset])
                    if m == metric
                ]
                kept = list(zip(found.tolist(), values.tolist(), strict=True))
                # Some old rows may stay, all new ones must, and the order is that of the log.
                assert [row for row in kept if row[0] > pruned] == [
                    row for row in wanted if row[0] > pruned
                ]
                assert [row for row in wanted if row in kept] == kept


class TestAppend:
    def test_of_the_same_offset_again_changes_nothing(self) -> None:
        tail = Tail()
        tail.append(5, points((1, START, 1.0)))
        tail.append(5, points((1, START, 1.0)))
        assert len(tail) == 1


class TestPrune:
    def test_forgets_everything_up_to_an_offset(self) -> None:
        tail = Tail()
        for offset in range(1, 101):
            tail.append(offset, points((1, START, float(offset))))
        assert len(tail) == 100
        tail.prune(99)
        assert values_of(tail, 1)[-1] == 100.0
        tail.prune(100)
        assert len(tail) == 0


class Watched(PointLog):
    """A log that does something between the list of offsets and the reading of rows."""

    def __init__(self, database: PointDatabase) -> None:
        super().__init__(database)
        self.between = lambda: None
        self.loaded: list[int] = []

    def read_rows(self, offsets: list[int]) -> list[LogRow]:
        self.between()
        self.loaded += offsets
        return super().read_rows(offsets)


class TestFollow:
    def test_reads_what_the_log_held_at_the_start(self, machines: Machines) -> None:
        log = PointLog(machines.open())
        for number in range(5):
            log.append(entry((1, START + number, float(number))))
        tail = Tail()
        tail.follow(PointLog(machines.open()))
        assert values_of(tail, 1) == [0.0, 1.0, 2.0, 3.0, 4.0]

    def test_reads_only_what_others_wrote(self, machines: Machines) -> None:
        other, log, tail = PointLog(machines.open()), Watched(machines.open()), Tail()
        tail.append(log.append(entry((1, START, 1.0))), points((1, START, 1.0)))
        foreign = other.append(entry((1, START, 2.0)))
        tail.append(log.append(entry((1, START, 3.0))), points((1, START, 3.0)))
        tail.follow(log)
        assert log.loaded == [foreign]
        assert values_of(tail, 1) == [1.0, 2.0, 3.0]
        tail.follow(log)
        assert log.loaded == [foreign]

    def test_takes_an_own_entry_once_when_its_thread_is_late(
        self, point_database: PointDatabase
    ) -> None:
        log, tail = Watched(point_database), Tail()
        offset = log.append(entry((1, START, 1.0)))
        tail.follow(log)
        tail.append(offset, points((1, START, 1.0)))
        assert values_of(tail, 1) == [1.0]

    def test_takes_an_own_entry_once_when_its_thread_comes_between(
        self, point_database: PointDatabase
    ) -> None:
        log, tail = Watched(point_database), Tail()
        offset = log.append(entry((1, START, 1.0)))
        log.between = lambda: tail.append(offset, points((1, START, 1.0)))
        tail.follow(log)
        assert values_of(tail, 1) == [1.0]

    def test_misses_nothing_that_comes_while_it_reads(self, machines: Machines) -> None:
        other, log, tail = PointLog(machines.open()), Watched(machines.open()), Tail()
        other.append(entry((1, START, 1.0)))
        others = iter([2.0])

        def append_more() -> None:
            for value in others:
                other.append(entry((1, START, value)))
                tail.append(log.append(entry((1, START, 3.0))), points((1, START, 3.0)))

        log.between = append_more
        tail.follow(log)
        tail.follow(log)
        assert values_of(tail, 1) == [1.0, 2.0, 3.0]

    def test_passes_over_what_is_pruned_while_it_reads(self, machines: Machines) -> None:
        other, log, tail = PointLog(machines.open()), Watched(machines.open()), Tail()
        offsets = [other.append(entry((1, START, float(number)))) for number in range(3)]
        log.between = lambda: other.prune(offsets[1])
        tail.follow(log)
        assert values_of(tail, 1) == [2.0]

    def test_continues_over_all_pieces(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tail_module, "MOST_ROWS_LISTED", 3)
        monkeypatch.setattr(tail_module, "MOST_BYTES_LOADED", 1)
        log, tail = PointLog(machines.open()), Tail()
        for number in range(9):
            log.append(entry((1, START, float(number))))
        tail.follow(log)
        assert values_of(tail, 1) == [float(number) for number in range(9)]


class TestScoreTail:
    def test_gives_judgements_in_order_with_their_offsets(self) -> None:
        tail = ScoreTail()
        ids, times = np.array([1, 2]), np.array([START, START])
        tail.append(1, 10, Judged(ids, times, judgements_of((0.1, 1, 2), (0.2, 3, 4))))
        tail.append(2, 20, Judged(ids[:1], times[:1], judgements_of((0.3, 5, 6))))
        found, judgements, offsets = tail.read(1, *EVER)
        assert found.tolist() == [START, START]
        assert np.round(judgements.scores, 1).tolist() == pytest.approx([0.1, 0.3])
        assert offsets.tolist() == [10, 20]
        assert tail.last_id == 2

    def test_takes_each_batch_once(self) -> None:
        tail = ScoreTail()
        judged = Judged(np.array([1]), np.array([START]), judgements_of((0.1, 1, 2)))
        tail.append(1, 10, judged)
        tail.append(1, 10, judged)
        assert len(tail) == 1

    def test_forgets_by_offset(self) -> None:
        tail = ScoreTail()
        for number in range(1, 41):
            tail.append(
                number,
                number * 10,
                Judged(np.array([1]), np.array([START]), judgements_of((0, 1, 2))),
            )
        tail.prune(390)
        assert tail.read(1, *EVER)[2].tolist()[-1] == 400
        tail.prune(400)
        assert len(tail) == 0

    def test_of_an_unknown_metric_is_empty(self) -> None:
        times, judgements, offsets = ScoreTail().read(1, *EVER)
        assert len(times) == len(judgements.scores) == len(offsets) == 0

    def test_takes_an_empty_batch(self) -> None:
        tail = ScoreTail()
        tail.append(4, 7, Judged(np.empty(0, np.int64), np.empty(0, np.int64), Judgements.none(0)))
        assert (tail.last_id, len(tail)) == (4, 0)


class TestStableOrder:
    @given(
        arrays.arrays(np.int64, st.integers(1, 50), elements=st.integers(-(2**62), 2**62))
        | arrays.arrays(np.int64, st.integers(1, 50), elements=st.integers(0, 3))
        | arrays.arrays(np.int64, st.integers(1, 50), elements=st.integers(0, 200_000))
    )
    def test_is_that_of_numpy(self, ids: np.ndarray) -> None:
        assert stable_order(ids).tolist() == np.argsort(ids, kind="stable").tolist()

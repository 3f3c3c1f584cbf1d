"""Unsealed points: read by partition and by metric, dropped once every partition is sealed."""

import numpy as np

from anomify.series import Judgements
from anomify.worker.unsealed import Tick, Unsealed
from tests.kit.points import MINUTE, START, Row, points


def tick(first_offset: int, *rows: Row) -> Tick:
    offsets = first_offset + np.arange(len(rows), dtype=np.int64)
    return Tick(offsets, points(*rows), Judgements.none(len(rows)))


def waiting() -> Unsealed:
    found = Unsealed()
    found.add(tick(1, (1, START, 1.0), (2, START, 2.0), (3, START, 3.0)))
    found.add(tick(4, (1, START + MINUTE, 4.0), (3, START + MINUTE, 5.0)))
    return found


class TestOfPartition:
    def test_gives_its_metrics_rows_after_the_offset_in_order(self):
        assert waiting().of_partition(1, 2, 0).points.values.tolist() == [1.0, 3.0, 4.0, 5.0]
        found = waiting().of_partition(1, 2, 3)
        assert found.points.values.tolist() == [4.0, 5.0]
        assert found.offsets.tolist() == [4, 5]
        assert len(found.judgements.scores) == 2

    def test_returns_no_rows_when_empty(self):
        found = waiting().of_partition(5, 64, 0)
        assert len(found.points) == len(found.offsets) == len(found.judgements.scores) == 0


class TestOfMetrics:
    def test_gives_their_points_in_the_window_ends_included(self):
        found = waiting()
        assert found.of_metrics(np.array([1, 3]), START, START).points.values.tolist() == [1.0, 3.0]
        both = found.of_metrics(np.array([1]), START, START + MINUTE)
        assert both.points.values.tolist() == [1.0, 4.0]
        assert len(found.of_metrics(np.array([9]), START, START + MINUTE).points) == 0


class TestDrop:
    def test_drops_ticks_that_are_completely_sealed(self):
        found = waiting()
        found.drop(2)
        assert len(found) == 5
        found.drop(3)
        assert len(found) == 2
        found.drop(5)
        assert len(found) == 0

    def test_a_tick_without_rows_is_not_kept(self):
        found = Unsealed()
        found.add(tick(1))
        found.drop(0)
        assert len(found) == 0

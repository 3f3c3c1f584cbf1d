"""Judgements between the tick that made them and the chunk that holds them."""

import pytest
from sqlalchemy.orm import Session

from anomify.metric.judged_batches import (
    MOST_BATCHES,
    add_judged_batch,
    judged_through,
    list_judged_batches,
    prune_judged,
)

pytestmark = pytest.mark.usefixtures("unit")


def offsets() -> list[int]:
    return [batch.through_offset for batch in list_judged_batches(0)]


class TestListJudgedBatches:
    def test_gives_those_after_an_id_in_order(self, unit: Session) -> None:
        for offset in (3, 5, 9):
            add_judged_batch(offset, b"rows")
        unit.expunge_all()
        first, *rest = list_judged_batches(0)
        assert [batch.through_offset for batch in rest] == [5, 9]
        assert list_judged_batches(first.id) == rest
        assert list_judged_batches(rest[-1].id) == []
        assert first.rows == b"rows"

    def test_gives_only_so_many_at_once(self) -> None:
        for offset in range(MOST_BATCHES + 3):
            add_judged_batch(offset, b"")
        first = list_judged_batches(0)
        assert len(first) == MOST_BATCHES
        assert len(list_judged_batches(first[-1].id)) == 3


class TestJudgedThrough:
    def test_is_nothing_at_first_and_then_the_last_offset(self) -> None:
        assert judged_through() == 0
        for offset in (3, 9):
            add_judged_batch(offset, b"")
        assert judged_through() == 9


class TestPruneJudged:
    def test_forgets_what_is_sealed(self) -> None:
        for offset in (3, 5, 9):
            add_judged_batch(offset, b"")
        prune_judged(5)
        assert offsets() == [9]

    def test_never_forgets_how_far_judging_has_come(self) -> None:
        for offset in (3, 9):
            add_judged_batch(offset, b"")
        prune_judged(9)
        prune_judged(9)
        assert offsets() == [9]
        assert judged_through() == 9

"""Points are judged in the order of the log; late points, and loading and unloading of states."""

import numpy as np

from anomify.pipeline.score import FIRST_CAPACITY, Fresh, Scored, Scorer
from anomify.series import Points
from anomify.storage.log import Entry, LogRow
from tests.kit.points import MINUTE, START, Row, points

COUNT = 130


def row(offset: int, *rows: Row, **more: bool) -> LogRow:
    return LogRow(offset, Entry(points(*rows), Points.empty(), **more))


def score(scorer: Scorer, *rows: LogRow) -> Scored:
    return scorer.score(Fresh.of_rows(list(rows)))


def late(scored: Scored) -> list[tuple[int, int]]:
    """The late rows, by metric and minute."""
    return [
        (int(metric_id), (int(time) - START) // MINUTE)
        for metric_id, time in zip(
            scored.points.metric_ids[scored.is_late],
            scored.points.times[scored.is_late],
            strict=True,
        )
    ]


def line(metric_id: int, first: int = 0, count: int = COUNT) -> list[Row]:
    """Minutes of a metric whose values go up and down."""
    return [(metric_id, START + n * MINUTE, float(n % 7)) for n in range(first, first + count)]


class TestFresh:
    def test_leaves_out_rows_that_a_partition_has_sealed(self):
        fresh = Fresh.of_rows([row(5, (2, START, 1.0), (3, START, 1.0)), row(6, (2, START, 2.0))])
        kept = fresh.after(np.array([5, 4]), 2)
        assert kept.points.metric_ids.tolist() == [3, 2]
        assert kept.offsets.tolist() == [5, 6]
        assert kept.through_offset == 6

    def test_marks_rows_of_a_back_fill(self):
        fresh = Fresh.of_rows([row(1, (1, START, 1.0)), row(2, (1, START, 2.0), is_backfill=True)])
        assert fresh.is_backfill.tolist() == [False, True]

    def test_of_no_rows_is_empty(self):
        assert Fresh.of_rows([]).through_offset == 0


class TestLateness:
    def test_within_one_entry_the_order_does_not_matter(self):
        shuffled = [(1, START + n * MINUTE, 1.0) for n in (3, 1, 2, 0)]
        assert late(score(Scorer(), row(1, *shuffled))) == []

    def test_within_one_entry_a_time_that_comes_twice_is_late_once(self):
        scored = score(Scorer(), row(1, (1, START, 1.0), (1, START, 2.0)))
        assert late(scored) == [(1, 0)]
        assert scored.points.values.tolist() == [1.0, 2.0]

    def test_across_entries_the_order_of_the_log_counts(self):
        rows = [row(1, (1, START + MINUTE, 1.0)), row(2, (1, START, 1.0))]
        together = score(Scorer(), *rows)
        assert late(together) == [(1, 0)]
        apart = Scorer()
        assert [late(score(apart, one)) for one in rows] == [[], [(1, 0)]]

    def test_is_of_each_metric_by_itself(self):
        scored = score(Scorer(), row(1, (1, START + MINUTE, 1.0), (2, START, 1.0)))
        assert late(scored) == []

    def test_counts_from_the_last_point_known(self):
        scorer = Scorer()
        score(scorer, row(1, *line(1)))
        times = [(1, START + n * MINUTE, 1.0) for n in (COUNT - 1, COUNT)]
        assert late(score(scorer, row(2, *times))) == [(1, COUNT - 1)]


class TestHasMoved:
    def test_is_true_for_metrics_with_a_point_that_was_not_late(self):
        scorer = Scorer()
        score(scorer, row(1, *line(1), *line(2), *line(3)))
        scored = score(
            scorer,
            row(2, (1, START, 1.0)),
            row(3, (2, START, 1.0), (2, START + COUNT * MINUTE, 1.0)),
            row(4, (4, START, 1.0)),
        )
        assert scored.metric_ids.tolist() == [1, 2, 4]
        assert scored.has_moved.tolist() == [False, True, True]


class TestScore:
    def test_gives_the_same_verdicts_however_the_log_is_split(self):
        rows = [row(n + 1, *line(1, 10 * n, 10), *line(2, 10 * n, 10)) for n in range(13)]
        whole, cut = Scorer(), Scorer()
        at_once = score(whole, *rows)
        pieces = [score(cut, *rows[first : first + 4]) for first in range(0, len(rows), 4)]
        for metric_id in (1, 2):
            scores = [
                each.verdicts.scores[each.points.metric_ids == metric_id]
                for each in (at_once, *pieces)
            ]
            assert np.isfinite(scores[0]).any()
            np.testing.assert_array_equal(scores[0], np.concatenate(scores[1:]))
        ids = np.array([1, 2])
        assert whole.snapshot_of(ids) == cut.snapshot_of(ids)

    def test_accepts_no_rows(self):
        scored = score(Scorer(), row(9))
        assert len(scored.points) == len(scored.metric_ids) == len(scored.has_moved) == 0


class TestScorer:
    def test_grows_for_more_metrics(self):
        scorer = Scorer()
        many = [(metric_id, START, 1.0) for metric_id in range(1, 3 * FIRST_CAPACITY)]
        score(scorer, row(1, *many))
        assert len(scorer) == len(many)
        assert scorer.loaded().tolist() == [metric_id for metric_id, _, _ in many]

    def test_a_metric_that_was_unloaded_continues_as_if_it_was_not(self):
        kept, reloaded = Scorer(), Scorer()
        only = np.array([7])
        for scorer in (kept, reloaded):
            score(scorer, row(1, *line(7)))
        state = reloaded.snapshot_of(only)
        reloaded.unload([7])
        assert reloaded.not_loaded(only).tolist() == [7]
        # Another metric gets its place meanwhile.
        score(reloaded, row(2, *line(8)))
        reloaded.load(only, state)
        for scorer in (kept, reloaded):
            score(scorer, row(3, *line(7, COUNT, 5)))
        assert reloaded.snapshot_of(only) == kept.snapshot_of(only)

    def test_starts_with_a_new_state_in_a_slot_that_was_freed(self):
        scorer = Scorer()
        score(scorer, row(1, *line(1)))
        scorer.unload([1, 1])
        score(scorer, row(2, (2, START, 1.0)))
        assert scorer.summary_of(np.array([2])).seen.tolist() == [1]

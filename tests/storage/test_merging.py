"""Merging keeps the last value and the last judgement of each time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomify.series import Judgements, Series
from anomify.storage.merging import judge, judge_anew, merge
from tests.kit.points import judgements_of, pairs, scores, series

NAN = float("nan")
ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 99), st.none() | st.integers(0, 254)), max_size=20
)


def judged(*rows: tuple[int, float, float]) -> Series:
    return Series(
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows], np.float64),
        judgements_of(*((row[2], NAN, NAN) for row in rows)),
    )


class TestMerge:
    @given(ROWS)
    def test_is_what_a_dictionary_would_keep(self, rows: list[tuple[int, int, int | None]]) -> None:
        values, result = {}, {}
        for time, value, score in rows:
            values[time] = value
            if score is not None:
                result[time] = score
        merged = merge(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.float64),
            judgements_of(*((NAN if row[2] is None else row[2], NAN, NAN) for row in rows)),
        )
        assert pairs(merged) == sorted(values.items())
        assert scores(merged) == [result.get(time) for time in sorted(values)]


class TestJudge:
    def test_replaces_judgements_at_the_given_times(self) -> None:
        before = judged((1, 1.0, 0.1), (2, 2.0, 0.2), (4, 4.0, NAN))
        after = judge(
            before,
            np.array([4, 2, 3, 9, 4]),
            judgements_of(*[(s, 0, 0) for s in (0.5, 0.6, 0.7, 0.8, 0.9)]),
        )
        assert scores(after) == [0.1, 0.6, 0.9]
        assert scores(before) == [0.1, 0.2, None]

    def test_keeps_judgements_at_other_times(self) -> None:
        before = judged((1, 1.0, 0.1))
        assert scores(judge(before, np.array([1]), Judgements.none(1))) == [0.1]

    def test_of_an_empty_series_is_empty(self) -> None:
        assert len(judge(series(), np.array([1]), judgements_of((1, 1, 1)))) == 0


class TestJudgeAnew:
    def test_removes_earlier_judgements(self) -> None:
        before = judged((1, 1.0, 0.1), (2, 2.0, 0.2), (3, 3.0, 0.3))
        after = judge_anew(before, np.array([1, 3]), judgements_of((NAN, NAN, NAN), (0.9, 1, 2)))
        assert scores(after) == [None, 0.2, 0.9]

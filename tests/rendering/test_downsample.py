import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomify.rendering.downsample import extremes_by_column, run_numbers

MINUTE = 60_000


def runs(minutes, step=None):
    return run_numbers(np.array(minutes, np.int64) * MINUTE, step).tolist()


class TestRunNumbers:
    def test_a_gap_of_over_three_steps_begins_a_run(self):
        assert runs([0, 1, 2, 3, 7, 8, 9]) == [0, 0, 0, 0, 1, 1, 1]

    def test_one_or_two_missing_points_do_not_begin_a_run(self):
        assert runs([0, 1, 2, 4, 5, 8, 9]) == [0] * 7

    def test_a_point_between_two_gaps_is_a_run_of_its_own(self):
        assert runs([0, 1, 2, 3, 4, 20, 40, 41, 42, 43]) == [0, 0, 0, 0, 0, 1, 2, 2, 2, 2]

    def test_a_part_with_longer_steps_is_one_run(self):
        assert set(runs([0, 10, 20, 30, 31, 32, 33, 34, 35, 36, 37, 38])) == {0}

    def test_a_known_step_decides_for_two_points(self):
        assert runs([0, 10]) == [0, 0]
        assert runs([0, 10], step=MINUTE) == [0, 1]

    def test_nothing_has_no_runs_and_one_point_has_one(self):
        assert runs([]) == []
        assert runs([5]) == [0]


@st.composite
def curves(draw):
    count = draw(st.integers(1, 200))
    columns = np.sort(draw(st.lists(st.integers(0, 20), min_size=count, max_size=count)))
    values = draw(st.lists(st.integers(-5, 5), min_size=count, max_size=count))
    steps = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    return columns.astype(np.int64), np.array(values, float), np.cumsum(steps)


class TestExtremesByColumn:
    @given(curves())
    def test_agrees_with_a_naive_implementation(self, curve):
        columns, values, numbers = curve
        wanted = set()
        for group in set(zip(columns.tolist(), numbers.tolist(), strict=True)):
            rows = [row for row in range(len(values)) if (columns[row], numbers[row]) == group]
            wanted |= {min(rows, key=lambda row: (values[row], row))}
            wanted |= {min(rows, key=lambda row: (-values[row], row))}
        kept = extremes_by_column(columns, values, numbers)
        assert kept.rows.tolist() == sorted(wanted)
        assert kept.runs.tolist() == numbers[kept.rows].tolist()

    def test_keeps_two_points_a_column_at_most_and_every_spike(self):
        values = np.random.default_rng(1).normal(size=100_000)
        values[51_234] = 99.0
        columns = np.arange(100_000) // 125
        kept = extremes_by_column(columns, values, np.zeros(100_000, np.int64))
        assert np.bincount(columns[kept.rows]).max() == 2
        assert 51_234 in kept.rows

    def test_returns_where_runs_begin(self):
        kept = extremes_by_column(np.arange(4), np.zeros(4), np.array([0, 0, 1, 1]))
        assert kept.begins().tolist() == [True, False, True, False]

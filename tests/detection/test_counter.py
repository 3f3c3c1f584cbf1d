import numpy as np

from anomify.detection.counter import rates


class TestRates:
    def test_gives_the_increase_a_second_and_none_for_the_first_point(self):
        result = rates(np.array([0, 10_000, 40_000]), np.array([5.0, 25.0, 25.0]))
        np.testing.assert_array_equal(result, [np.nan, 2.0, 0.0])

    def test_counts_from_zero_after_a_restart(self):
        result = rates(np.array([0, 1000, 2000]), np.array([100.0, 110.0, 4.0]))
        assert result[2] == 4.0

    def test_shows_a_smaller_fall_as_negative(self):
        result = rates(np.array([0, 1000]), np.array([100.0, 80.0]))
        assert result[1] == -20.0

    def test_reaches_over_missing_values(self):
        result = rates(np.array([0, 1000, 2000]), np.array([1.0, np.nan, 7.0]))
        np.testing.assert_array_equal(result, [np.nan, np.nan, 3.0])

    def test_takes_nothing_for_nothing(self):
        assert len(rates(np.empty(0, np.int64), np.empty(0))) == 0

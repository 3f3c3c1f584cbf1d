import numpy as np

from anomify.detection.counter import rates


class TestRates:
    def test_gives_the_increase_a_second_and_none_for_the_first_point(self):
        result = rates(np.array([0, 10_000, 40_000]), np.array([5.0, 25.0, 25.0]))
        np.testing.assert_array_equal(result, [np.nan, 2.0, 0.0])

    def test_has_no_rate_at_a_restart_and_counts_from_zero_at_the_next_one(self):
        result = rates(np.arange(5) * 1000, np.array([100.0, 110.0, 4.0, 1.0, 6.0]))
        assert np.isnan(result[2])
        assert result[3:].tolist() == [1.0, 5.0]

    def test_continues_a_32_bit_counter_past_its_end(self):
        values = np.array([2.0**32 - 30, 2.0**32 - 10, 15.0, 30.0])
        assert rates(np.arange(4) * 1000, values)[1:].tolist() == [20.0, 25.0, 15.0]

    def test_shows_a_smaller_fall_as_negative(self):
        result = rates(np.array([0, 1000]), np.array([100.0, 80.0]))
        assert result[1] == -20.0

    def test_reaches_over_missing_values(self):
        result = rates(np.array([0, 1000, 2000]), np.array([1.0, np.nan, 7.0]))
        np.testing.assert_array_equal(result, [np.nan, np.nan, 3.0])

    def test_takes_nothing_for_nothing(self):
        assert len(rates(np.empty(0, np.int64), np.empty(0))) == 0

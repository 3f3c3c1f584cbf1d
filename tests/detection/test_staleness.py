"""After how much silence a metric is stale, as learnt from its own gaps."""

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.staleness import LEAST_MS, UNKNOWN_MS, stale_after_ms
from anomify.detection.state import EngineState

START_MS = 1_790_553_600_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ONLY = np.zeros(1, np.int64)


def wait_times(gaps_ms):
    """Return after how long a metric is stale whose points came with these gaps."""
    times = START_MS + np.concatenate([[0], np.cumsum(gaps_ms)]).astype(np.int64)
    state = EngineState.new(1)
    values = np.random.default_rng(1).normal(5, 1, len(times))
    judge(state, np.zeros(len(times), np.int64), times, values)
    return int(stale_after_ms(state, ONLY)[0])


class TestStaleAfterMs:
    @pytest.mark.parametrize(
        ("step", "expected"),
        [(10_000, LEAST_MS), (MINUTE, LEAST_MS), (5 * MINUTE, 25 * MINUTE), (DAY, 5 * DAY)],
    )
    def test_is_five_steps_of_what_reports_regularly_and_never_under_five_minutes(
        self, step, expected
    ):
        assert wait_times(np.full(3000, step)) == expected

    def test_is_a_quarter_of_an_hour_while_the_step_is_unknown(self):
        assert wait_times([]) == UNKNOWN_MS

    def test_covers_the_nights_of_what_reports_by_day(self):
        day = np.append(np.full(599, MINUTE), DAY - 599 * MINUTE)
        assert DAY - 600 * MINUTE < wait_times(np.tile(day, 20)) < 2 * DAY

    def test_takes_one_outage_in_thousands_of_points_for_no_habit(self):
        gaps = np.full(5000, MINUTE)
        gaps[2500] = 3 * HOUR
        assert wait_times(gaps) == LEAST_MS

    def test_covers_the_longest_gap_while_few_are_known(self):
        gaps = np.full(300, MINUTE)
        gaps[100] = 2 * HOUR
        assert 2 * HOUR <= wait_times(gaps) <= 3 * HOUR

    def test_learns_what_comes_at_random(self):
        gaps = np.random.default_rng(3).exponential(10 * MINUTE, 5000) + 1000
        rare = np.quantile(gaps, 0.999)
        assert rare * 0.7 <= wait_times(gaps) <= rare * 1.5

    def test_forgets_an_old_habit(self):
        slow, quick = np.full(2000, 2 * HOUR), np.full(200_000, MINUTE)
        assert wait_times(slow) == 10 * HOUR
        assert wait_times(np.concatenate([slow, quick])) == LEAST_MS

    def test_says_of_each_slot_what_it_says_of_it_alone(self):
        state = EngineState.new(3)
        for slot, step in enumerate((MINUTE, HOUR)):
            times = START_MS + np.arange(500) * step
            judge(state, np.full(500, slot), times, np.sin(np.arange(500.0)))
        both = stale_after_ms(state, np.array([1, 0, 2]))
        assert both.tolist() == [5 * HOUR, LEAST_MS, UNKNOWN_MS]

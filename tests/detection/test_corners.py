"""spec/anomify.md, Appendix C: what Skyline's rules cannot see, at every scale and sign."""

import itertools

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.state import EngineState
from anomify.detection.threshold import THRESHOLDS, Severity

MONDAY_MS = 1_790_553_600_000
MINUTE_MS = 60_000
LOW = THRESHOLDS[Severity.LOW]
TRIALS = 20
DAY = 1440
WEEK = 7 * DAY


def judge_rows(state, values, start):
    """Judge the next points of many metrics of a minute's step, a row each."""
    count, points = values.shape
    times = np.tile(MONDAY_MS + (start + np.arange(points)) * MINUTE_MS, count)
    slots = np.repeat(np.arange(count), points)
    return judge(state, slots, times, values.ravel()).alerts.reshape(values.shape)


def noise(count, points, seed=7):
    return np.random.default_rng(seed).normal(0.0, 1.0, (count, points))


class TestShifts:
    """Shifts of 3 points from six standard deviations on, of one point from eight on."""

    def test_are_alerted_in_every_trial_once_a_metric_is_five_days_old(self):
        shifts = [(3, 6.0), (3, 10.0), (3, 30.0), (1, 8.0), (1, 15.0), (1, 30.0)]
        self.assert_alerts(5 * DAY, shifts)

    def test_of_a_size_half_as_large_again_are_alerted_on_the_second_day(self):
        self.assert_alerts(DAY, [(3, 10.0), (3, 30.0), (1, 15.0), (1, 30.0)])

    def assert_alerts(self, points, shifts):
        for mean, std in itertools.product([0.0, 100.0, -100.0], [1e-9, 0.1, 1.0, 10.0, 1e9]):
            values = noise(TRIALS, points + 3)
            before = EngineState.new(TRIALS)
            judge_rows(before, (mean + values[:, :points]) * std, 0)
            for (length, sigmas), sign in itertools.product(shifts, [1.0, -1.0]):
                newest = values[:, points : points + length] + sign * sigmas
                state = EngineState(before.slots.copy())
                alerts = judge_rows(state, (mean + newest) * std, points)
                assert (alerts.max(axis=1) >= LOW).all(), (mean, std, sign, length, sigmas)


class TestNoise:
    @pytest.mark.parametrize("std", [0.1, 10.0])
    @pytest.mark.parametrize("shape", ["normal", "uniform"])
    def test_raises_less_than_one_false_alarm_a_metric_week(self, std, shape):
        count = 12
        rng = np.random.default_rng(11)
        values = {
            "normal": lambda: rng.normal(0.0, 1.0, (count, WEEK)),
            "uniform": lambda: rng.uniform(-1.0, 1.0, (count, WEEK)),
        }[shape]()
        alerts = judge_rows(EngineState.new(count), (100.0 + values) * std, 0)
        assert (alerts >= LOW).sum() < count

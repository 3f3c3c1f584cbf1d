"""spec/anomify.md, Appendix C: what Skyline's rules cannot see, at every scale and sign."""

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.state import EngineState
from anomify.detection.threshold import THRESHOLDS, Severity

MONDAY_MS = 1_790_553_600_000
MINUTE_MS = 60_000
LOW = THRESHOLDS[Severity.LOW]
TRIALS = 30
POINTS = 1440
WEEK = 7 * 1440


def judged(values):
    """Judge many metrics of a minute's step, a row each."""
    count, points = values.shape
    times = np.tile(MONDAY_MS + np.arange(points) * MINUTE_MS, count)
    slots = np.repeat(np.arange(count), points)
    verdicts = judge(EngineState.new(count), slots, times, values.ravel())
    return verdicts.alerts.reshape(values.shape)


def noise(count, points, seed=7):
    return np.random.default_rng(seed).normal(0.0, 1.0, (count, points))


class TestShifts:
    """Every row of the table, from six sigma on for three points and eight for one."""

    @pytest.mark.parametrize("mean", [0.0, 100.0, -100.0], ids=lambda mean: f"mean {mean:g}")
    @pytest.mark.parametrize("std", [1e-9, 0.1, 1.0, 10.0, 1e9], ids=lambda std: f"std {std:g}")
    @pytest.mark.parametrize("sign", [1.0, -1.0], ids=["up", "down"])
    @pytest.mark.parametrize(
        ("points", "sigmas"),
        [(3, 6.0), (3, 10.0), (3, 30.0), (1, 8.0), (1, 15.0), (1, 30.0)],
    )
    def test_are_seen_in_every_trial(self, mean, std, sign, points, sigmas):
        values = noise(TRIALS, POINTS)
        values[:, -points:] += sign * sigmas
        alerts = judged((mean + values) * std)
        assert (alerts[:, -points:].max(axis=1) >= LOW).mean() == 1.0


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
        alerts = judged((100.0 + values) * std)
        assert (alerts >= LOW).sum() < count

"""Kinds and steps of metrics: the compiled engine agrees with the plain second implementation."""

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.generated_values import GeneratedKind
from anomify.detection.generator import generate
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState, describe
from anomify.detection.tuning import AS_COUNTER, AS_GAUGE, Tuning, tune
from tests.detection.naive_metric_kind import NaiveFeed

MONDAY_MS = 1_790_553_600_000
ONLY = np.zeros(1, np.int64)


def of_kind(kind, step, days, count=3000):
    [metric] = generate(3, MONDAY_MS, step, days, [kind], incidents_a_week=1.0)
    return metric.times[:count], metric.values[:count]


def at_random(count=1500):
    rng = np.random.default_rng(2)
    gaps = np.maximum(rng.exponential(60_000, count), 1_000)
    return MONDAY_MS + np.cumsum(gaps).astype(np.int64), rng.normal(50, 5, count)


def by_day_only(days=12):
    times = MONDAY_MS + np.arange(days * 1440) * 60_000
    times = times[(np.arange(len(times)) % 1440) < 400]
    return times, np.random.default_rng(3).normal(-50, 5, len(times))


def huge_now_and_then(count=800):
    values = np.random.default_rng(4).normal(5, 1, count)
    values[::50] = 1e120
    values[7::90] = np.nan
    return MONDAY_MS + np.arange(count) * 60_000, values


def late_counter(count=900):
    steps = np.random.default_rng(5).poisson(40, count)
    steps[:400] = 0
    return MONDAY_MS + np.arange(count) * 60_000, np.cumsum(steps).astype(float)


def a_32_bit_counter(count=900):
    steps = np.random.default_rng(6).poisson(2e7, count)
    return MONDAY_MS + np.arange(count) * 60_000, np.cumsum(steps) % 2.0**32


def a_counter_that_restarts_again_and_again(count=1500):
    steps = np.random.default_rng(7).poisson(600, count).astype(float)
    values = np.cumsum(steps)
    for place in (*range(500, 1400, 170), *range(1400, 1420)):
        values[place:] -= values[place] - 40
    return MONDAY_MS + np.arange(count) * 60_000, values


FEEDS = {
    "a 32-bit counter": a_32_bit_counter,
    "a counter that restarts again and again": a_counter_that_restarts_again_and_again,
    "requests": lambda: of_kind(GeneratedKind.REQUESTS, 60, 4),
    "errors every ten seconds": lambda: of_kind(GeneratedKind.ERRORS, 10, 1),
    "a counter with resets": lambda: of_kind(GeneratedKind.COUNTER, 60, 4),
    "a counter by the hour": lambda: of_kind(GeneratedKind.COUNTER, 3600, 60),
    "daily": lambda: of_kind(GeneratedKind.DISK, 86400, 200),
    "twice a day": lambda: of_kind(GeneratedKind.REQUESTS, 43200, 100),
    "weekly": lambda: of_kind(GeneratedKind.REQUESTS, 604800, 700),
    "at random": at_random,
    "by day only": by_day_only,
    "huge now and then": huge_now_and_then,
    "a counter that begins late": late_counter,
}


class TestTheCompiledKernel:
    @pytest.mark.parametrize("name", list(FEEDS))
    @pytest.mark.parametrize("kind", ["auto", "gauge", "counter"])
    def test_agrees_with_the_plain_one(self, name, kind):
        times, values = FEEDS[name]()
        naive = NaiveFeed(kind)
        expected = [
            naive.see(int(time), float(value)) for time, value in zip(times, values, strict=True)
        ]
        state = EngineState.new(1)
        tune(state, 0, Tuning(kind={"auto": 0, "gauge": AS_GAUGE, "counter": AS_COUNTER}[kind]))
        verdicts = judge(state, np.zeros(len(times), np.int64), times, values)
        assert verdicts.judged.tolist() == [verdict is not None for verdict in expected]
        verdicts_known = [verdict for verdict in expected if verdict is not None]
        for fast, key in (
            (verdicts.values, "value"),
            (verdicts.lowers, "lower"),
            (verdicts.uppers, "upper"),
            (verdicts.strengths, "strength"),
            (verdicts.alerts, "alert"),
        ):
            slow = [verdict[key] for verdict in verdicts_known]
            np.testing.assert_allclose(fast[verdicts.judged], slow, rtol=3e-5, atol=1e-6)
        known = describe(state, ONLY)
        assert known.resolution_ms[0] == naive.resolution
        assert known.is_counter[0] == naive.is_counter
        assert known.needed[0] == naive.trained_points
        assert known.last_times[0] == naive.newest_time
        assert known.seen[0] == len(naive.points)
        assert stale_after_ms(state, ONLY)[0] == naive.stale_after_ms()


class TestLearning:
    @pytest.mark.parametrize(
        ("step", "needed"),
        [(10, 100), (60, 100), (3600, 100), (21600, 100), (43200, 56), (86400, 28), (604800, 28)],
    )
    def test_takes_a_hundred_points_or_four_weeks(self, step, needed):
        times = MONDAY_MS + np.arange(150) * step * 1000
        values = np.random.default_rng(1).normal(5, 1, 150)
        state = EngineState.new(1)
        said = []
        for row in range(150):
            judge(state, ONLY, times[row : row + 1], values[row : row + 1])
            known = describe(state, ONLY)
            said.append((int(known.seen[0]), int(known.needed[0])))
        assert said[20] == (21, needed)
        assert said[-1] == (150, needed)
        verdicts = judge(EngineState.new(1), np.zeros(150, np.int64), times, values)
        assert np.flatnonzero(verdicts.judged)[0] == needed

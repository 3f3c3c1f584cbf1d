"""The compiled engine agrees with the plain second implementation on each kind of gauge."""

import numpy as np
import pytest

from anomify.detection.detector import Head, judge
from anomify.detection.generated_values import GeneratedKind
from anomify.detection.generator import generate
from anomify.detection.state import EngineState
from anomify.detection.threshold import display_score
from tests.detection.naive_metric_kind import NaiveFeed

MONDAY_MS = 1_790_553_600_000
TOLERANCE = {"rtol": 2e-5, "atol": 1e-6}


def assert_agrees(times, values):
    """Compare all verdicts of both heads on a gauge, from its 101st point on."""
    feed = NaiveFeed("gauge")
    rows = [feed.see(int(time), float(value)) for time, value in zip(times, values, strict=True)]
    start = next(place for place, row in enumerate(rows) if row is not None)
    judged_rows = slice(start, None)
    slots = np.zeros(len(times), np.int64)

    def naive(key):
        return np.array([row[key] for row in rows[judged_rows]])

    for head, name in ((Head.ALARM, "strength"), (Head.NOVELTY, "novelty")):
        verdicts = judge(EngineState.new(1), slots, times, values, head)
        assert verdicts.judged[judged_rows].all()
        np.testing.assert_allclose(verdicts.strengths[judged_rows], naive(name), **TOLERANCE)
        np.testing.assert_allclose(verdicts.lowers[judged_rows], naive("lower"), **TOLERANCE)
        np.testing.assert_allclose(verdicts.uppers[judged_rows], naive("upper"), **TOLERANCE)
        if head is Head.ALARM:
            np.testing.assert_allclose(verdicts.alerts[judged_rows], naive("alert"), **TOLERANCE)
            scores = display_score(naive("display"))
            np.testing.assert_allclose(verdicts.scores[judged_rows], scores, rtol=1e-4, atol=1e-6)


def grid(count, step):
    return MONDAY_MS + np.arange(count) * step * 1000


def noise(count, seed=1):
    return np.random.default_rng(seed).normal(0.0, 1.0, count)


def daily_and_weekly_jobs():
    """A job of an hour from the tenth night on, and one on each Sunday."""
    times = grid(40 * 96, 900)
    day, place = np.divmod(np.arange(len(times)), 96)
    values = 20 + noise(len(times))
    values[(day >= 10) & (place >= 12) & (place < 16)] += 30
    values[(day % 7 == 6) & (place >= 40) & (place < 48)] += 40
    return times, values


def growth_from_day_to_day():
    times = grid(45 * 24, 3600)
    hours = np.arange(len(times))
    growth = 1.02 ** np.maximum((hours - 35 * 24) / 24, 0)
    return times, (100 + 30 * np.sin(2 * np.pi * hours / 24) + noise(len(times))) * growth**3


def rare_errors_with_a_burst():
    values = np.random.default_rng(2).poisson(0.01, 4000).astype(float)
    values[3500:3505] += 200
    return grid(4000, 60), values


def values_with_a_heavy_tail():
    return grid(5000, 300), 100 * np.exp(noise(5000)) - 50


def frequent_blips():
    values = 50 + noise(5000)
    for blip, place in enumerate(range(300, 5000, 110)):
        values[place : place + 1 + blip % 3] += 25 + blip % 7
    return grid(5000, 300), values


def integers_that_stand_still():
    values = np.round(50 + 0.8 * noise(3000))
    values[2500:2600] = 50
    return grid(3000, 300), values


def spikes_and_outages():
    values = 1000 + 20 * noise(4000)
    values[2500:2503] *= 8
    values[2515:2560] *= 0.3
    values[3000] = -1e6
    values[3010:3400] += 400
    return grid(4000, 60), values


def a_step_that_becomes_longer():
    times = np.concatenate(
        [grid(1500, 300), MONDAY_MS + (1500 * 300 + np.arange(500) * 3600) * 1000]
    )
    return times, 10 + np.sin(times / 86_400_000 * 2 * np.pi) + 0.1 * noise(2000)


def gaps_of_hours():
    kept = np.arange(4000) % 700 < 550
    return grid(4000, 300)[kept], (40 + 9 * np.sin(np.arange(4000) / 45) + noise(4000))[kept]


SITUATIONS = [
    daily_and_weekly_jobs,
    growth_from_day_to_day,
    rare_errors_with_a_burst,
    values_with_a_heavy_tail,
    frequent_blips,
    integers_that_stand_still,
    spikes_and_outages,
    a_step_that_becomes_longer,
    gaps_of_hours,
]


class TestTheCompiledKernel:
    @pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
    def test_agrees_with_the_plain_one_in_each_situation(self, situation):
        assert_agrees(*situation())

    @pytest.mark.parametrize("step", [60, 300, 3600, 86400])
    @pytest.mark.parametrize(
        "kind", [GeneratedKind.REQUESTS, GeneratedKind.ERRORS, GeneratedKind.DISK]
    )
    def test_agrees_with_the_plain_one_on_generated_metrics(self, step, kind):
        days = {60: 7, 300: 16, 3600: 60, 86400: 400}[step]
        [metric] = generate(3, MONDAY_MS, step, days, [kind], incidents_a_week=1.0)
        assert_agrees(metric.times[:6000], metric.values[:6000])

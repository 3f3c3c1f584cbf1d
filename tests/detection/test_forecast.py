"""What is expected of the day to come: as the verdicts will have it, and honest about the rest."""

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.forecast import MOST_POINTS, REACH_MS, forecast
from anomify.detection.generated_values import GeneratedKind
from anomify.detection.generator import generate
from anomify.detection.state import EngineState

MONDAY_MS = 1_790_553_600_000
DAY_MS = 86_400_000


def judged(times, values, state=None):
    state = state or EngineState.new(1)
    verdicts = judge(state, np.zeros(len(times), np.int64), times, np.asarray(values, float))
    return verdicts, state


def daily_wave(days, step_ms, std=2.0, seed=1):
    count = days * DAY_MS // step_ms
    times = MONDAY_MS + np.arange(count) * step_ms
    noise = np.random.default_rng(seed).normal(0, std, count)
    return times, 100 + 50 * np.sin(2 * np.pi * (times % DAY_MS) / DAY_MS) + noise


class TestForecast:
    @pytest.mark.parametrize("kind", list(GeneratedKind))
    @pytest.mark.parametrize("step", [60, 3600])
    def test_begins_with_the_range_that_the_next_point_will_have(self, kind, step):
        [metric] = generate(5, MONDAY_MS, step, 9 if step == 60 else 60, [kind])
        for count in np.linspace(150, len(metric.times) - 1, 12).astype(int):
            _, state = judged(metric.times[:count], metric.values[:count])
            ahead = forecast(state, 0)
            verdict, _ = judged(
                metric.times[count : count + 1], metric.values[count : count + 1], state
            )
            if metric.times[count] != ahead.times[0]:
                continue
            np.testing.assert_allclose(ahead.lowers[0], verdict.lowers[0], rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(ahead.uppers[0], verdict.uppers[0], rtol=1e-6, atol=1e-6)

    def test_knows_the_rhythm_of_the_day(self):
        times, values = daily_wave(14, 60_000)
        _, state = judged(times[:-1440], values[:-1440])
        ahead = forecast(state, 0)
        np.testing.assert_array_equal(ahead.times[:1440], times[-1440:])
        inside = (values[-1440:] > ahead.lowers[:1440]) & (values[-1440:] < ahead.uppers[:1440])
        assert inside.mean() > 0.995
        assert (ahead.uppers - ahead.lowers).max() < 40.0

    def test_knows_the_weekend(self):
        times, values = daily_wave(35, 600_000)
        weekend = ((times + 3 * DAY_MS) // DAY_MS) % 7 >= 5
        values = np.where(weekend, 0.4 * values, values)
        friday = np.flatnonzero(np.diff(weekend.astype(int)) == 1)[-1] + 1
        _, state = judged(times[:friday], values[:friday])
        ahead = forecast(state, 0)
        saturday = slice(friday, friday + len(ahead.times))
        inside = (values[saturday] > ahead.lowers) & (values[saturday] < ahead.uppers)
        assert inside.mean() > 0.95

    def test_covers_a_day_of_what_was_never_seen_before(self):
        for metric in generate(8, MONDAY_MS, 300, 16, incidents_a_week=0.0):
            count = len(metric.times) - 288
            verdicts, state = judged(metric.times[:count], metric.values[:count])
            ahead = forecast(state, 0)
            rest, _ = judged(metric.times[count:], metric.values[count:], state)
            when = np.isin(ahead.times, metric.times[count:])
            seen = rest.values[np.isin(metric.times[count:], ahead.times)]
            inside = (seen >= ahead.lowers[when]) & (seen <= ahead.uppers[when])
            judged_rows = verdicts.judged
            usual = (
                (verdicts.values[judged_rows] >= verdicts.lowers[judged_rows])
                & (verdicts.values[judged_rows] <= verdicts.uppers[judged_rows])
            ).mean()
            assert inside.mean() > usual - 0.1, metric.kind

    def test_is_less_sure_the_less_of_the_past_is_known(self):
        times, values = daily_wave(14, 60_000, std=5.0)
        widths = []
        for count in (200, 3 * 1440, 14 * 1440):
            _, state = judged(times[:count], 100 + 0 * values[:count] + np.sin(np.arange(count)))
            ahead = forecast(state, 0)
            reach = ahead.uppers - ahead.lowers
            assert (reach[1440:] >= reach[:1440]).all()  # of the same hour of the day
            widths.append(reach[1440] / reach[0])
        assert widths[0] > 2.0 > widths[1] > widths[2]
        assert widths[2] < 1.1

    @pytest.mark.parametrize(
        ("step_ms", "points"), [(10_000, MOST_POINTS), (60_000, 2880), (3_600_000, 48), (DAY_MS, 2)]
    )
    def test_reaches_two_days_whatever_the_step(self, step_ms, points):
        times = MONDAY_MS + np.arange(300) * step_ms
        _, state = judged(times, np.sin(np.arange(300.0)))
        ahead = forecast(state, 0)
        assert len(ahead.times) == points
        assert ahead.times[0] == times[-1] + step_ms
        assert REACH_MS * 0.95 < ahead.times[-1] - times[-1] <= REACH_MS

    def test_says_nothing_while_the_metric_learns(self):
        times = MONDAY_MS + np.arange(50) * 60_000
        _, state = judged(times, np.ones(50))
        assert len(forecast(state, 0).times) == 0

    def test_expects_nothing_negative_of_what_never_was(self):
        values = np.abs(np.random.default_rng(1).normal(0, 3, 2000))
        _, state = judged(MONDAY_MS + np.arange(2000) * 60_000, values)
        assert (forecast(state, 0).lowers >= 0.0).all()

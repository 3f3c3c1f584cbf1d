"""Situations that operators meet: what must be alerted and what must not, over sizes and hours."""

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.state import EngineState
from anomify.detection.threshold import THRESHOLDS, Severity

MONDAY_MS = 1_790_553_600_000
DAY = 86_400
LOW, MEDIUM, HIGH = (THRESHOLDS[severity] for severity in Severity)


def judged(values, step=60):
    values = np.asarray(values, float)
    times = MONDAY_MS + np.arange(len(values), dtype=np.int64) * step * 1000
    return judge(EngineState.new(1), np.zeros(len(values), np.int64), times, values)


def noise(count, seed):
    return np.random.default_rng(seed).normal(0.0, 1.0, count)


def alarms(alerts, least=LOW, gap=30):
    """Return the number of alarms: alerts with gaps of less than `gap` points are one."""
    rows = np.flatnonzero(alerts >= least)
    return len(rows) and 1 + int((np.diff(rows) > gap).sum())


class TestZero:
    @pytest.mark.parametrize("seed", range(3))
    def test_has_no_meaning_for_metrics_on_both_sides_of_it(self, seed):
        values = noise(6000, seed)
        values[5000:5020] += np.random.default_rng(seed).uniform(-12, 12)
        size = 10.0 ** np.random.default_rng(seed).uniform(-3, 6)
        alerts = [judged((values + by) * size).alerts for by in (0.0, 0.4, -0.7)]
        for other in alerts[1:]:
            np.testing.assert_allclose(other[500:], alerts[0][500:], rtol=0.01, atol=0.02)

    @pytest.mark.parametrize("size", [1e-3, 1.0, 1e9])
    def test_mean_noise_raises_hardly_an_alert(self, size):
        assert alarms(judged(size * noise(14 * 1440, 3)).alerts[2 * 1440 :]) <= 2


class TestOutageAfterASpike:
    @pytest.mark.parametrize("height", [0.3, 3.0, 1000.0])
    def test_is_alerted_at_any_gap(self, height):
        for seed, gap in enumerate((5, 10, 20, 40, 90, 200, 700, 2000)):
            values = 1000 + 20 * noise(9000, seed)
            values[6000:6003] *= 1 + height
            start = 6003 + gap
            values[start : start + 60] *= 0.05
            assert judged(values).alerts[start : start + 60].max() >= LOW, gap

    def test_is_one_alarm_however_long_it_lasts(self):
        for seed, length in enumerate((5, 30, 120, 300)):
            values = 1000 + 20 * noise(8000, seed)
            values[6000 : 6000 + length] *= 0.05
            alerts = judged(values).alerts[6000 : 6000 + length]
            assert 1 <= alarms(alerts) <= 2, length


class TestANewJob:
    @pytest.mark.parametrize(("step", "length"), [(60, 25), (60, 10), (300, 12)])
    def test_of_every_night_is_regular_from_the_fourth_night_on(self, step, length):
        a_day = DAY // step
        for seed, hour in enumerate((1.3, 5.0, 22.8)):
            values = 8 + 0.7 * noise(24 * a_day, seed)
            first = int(hour * a_day / 24)
            for night in range(12, 24):
                start = night * a_day + first
                values[start : start + length] += 35 * (1 + 0.05 * noise(1, night)[0])
            alerts = judged(values, step).alerts
            assert alarms(alerts[12 * a_day : 13 * a_day]) >= 1
            assert alarms(alerts[15 * a_day :]) <= 1, hour

    def test_of_every_week_is_low_at_most_and_rarely_that_from_the_third_week_on(self):
        for seed, hours in enumerate((2, 4)):
            values = 8 + 0.7 * noise(56 * 288, seed)
            for week in range(2, 8):
                start = (week * 7 + 6) * 288 + (3 + 5 * seed) * 12
                values[start : start + hours * 12] += 40
            alerts = judged(values, 300).alerts
            assert alarms(alerts[: 21 * 288]) >= 1
            assert alarms(alerts[28 * 288 :]) <= 2, hours
            assert alarms(alerts[28 * 288 :], MEDIUM) == 0, hours


class TestFrequentBlips:
    @pytest.mark.parametrize("height", [8.0, 20.0, 60.0])
    def test_stop_alerting_while_larger_and_lasting_incidents_do_not(self, height):
        rng = np.random.default_rng(int(height))
        values = 100 + noise(21 * 1440, 5)
        for start in 10 * rng.choice(np.arange(144, 2880), 250, replace=False):
            values[start : start + rng.integers(1, 3)] += height * rng.uniform(0.7, 1.1)
        quiet = judged(values).alerts[7 * 1440 : 20 * 1440]
        assert alarms(quiet) <= 3
        assert alarms(quiet, MEDIUM) == 0
        larger, lasting = values.copy(), values.copy()
        larger[20 * 1440 + 500 : 20 * 1440 + 503] += 20 * height
        lasting[20 * 1440 + 500 : 20 * 1440 + 590] += 2 * height
        for incident in (larger, lasting):
            assert judged(incident).alerts[20 * 1440 + 500 : 20 * 1440 + 590].max() >= LOW


class TestRareEvents:
    @pytest.mark.parametrize("minutes", [50, 180, 600])
    def test_are_alerted_in_a_burst(self, minutes):
        for seed, size in enumerate((12, 100, 3000)):
            values = np.random.default_rng(seed).poisson(1 / minutes, 28 * 1440).astype(float)
            values[30_000:30_005] += size / 5
            alerts = judged(values).alerts
            assert alerts[30_000:30_005].max() >= LOW, size
            assert alarms(alerts[7 * 1440 : 30_000], MEDIUM) == 0

    def test_are_low_at_most_the_first_time(self):
        for start in (1000, 4000, 9000, 20_000):
            values = np.zeros(start + 300)
            values[start] = 1.0
            assert judged(values).alerts.max() < MEDIUM, start


class TestCounters:
    @pytest.mark.parametrize("rate", [4, 400, 40_000])
    def test_restart_without_an_alert_at_any_part_of_an_interval(self, rate):
        rng = np.random.default_rng(rate)
        increases = rng.poisson(rate, 12_000).astype(float)
        total = np.cumsum(increases)
        restarts = np.sort(rng.integers(4000, 12_000, 12))
        for place, part in zip(restarts, np.linspace(0, 1, 12), strict=True):
            total[place:] -= total[place] - round(part * increases[place])
        alerts = judged(total).alerts
        assert all(alerts[place : place + 3].max() < LOW for place in restarts)

    @pytest.mark.parametrize("rate", [1e5, 1e6, 1e8])
    def test_of_32_bits_pass_their_end_without_an_alert(self, rate):
        increases = np.random.default_rng(5).poisson(rate, 12_000).astype(float)
        total = 2.0**32 - 6000 * rate + np.cumsum(increases)
        assert alarms(judged(total % 2.0**32).alerts[3000:]) == 0

    @pytest.mark.parametrize("rate", [60, 6000])
    def test_that_restart_again_and_again_are_judged(self, rate):
        total = np.cumsum(np.random.default_rng(6).poisson(rate, 9000).astype(float))
        # Each second reading follows a restart; a fifth of the usual increase at most is counted.
        total[8000:8040] = rate * np.tile([0.2, 0.05], 20)
        verdicts = judged(total[:8040])
        assert verdicts.judged[8001:].any()
        assert verdicts.alerts[8000:].max() >= LOW


class TestIntegersThatStandStill:
    @pytest.mark.parametrize(("step", "spread"), [(60, 1.0), (300, 1.0), (300, 3.0)])
    def test_are_alerted_within_six_hours(self, step, spread):
        count, hours = 14 * DAY // step, 6 * 3600 // step
        values = np.round(40 + spread * noise(count, 8))
        values[-hours:] = values[-hours]
        verdicts = judged(values, step)
        assert verdicts.alerts[-hours:].max() >= LOW
        assert alarms(verdicts.alerts[:-hours]) <= 2


class TestGrowth:
    @pytest.mark.parametrize("step", [300, 3600])
    def test_from_day_to_day_is_alerted_within_five_days(self, step):
        a_day = DAY // step
        days = np.arange(40 * a_day) / a_day
        for seed, growth in enumerate((0.6, -0.6, 1.5)):
            wave = 1 + 0.4 * np.sin(2 * np.pi * days)
            moved = 1 + growth * np.clip((days - 35) / 5, 0, 1)
            values = 1000 * wave * moved * (1 + 0.03 * noise(len(days), seed))
            alerts = judged(values, step).alerts
            assert alerts[35 * a_day :].max() >= LOW, growth
            assert alarms(alerts[14 * a_day : 35 * a_day]) <= 2


class TestYoungMetrics:
    @pytest.mark.parametrize("step", [10, 60])
    def test_with_bursts_of_noise_in_their_first_hours_raise_few_alerts(self, step):
        raised = []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            values = 50 * rng.uniform(0.1, 10) * np.exp(0.05 * noise(3 * 3600 // step, seed))
            for start in rng.integers(100, len(values) - 20, 4):
                values[start : start + 10] *= 1 + rng.uniform(0.2, 2.0) * rng.random(10)
            raised.append(alarms(judged(values, step).alerts))
        assert sum(raised) <= 10

    def test_raise_an_alert_at_an_outage_on_their_first_day(self):
        for seed in range(5):
            values = 1000 * (1 + 0.03 * noise(1440, seed))
            values[1000:1030] = 0
            assert judged(values).alerts[1000:1030].max() >= LOW


class TestTheRange:
    @pytest.mark.parametrize("step", [10, 60, 300])
    @pytest.mark.parametrize("swing", [20.0, 200.0])
    def test_of_a_sine_is_as_narrow_as_its_noise_from_the_third_day_on(self, step, swing):
        a_day = DAY // step
        phase = 2 * np.pi * np.arange(6 * a_day) / a_day
        verdicts = judged(250 + swing * np.sin(phase) + 8 * noise(len(phase), 4), step)
        late = slice(3 * a_day, None)
        assert np.median(verdicts.uppers[late] - verdicts.lowers[late]) < 20 * 8
        inside = (verdicts.values >= verdicts.lowers) & (verdicts.values <= verdicts.uppers)
        assert inside[late].mean() > 0.99

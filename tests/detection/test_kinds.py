"""Every kind of metric that people send, each judged as its owner would."""

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.evidence import Evidence
from anomify.detection.state import EngineState, describe
from anomify.detection.threshold import THRESHOLDS, Severity

MONDAY_MS = 1_790_553_600_000
DAY = 86_400
LOW = THRESHOLDS[Severity.LOW]
ONLY = np.zeros(1, np.int64)


def regular(count, step, start=0):
    return MONDAY_MS + (start + np.arange(count, dtype=np.int64)) * step * 1000


def noise(count, seed=7):
    return np.random.default_rng(seed).normal(0.0, 1.0, count)


def judged(times, values, state=None):
    state = state or EngineState.new(1)
    return judge(state, np.zeros(len(times), np.int64), times, np.asarray(values, float))


def alarms(verdicts):
    return np.flatnonzero(verdicts.alerts >= LOW)


def anomalies(verdicts):
    """Return where anomalies begin: one runs until three points in a row are normal."""
    began, last = [], -10
    for row in np.flatnonzero(verdicts.strengths >= LOW):
        if row - last > 3 and verdicts.alerts[row] < LOW:
            continue
        if row - last > 3:
            began.append(int(row))
        last = row
    return np.array(began)


def weeks(times):
    return (times[-1] - times[0]) / 1000 / (7 * DAY)


class TestSteps:
    @pytest.mark.parametrize("step", [10, 15, 60, 300, 3600, 6 * 3600, DAY])
    def test_of_every_length_find_what_is_far_off_and_little_else(self, step):
        count = max(min(7 * DAY // step, 20_000), 400)
        times, values = regular(count, step), 100 + noise(count)
        values[-20] += 15.0
        found = alarms(judged(times, values))
        assert count - 20 in found
        assert len(found) - 1 <= max(weeks(times), 2)


class TestTimes:
    def test_may_be_irregular(self):
        rng = np.random.default_rng(1)
        times = MONDAY_MS + np.cumsum(rng.exponential(60_000, 8000) + 1000).astype(np.int64)
        values = 100 + noise(8000)
        values[7000] -= 15.0
        found = alarms(judged(times, values))
        assert 7000 in found
        assert len(found) - 1 <= max(weeks(times), 2)

    @pytest.mark.parametrize("hours", [1, 6, 30])
    def test_may_have_gaps_after_which_the_rhythm_goes_on(self, hours):
        count = 12 * 1440
        times = regular(count, 60)
        values = 100 + 40 * np.sin(2 * np.pi * np.arange(count) / 1440) + noise(count)
        gone = slice(10 * 1440 + 300, 10 * 1440 + 300 + hours * 60)
        verdicts = judged(np.delete(times, gone), np.delete(values, gone))
        back = gone.start
        assert (verdicts.alerts[back : back + 120] < LOW).all()

    @pytest.mark.parametrize("shift", [3600, -3600])
    def test_may_be_of_a_place_that_changes_its_clocks(self, shift):
        count = 28 * 288
        times = regular(count, 300)
        local = np.arange(count) * 300 + np.where(np.arange(count) >= 21 * 288, shift, 0)
        day = np.clip(np.sin(2 * np.pi * (local % DAY) / DAY), 0, None)
        verdicts = judged(times, 200 + 100 * day + 3 * noise(count))
        found = anomalies(verdicts)
        assert (found >= 21 * 288).sum() <= 4
        assert (found >= 22 * 288).sum() == 0


class TestCounters:
    def test_may_restart_at_any_time_and_are_still_judged(self):
        rng = np.random.default_rng(2)
        increases = rng.poisson(500, 6000).astype(float)
        increases[5000:5003] *= 4
        total = np.cumsum(increases)
        for restart in (1500, 1510, 3000, 4999):
            total[restart:] -= total[restart - 1]
        found = alarms(judged(regular(6000, 60), total))
        assert {5000, 5001, 5002} & set(found)
        assert len(set(found) - {5000, 5001, 5002}) <= 1
        assert not {1500, 1510, 3000, 4999} & set(found)

    def test_that_stand_still_by_night_are_no_news(self):
        count = 14 * 1440
        by_day = (np.arange(count) % 1440) < 720
        increases = np.where(by_day, np.random.default_rng(3).poisson(50, count), 0)
        found = alarms(judged(regular(count, 60), np.cumsum(increases).astype(float)))
        assert len(found[found > 7 * 1440]) <= 1


class TestSparseCounts:
    def test_alarm_at_a_rare_503_and_not_at_the_usual_zero(self):
        values = np.zeros(30_000)
        values[[20_000, 26_000]] = [1.0, 3.0]
        verdicts = judged(regular(30_000, 60), values)
        found = alarms(verdicts)
        # The first event of all is low at most, and may be alerted by the mean of the points.
        assert set(found) <= {20_000, 20_001, 26_000}
        assert {20_000, 20_001} & set(found)
        assert 26_000 in found
        assert verdicts.alerts[:26_000].max() < THRESHOLDS[Severity.MEDIUM]

    def test_alarm_at_many_where_a_few_are_usual(self):
        values = np.random.default_rng(4).poisson(0.05, 20_000).astype(float)
        values[18_000:18_003] = [9, 12, 10]
        found = alarms(judged(regular(20_000, 60), values))
        assert {18_000, 18_001} & set(found)
        assert (found < 18_000).sum() <= 2


class TestConstants:
    def test_alarm_when_they_change_and_take_the_new_one_for_normal(self):
        values = np.concatenate([np.full(2000, 3.0), np.full(4000, 4.0)])
        verdicts = judged(regular(6000, 60), values)
        # One new value after a constant may be a single event; a second one is a change.
        [found] = alarms(verdicts)
        assert found in (2000, 2001)
        assert verdicts.evidence[found] == Evidence.ABOVE
        assert (verdicts.strengths[5000:] < LOW).all()

    def test_that_step_now_and_then_are_told_at_each_step_and_not_between(self):
        values = np.repeat([3.0, 4.0, 3.0, 5.0, 3.0], 1000)
        found = alarms(judged(regular(5000, 60), values))
        assert set(found % 1000) <= {0, 1}


class TestDailyData:
    def test_of_sixty_points_is_judged_in_its_second_month(self):
        values = 1000 + 20 * noise(60)
        values[50] += 300
        verdicts = judged(regular(60, DAY), values)
        assert verdicts.judged.sum() == 32
        assert alarms(verdicts).tolist() == [50]

    def test_of_a_shop_is_not_told_of_each_weekend(self):
        count = 200
        weekend = np.arange(count) % 7 >= 5
        values = np.where(weekend, 400, 1000) + 20 * noise(count)
        values[180] -= 500
        found = alarms(judged(regular(count, DAY), values))
        assert 180 in found
        assert len(found) <= 4


class TestScales:
    def test_may_be_negative(self):
        values = noise(3000)
        values[2500] += 15.0
        above = judged(regular(3000, 60), values)
        below = judged(regular(3000, 60), -values)
        np.testing.assert_allclose(above.strengths, below.strengths, rtol=1e-5)
        assert below.evidence[2500] == Evidence.BELOW

    @pytest.mark.parametrize("scale", [1e-90, 1e-30, 1.0, 1e30])
    def test_may_be_tiny_or_huge(self, scale):
        values = (5 + noise(1000)) * scale
        values[900] += 15 * scale
        assert 900 in alarms(judged(regular(1000, 60), values))

    def test_beyond_all_measure_are_heard_of_and_not_judged(self):
        values = 5 + noise(500)
        values[400:] = 1e200
        state = EngineState.new(1)
        verdicts = judged(regular(500, 60), values, state)
        known = describe(state, ONLY)
        assert not verdicts.judged[400:].any()
        assert (known.seen[0], known.last_times[0]) == (400, regular(500, 60)[-1])


class TestShifts:
    @pytest.mark.parametrize("height", [10.0, 40.0, -40.0])
    @pytest.mark.parametrize("step", [60, 3600])
    def test_become_the_new_normal_and_are_told_a_few_times_at_most(self, height, step):
        values = 100 + noise(8000)
        values[4000:] += height
        verdicts = judged(regular(8000, step), values)
        found = anomalies(verdicts)
        assert found[found >= 4000][0] < 4010
        assert (found >= 4000).sum() <= 3
        assert (found >= 6000).sum() == 0
        settled = slice(7000, 8000)
        inside = (values[settled] >= verdicts.lowers[settled]) & (
            values[settled] <= verdicts.uppers[settled]
        )
        assert inside.mean() > 0.97


class TestStarts:
    def test_from_history_judge_the_next_point_at_once(self):
        values = 100 + noise(7 * 1440 + 1)
        values[-1] += 20
        state = EngineState.new(1)
        judged(regular(7 * 1440, 60), values[:-1], state)
        live = judged(regular(1, 60, start=7 * 1440), values[-1:], state)
        assert live.judged[0]
        assert live.alerts[0] >= LOW

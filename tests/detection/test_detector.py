import numpy as np
import pytest

from anomify.detection.counter import rates
from anomify.detection.detector import Head, judge
from anomify.detection.evidence import Evidence
from anomify.detection.generated_values import GeneratedKind
from anomify.detection.generator import generate
from anomify.detection.state import LEARNING_POINTS, EngineState, describe
from anomify.detection.threshold import THRESHOLDS, Severity

MONDAY_MS = 1_790_553_600_000
MINUTE_MS = 60_000
LOW = THRESHOLDS[Severity.LOW]


def minutes(count, start=0):
    return MONDAY_MS + np.arange(start, start + count) * MINUTE_MS


def noise(count, *, mean=100.0, std=1.0, seed=7):
    return mean + np.random.default_rng(seed).normal(0.0, std, count)


def judge_one(times, values, state=None, head=Head.ALARM):
    slots = np.zeros(len(times), np.int64)
    return judge(state or EngineState.new(1), slots, times, np.asarray(values, float), head)


def fields_of(verdicts):
    return [getattr(verdicts, name) for name in type(verdicts).__slots__]


def assert_same(one, other):
    for left, right in zip(fields_of(one), fields_of(other), strict=True):
        np.testing.assert_array_equal(left, right)


class TestJudge:
    def test_learns_a_hundred_points_before_it_judges(self):
        verdicts = judge_one(minutes(150), noise(150))
        assert not verdicts.judged[:LEARNING_POINTS].any()
        assert verdicts.judged[LEARNING_POINTS:].all()
        assert np.isnan(verdicts.scores[:LEARNING_POINTS]).all()
        assert (verdicts.alerts[:LEARNING_POINTS] == 0).all()

    def test_passes_over_what_is_missing_or_not_later(self):
        times, values = minutes(300), noise(300)
        clean = EngineState.new(1)
        expected = judge_one(times, values, clean)
        untouched = np.ones(310, bool)
        untouched[np.arange(200, 300, 10)] = False
        dirty_times = np.repeat(times, 1 + np.isin(np.arange(300), np.arange(199, 299, 10)))
        dirty_values = np.repeat(values, 1 + np.isin(np.arange(300), np.arange(199, 299, 10)))
        repeated = np.flatnonzero(np.diff(dirty_times) == 0) + 1
        dirty_values[repeated[:5]] = 1e9
        dirty_times[repeated[5:7]] += 1000
        dirty_values[repeated[5:7]] = np.nan
        dirty_times[repeated[7:]] += 1000
        dirty_values[repeated[7:]] = [np.inf, -np.inf, 1e200]
        dirty = EngineState.new(1)
        verdicts = judge_one(dirty_times, dirty_values, dirty)
        assert not verdicts.judged[repeated].any()
        assert np.isnan(verdicts.scores[repeated]).all()
        kept = np.setdiff1d(np.arange(310), repeated)
        np.testing.assert_array_equal(verdicts.alerts[kept], expected.alerts)
        assert dirty.extract(np.array([0])) == clean.extract(np.array([0]))

    @pytest.mark.parametrize("kind", list(GeneratedKind))
    def test_never_changes_its_mind_when_more_follows(self, kind):
        [metric] = generate(5, MONDAY_MS, 300, 10, [kind], incidents_a_week=2.0)
        whole = judge_one(metric.times, metric.values)
        for cut in (1, 99, 100, 101, 1000, 2001):
            part = judge_one(metric.times[:cut], metric.values[:cut])
            for left, right in zip(fields_of(part), fields_of(whole), strict=True):
                np.testing.assert_array_equal(left, right[:cut])

    def test_says_the_same_point_by_point_as_at_once(self):
        [metric] = generate(5, MONDAY_MS, 3600, 30, [GeneratedKind.COUNTER])
        at_once = judge_one(metric.times, metric.values)
        state = EngineState.new(1)
        for row, (time, value) in enumerate(zip(metric.times, metric.values, strict=True)):
            alone = judge_one(np.array([time]), np.array([value]), state)
            for left, right in zip(fields_of(alone), fields_of(at_once), strict=True):
                np.testing.assert_array_equal(left, right[row : row + 1])

    def test_says_the_same_of_a_metric_among_others_as_alone(self):
        metrics = generate(6, MONDAY_MS, 600, 7)
        lengths = [len(metric.times) for metric in metrics]
        slots = np.repeat(np.arange(len(metrics))[::-1], lengths)
        order = np.argsort(np.concatenate([metric.times for metric in metrics]), kind="stable")
        times = np.concatenate([metric.times for metric in metrics])
        values = np.concatenate([metric.values for metric in metrics])
        together = judge(EngineState.new(9), slots[order], times[order], values[order])
        for place, metric in enumerate(metrics):
            rows = slots[order] == len(metrics) - 1 - place
            alone = judge_one(metric.times, metric.values)
            for left, right in zip(fields_of(together), fields_of(alone), strict=True):
                np.testing.assert_array_equal(left[rows], right)

    def test_calls_a_point_above_or_below_only_outside_its_range(self):
        for metric in generate(8, MONDAY_MS, 60, 7, incidents_a_week=3.0):
            verdicts = judge_one(metric.times, metric.values)
            above = verdicts.evidence == Evidence.ABOVE
            below = verdicts.evidence == Evidence.BELOW
            assert (verdicts.values[above] > verdicts.uppers[above]).all()
            assert (verdicts.values[below] < verdicts.lowers[below]).all()
            inside = verdicts.judged & ~above & ~below
            assert (verdicts.values[inside] <= verdicts.uppers[inside]).all()
            assert (verdicts.values[inside] >= verdicts.lowers[inside]).all()

    def test_scores_at_least_a_half_whatever_reaches_the_low_threshold(self):
        found = 0
        for metric in generate(8, MONDAY_MS, 60, 7, incidents_a_week=3.0):
            verdicts = judge_one(metric.times, metric.values)
            over = verdicts.judged & (verdicts.strengths >= LOW)
            found += over.sum()
            assert (verdicts.scores[over] >= 0.5).all()
            assert (verdicts.scores[verdicts.judged] >= 0.0).all()
            assert (verdicts.scores[verdicts.judged] <= 1.0).all()
        assert found

    def test_lets_a_score_fade_where_a_strength_breaks_off(self):
        values = noise(3000)
        values[2500] += 20.0
        verdicts = judge_one(minutes(3000), values)
        assert verdicts.strengths[2505] < LOW
        fading = verdicts.scores[2500:2530]
        assert fading[0] > fading[5] > fading[15] > fading[29]
        assert fading[29] < 0.5 < fading[5]

    def test_finds_a_deviation_stronger_right_after_another_one(self):
        once, twice = noise(3000), noise(3000)
        once[2501] += 6.0
        twice[2500:2502] += [-6.0, 6.0]
        alone = judge_one(minutes(3000), once).strengths[2501]
        assert judge_one(minutes(3000), twice).strengths[2501] > 1.1 * alone

    def test_alerts_again_only_on_something_stronger(self):
        values = noise(3000)
        values[[2500, 2504]] += 30.0
        verdicts = judge_one(minutes(3000), values)
        assert verdicts.alerts[2500] >= LOW
        assert verdicts.alerts[2504] == 0.0

    def test_alerts_again_after_five_points_in_the_range(self):
        values = noise(3000)
        values[[2500, 2506]] += 30.0
        assert (judge_one(minutes(3000), values).alerts[[2500, 2506]] >= LOW).all()

    def test_alerts_to_the_other_side_at_once(self):
        values = noise(3000)
        values[2500:2503] += 300.0
        values[2504:2510] -= 30.0
        assert (judge_one(minutes(3000), values).alerts[2504:2510] >= LOW).any()

    def test_takes_a_new_level_for_normal_in_the_end(self):
        values = noise(8000)
        values[4000:] += 40.0
        verdicts = judge_one(minutes(8000), values)
        assert (verdicts.alerts[4000:4003] >= LOW).any()
        assert verdicts.evidence[4000] == Evidence.ABOVE
        settled = slice(6000, 8000)
        assert (verdicts.lowers[settled] < 140.0).all()
        assert (verdicts.uppers[settled] > 140.0).all()
        assert (verdicts.strengths[settled] < LOW).all()

    def test_expects_the_rhythm_of_the_day(self):
        times = minutes(14 * 1440)
        values = noise(len(times)) + 50.0 * np.sin(2 * np.pi * np.arange(len(times)) / 1440)
        values[-700] += 40.0
        verdicts = judge_one(times, values)
        assert verdicts.alerts[-700] >= LOW
        assert verdicts.evidence[-700] == Evidence.ABOVE
        last_day = slice(-1440, None)
        assert (verdicts.uppers[last_day] - verdicts.lowers[last_day] < 30.0).all()

    @pytest.mark.parametrize("step", [10, 60, 300])
    def test_changes_its_mind_about_the_day_once_and_not_in_every_bin(self, step):
        count = 8 * 86400 // step
        times = MONDAY_MS + np.arange(count) * step * 1000
        values = noise(count) + 50.0 * np.sin(2 * np.pi * np.arange(count) * step / 86400)
        verdicts = judge_one(times, values)
        widths = (verdicts.uppers - verdicts.lowers)[verdicts.judged]
        changes = times[verdicts.judged][1:][np.abs(np.diff(widths)) > 20.0]
        # Without a season the width depends on the hour; with it, it is nearly the same.
        assert (changes % 3_600_000 > 0).sum() == 1
        assert changes.max() < MONDAY_MS + 3 * 86_400_000
        assert widths[-1] < 40.0

    def test_says_that_a_restless_value_stands_still(self):
        values = np.concatenate([noise(3000), np.full(60, 100.2), noise(100, seed=8)])
        verdicts = judge_one(minutes(len(values)), values)
        found = np.flatnonzero(verdicts.alerts[3000:3060] >= LOW)
        assert len(found)
        row = 3000 + found[0]
        assert verdicts.evidence[row] == Evidence.FLAT
        assert verdicts.amounts[row] == pytest.approx(60.0 * found[0])

    def test_says_that_a_quiet_value_became_restless(self):
        values = noise(4000)
        values[3500:3560] = noise(60, std=3.0, seed=2)
        verdicts = judge_one(minutes(4000), values)
        restless = slice(3500, 3560)
        judged_rows = verdicts.evidence[restless] == Evidence.NOISIER
        assert verdicts.amounts[restless][judged_rows].max() > 2.0

    def test_alarms_at_a_rare_error_but_not_at_the_usual_nothing(self):
        values = np.zeros(20000)
        values[15000] = 1.0
        verdicts = judge_one(minutes(20000), values)
        assert (verdicts.alerts[15000:15002] >= LOW).any()
        assert (verdicts.strengths[:15000] == 0.0).all()

    def test_gets_used_to_errors_that_come_every_hour(self):
        values = (np.random.default_rng(3).random(20000) < 1 / 60).astype(float)
        verdicts = judge_one(minutes(20000), values)
        assert (verdicts.alerts[5000:] >= LOW).sum() <= 1

    def test_alarms_when_a_constant_changes(self):
        values = np.concatenate([np.full(6000, 3.0), np.full(500, 4.0)])
        verdicts = judge_one(minutes(6500), values)
        assert np.flatnonzero(verdicts.alerts >= LOW).tolist() in ([6000], [6001])
        assert verdicts.lowers[5999] == pytest.approx(3.0, abs=1e-3)
        assert verdicts.uppers[5999] == pytest.approx(3.0, abs=1e-3)

    @pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6, 1e15])
    def test_judges_tiny_and_huge_metrics_alike(self, scale):
        values = noise(1000, mean=5.0)
        values[900] += 15.0
        expected = judge_one(minutes(1000), values).strengths
        scaled = judge_one(minutes(1000), values * scale).strengths
        np.testing.assert_allclose(scaled, expected, rtol=1e-3, atol=1e-3)

    def test_has_a_head_for_whatever_is_new(self):
        values = noise(3000)
        values[2500] += 10.0
        verdicts = judge_one(minutes(3000), values, head=Head.NOVELTY)
        assert verdicts.alerts[2500:2501].max() == verdicts.alerts[1000:].max() > 0

    def test_refuses_slots_that_do_not_exist(self):
        with pytest.raises(IndexError):
            judge(EngineState.new(1), np.array([1]), np.array([1]), np.array([1.0]))

    def test_judges_nothing_if_nothing_is_given(self):
        empty = np.empty(0, np.int64)
        assert len(judge(EngineState.new(0), empty, empty, empty.astype(float)).judged) == 0


class TestCounters:
    def test_are_recognised_and_judged_on_their_rate(self):
        [metric] = generate(9, MONDAY_MS, 60, 2, [GeneratedKind.COUNTER])
        state = EngineState.new(1)
        verdicts = judge_one(metric.times, metric.values, state)
        assert describe(state, np.array([0])).is_counter[0]
        judged_rows = verdicts.judged
        np.testing.assert_array_equal(
            verdicts.values[judged_rows], rates(metric.times, metric.values)[judged_rows]
        )
        assert (verdicts.lowers[judged_rows] <= verdicts.values[judged_rows]).mean() > 0.99

    def test_restart_without_an_alarm(self):
        increases = np.round(noise(3000, mean=500.0, std=20.0))
        total = np.cumsum(increases)
        total[2000:] -= total[1999]
        verdicts = judge_one(minutes(3000), total)
        # The new reading has been counted for a part of the minute only: it has no rate.
        assert not verdicts.judged[2000]
        assert verdicts.values[2001] == pytest.approx(increases[2001] / 60)
        assert (verdicts.alerts[2000:2010] < LOW).all()

    def test_are_recognised_late_if_they_stood_still_at_first(self):
        total = np.concatenate([np.zeros(1000), np.cumsum(np.round(noise(400, mean=50.0)))])
        state = EngineState.new(1)
        judge_one(minutes(1080), total[:1080], state)
        assert not describe(state, np.array([0])).is_counter[0]
        verdicts = judge_one(minutes(320, start=1080), total[1080:], state)
        assert describe(state, np.array([0])).is_counter[0]
        assert verdicts.values[-1] == pytest.approx((total[-1] - total[-2]) / 60)
        assert (verdicts.alerts[100:] < LOW).all()

    @pytest.mark.parametrize(
        "values",
        [
            noise(500),
            np.cumsum(noise(500, mean=0.1)),
            np.arange(500.0) % 7,
            -np.arange(500.0),
            np.zeros(500),
            np.random.default_rng(1).poisson(0.1, 500).astype(float),
        ],
    )
    def test_are_not_seen_where_there_are_none(self, values):
        state = EngineState.new(1)
        judge_one(minutes(500), values, state)
        assert not describe(state, np.array([0])).is_counter[0]


class TestResolution:
    @pytest.mark.parametrize("step", [10, 15, 60, 300, 3600, 86400])
    def test_is_found_through_gaps_and_jitter(self, step):
        rng = np.random.default_rng(step)
        times = MONDAY_MS + np.arange(400) * step * 1000
        times = (times + rng.uniform(-0.01, 0.01, 400) * step * 1000).astype(np.int64)
        times = times[rng.random(400) > 0.3]
        state = EngineState.new(1)
        judge_one(times, noise(len(times)), state)
        assert describe(state, np.array([0])).resolution_ms[0] == step * 1000

    def test_follows_a_metric_that_reports_more_often_from_now_on(self):
        times = np.concatenate([minutes(500), minutes(500)[-1] + 10_000 * np.arange(1, 501)])
        state = EngineState.new(1)
        verdicts = judge_one(times, noise(1000), state)
        assert describe(state, np.array([0])).resolution_ms[0] == 10_000
        assert (verdicts.alerts < LOW).all()

    def test_is_unknown_of_one_point(self):
        state = EngineState.new(1)
        judge_one(minutes(1), [1.0], state)
        assert describe(state, np.array([0])).resolution_ms[0] == 0

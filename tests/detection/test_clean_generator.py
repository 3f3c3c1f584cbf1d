import inspect

import numpy as np
import pytest

from anomify.detection import clean_counts, clean_levels, clean_noise, clean_schedules
from anomify.detection.clean_counts import COUNTER_END
from anomify.detection.clean_generator import FORMULAS, CleanType, generate_clean
from anomify.detection.clean_schedules import NIGHTS_TO_LEARN, WEEKS_TO_LEARN
from anomify.detection.time_grid import TimeGrid, time_of_day, weekday_of

MONDAY_MS = 1_790_553_600_000
DAY_MS = 86_400_000
SEEDS = range(5)


def grid(step=60, days=21):
    return TimeGrid(MONDAY_MS / 1000.0 + step * np.arange(int(days * 86400 / step)), step)


def made(formula, seed, **times):
    """Return the values of a formula, without the spans that some return too."""
    result = formula(np.random.default_rng(seed), grid(**times))
    return result[0] if isinstance(result, tuple) else result


class TestGenerateClean:
    def test_gives_the_same_metrics_for_the_same_seed(self):
        metrics = [generate_clean(1, MONDAY_MS, 300, 7, count=64) for _ in range(2)]
        for one, other in zip(*metrics, strict=True):
            assert (one.name, one.changes) == (other.name, other.changes)
            np.testing.assert_array_equal(one.times, other.times)
            np.testing.assert_array_equal(one.values, other.values)

    @pytest.mark.parametrize("clean_type", list(CleanType))
    def test_gives_others_for_another_seed(self, clean_type):
        [one] = generate_clean(1, MONDAY_MS, 60, 7, [clean_type])
        [other] = generate_clean(2, MONDAY_MS, 60, 7, [clean_type])
        assert one.values[:5000].tolist() != other.values[:5000].tolist()

    def test_gives_a_metric_that_does_not_depend_on_other_types_or_the_count(self):
        [alone] = generate_clean(1, MONDAY_MS, 300, 7, [CleanType.COUNTER])
        among = [
            metric
            for metric in generate_clean(1, MONDAY_MS, 300, 7, count=40)
            if metric.name == alone.name
        ]
        assert len(among) == 1
        np.testing.assert_array_equal(alone.values, among[0].values)

    def test_names_each_metric_once(self):
        names = [metric.name for metric in generate_clean(1, MONDAY_MS, 3600, 2, count=200)]
        assert len(set(names)) == 200

    @pytest.mark.parametrize("step", [60, 300, 3600])
    @pytest.mark.parametrize("clean_type", list(CleanType))
    def test_gives_finite_values_in_the_order_of_time(self, clean_type, step):
        count = len(FORMULAS[clean_type])
        metrics = generate_clean(3, MONDAY_MS, step, 15, [clean_type], count=count)
        assert len({metric.formula for metric in metrics}) == count
        for metric in metrics:
            assert metric.clean_type == clean_type
            assert len(metric.times) == len(metric.values)
            # Few points are lost.
            assert 0.9 * 15 * 86400 / step < len(metric.times) <= 15 * 86400 / step
            assert (np.diff(metric.times) > 0).all()
            assert metric.times[0] >= MONDAY_MS
            assert np.isfinite(metric.values).all()

    def test_begins_at_any_time_of_the_day(self):
        for metric in generate_clean(3, MONDAY_MS + 12_345_000, 60, 2.5, count=64):
            assert metric.times[0] >= MONDAY_MS + 12_345_000
            assert np.isfinite(metric.values).all()

    def test_makes_nothing_of_no_time(self):
        metrics = generate_clean(1, MONDAY_MS, 60, 0, count=64)
        assert [len(metric.times) for metric in metrics] == [0] * 64

    def test_uses_every_formula_in_one_type(self):
        listed = [formula for formulas in FORMULAS.values() for formula in formulas]
        written = [
            function
            for module in (clean_counts, clean_levels, clean_noise, clean_schedules)
            for name, function in inspect.getmembers(module, inspect.isfunction)
            if function.__module__ == module.__name__ and not name.startswith("_")
        ]
        assert sorted(map(str, listed)) == sorted(map(str, written))
        assert set(FORMULAS) == set(CleanType)


class TestNoise:
    @pytest.mark.parametrize(
        "formula", [clean_noise.exponential, clean_noise.daily_exponential, clean_noise.gamma]
    )
    @pytest.mark.parametrize("seed", SEEDS)
    def test_one_sided_noise_is_positive_and_skewed(self, formula, seed):
        values = made(formula, seed)
        assert values.min() > 0.0
        assert values.mean() > 1.05 * np.median(values)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_noise_above_a_base_never_falls_below_it(self, seed):
        values = made(clean_noise.above_base, seed)
        above = values - values.min()
        # An exponential distribution: its standard deviation is its mean.
        assert above.std() == pytest.approx(above.mean(), rel=0.05)

    @pytest.mark.parametrize(
        "formula", [clean_noise.student_t, clean_noise.lognormal, clean_noise.pareto]
    )
    @pytest.mark.parametrize("seed", SEEDS)
    def test_heavy_tailed_noise_has_more_far_values_than_normal_noise(self, formula, seed):
        values = made(formula, seed)
        beyond = np.abs(values - values.mean()) > 4.0 * values.std()
        # 6e-5 of normal noise.
        assert 3e-4 < beyond.mean() < 0.02

    @pytest.mark.parametrize("formula", FORMULAS[CleanType.ZERO_MEAN])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_values_around_zero_have_both_signs(self, formula, seed):
        values = made(formula, seed)
        assert 0.25 < (values > 0).mean() < 0.75
        assert 0.25 < (values < 0).mean() < 0.75
        assert abs(values.mean()) < 0.35 * values.std()

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_season_around_zero_repeats_each_day(self, seed):
        by_day = made(clean_noise.season_around_zero, seed)[: 5 * 1440].reshape(5, 1440)
        assert np.corrcoef(by_day[0], by_day[1])[0, 1] > 0.7

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_random_walk_moves_further_in_a_week_than_in_an_hour(self, seed):
        logs = np.log(made(clean_noise.random_walk, seed))
        assert np.std(logs[10080:] - logs[:-10080]) > 3.0 * np.std(logs[60:] - logs[:-60])


class TestLevels:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_on_and_off_spends_most_time_near_two_levels(self, seed):
        values = made(clean_levels.on_and_off, seed)
        high = values > (values.min() + values.max()) / 2.0
        assert 0.02 < high.mean() < 0.98
        spread = values[high].std() + values[~high].std()
        assert spread < 0.4 * (values[high].mean() - values[~high].mean())

    @pytest.mark.parametrize("seed", SEEDS)
    def test_replicas_are_whole_numbers_that_move_by_one(self, seed):
        values = made(clean_levels.replicas, seed)
        assert set(np.unique(values)) <= set(range(1, 13))
        moves = np.diff(values)
        assert (moves != 0).sum() > 10
        assert (np.abs(moves) > 1).sum() <= 0.02 * (moves != 0).sum() + 2

    def test_a_regular_sawtooth_falls_in_equal_intervals(self):
        for seed in SEEDS:
            falls = falls_of(made(clean_levels.regular_sawtooth, seed))
            assert len(falls) > 20
            assert np.ptp(np.diff(falls)) <= 2

    def test_a_jittered_sawtooth_falls_in_unequal_intervals(self):
        for seed in SEEDS:
            intervals = np.diff(falls_of(made(clean_levels.jittered_sawtooth, seed)))
            assert intervals.std() > 0.03 * intervals.mean()

    def test_a_draining_sawtooth_rises_at_once(self):
        values = made(clean_levels.draining_sawtooth, 1)
        assert len(falls_of(-values)) > 20
        assert len(falls_of(values)) == 0

    @pytest.mark.parametrize("formula", FORMULAS[CleanType.RETRY_BLIPS])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_blips_are_few_points(self, formula, seed):
        values = made(formula, seed)
        high = values > 1.4 * np.median(values)
        assert 5e-4 < high.mean() < 0.15

    @pytest.mark.parametrize("formula", FORMULAS[CleanType.COARSE_GAUGE])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_coarse_gauges_have_few_values(self, formula, seed):
        values = made(formula, seed)
        assert 2 <= len(np.unique(values)) <= 101
        assert values.min() >= 0.0
        assert (np.diff(values) == 0).mean() > 0.02

    @pytest.mark.parametrize("formula", FORMULAS[CleanType.SHARE])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_shares_stay_between_0_and_100_and_reach_an_end(self, formula, seed):
        values = made(formula, seed)
        assert values.min() >= 0.0
        assert values.max() <= 100.0
        assert ((values == 0.0) | (values == 100.0)).mean() > 1e-3


def falls_of(values):
    """Return the places where the values fall by more than a third of their range in one step."""
    return np.flatnonzero(np.diff(values) < -np.ptp(values) / 3.0)


class TestSchedules:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_nightly_job_runs_once_a_night_at_nearly_the_same_time(self, seed):
        starts = starts_of(made(clean_schedules.nightly_job, seed))
        assert len(starts) == 21
        assert np.std(time_of_day(starts)) < 1200.0
        assert len(set(starts // 86400.0)) == 21

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_exact_nightly_job_starts_at_one_minute(self, seed):
        starts = starts_of(made(clean_schedules.exact_nightly_job, seed))
        assert len(set(time_of_day(starts))) == 1

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_hourly_job_runs_in_every_hour(self, seed):
        assert len(starts_of(made(clean_schedules.hourly_job, seed))) == pytest.approx(504, abs=5)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_weekly_batch_runs_once_a_week_and_is_not_known_for_two(self, seed):
        values, unknown = clean_schedules.weekly_batch(np.random.default_rng(seed), grid())
        starts = starts_of(values)
        assert len(starts) == 3
        assert len(set(weekday_of(starts))) == 1
        assert len(unknown) == WEEKS_TO_LEARN
        assert all(
            first < start < last
            for start, (first, last) in zip(starts[:WEEKS_TO_LEARN], unknown, strict=True)
        )

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_weekday_job_does_not_run_at_weekends(self, seed):
        starts = starts_of(made(clean_schedules.weekday_job, seed))
        assert len(starts) == 15
        assert (weekday_of(starts) < 5).all()

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_new_job_starts_in_the_middle_and_is_not_known_for_three_nights(self, seed):
        values, unknown = clean_schedules.new_nightly_job(np.random.default_rng(seed), grid())
        starts = starts_of(values)
        day = (starts[0] - MONDAY_MS / 1000.0) // 86400.0
        assert 5 <= day <= 10
        assert len(starts) == 21 - day
        assert len(unknown) == NIGHTS_TO_LEARN
        assert all(
            first < start < last
            for start, (first, last) in zip(starts[:NIGHTS_TO_LEARN], unknown, strict=True)
        )

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_moved_job_runs_an_hour_or_two_later_from_the_middle_on(self, seed):
        values, unknown = clean_schedules.moved_nightly_job(np.random.default_rng(seed), grid())
        starts = time_of_day(starts_of(values))
        assert len(starts) == 21
        assert 3000.0 < starts[10:].mean() - starts[:10].mean() < 7800.0
        assert len(unknown) == 2 * NIGHTS_TO_LEARN

    def test_a_job_shorter_than_a_step_is_seen(self):
        assert len(starts_of(made(clean_schedules.exact_nightly_job, 1, step=3600), 3600)) == 21

    def test_metrics_tell_the_spans_of_a_new_job_in_milliseconds(self):
        for metric in generate_clean(1, MONDAY_MS, 60, 21, [CleanType.CHANGED_SCHEDULE], count=4):
            assert metric.changes
            for start, end in metric.changes:
                assert MONDAY_MS < start < end < MONDAY_MS + 21 * DAY_MS

    @pytest.mark.parametrize("formula", FORMULAS[CleanType.OFFICE_HOURS])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_office_hours_are_high_by_day_from_monday_to_friday(self, formula, seed):
        seconds = grid().seconds
        values = made(formula, seed)
        is_open = np.abs(time_of_day(seconds) / 3600.0 - 12.5) < 2.0
        is_weekday = weekday_of(seconds) < 5
        busy = values[is_open & is_weekday].mean()
        assert values[is_open & ~is_weekday].mean() < 0.6 * busy
        assert values[time_of_day(seconds) < 18000.0].mean() < 0.6 * busy


def starts_of(values, step=60):
    """Return the times in unix seconds at which jobs start: half an hour or an hour apart."""
    quiet = np.median(values)
    level = quiet + (np.quantile(values, 0.9999) - quiet) / 3.0
    rises = np.flatnonzero((values[1:] > level) & (values[:-1] <= level)) + 1
    if values[0] > level:
        rises = np.concatenate([[0], rises])
    return MONDAY_MS / 1000.0 + step * rises.astype(float)


class TestCounts:
    @pytest.mark.parametrize(
        ("formula", "least", "most"),
        [
            (clean_counts.events_in_hours, 0.98, 0.9995),
            (clean_counts.events_an_hour, 0.45, 0.99),
            (clean_counts.events_a_minute, 0.005, 0.5),
            (clean_counts.events_in_groups, 0.97, 0.9995),
        ],
    )
    @pytest.mark.parametrize("seed", SEEDS)
    def test_rare_events_are_whole_numbers_with_many_zeros(self, formula, least, most, seed):
        values = made(formula, seed)
        assert (values == np.round(values)).all()
        assert values.min() == 0.0
        assert least <= (values == 0.0).mean() <= most

    def test_counts_grow_with_the_step(self):
        for formula in FORMULAS[CleanType.COUNTS]:
            short, long = (made(formula, 1, step=step, days=28).mean() for step in (60, 3600))
            assert long == pytest.approx(60.0 * short, rel=0.05)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_overdispersed_counts_vary_more_than_their_mean(self, seed):
        values = made(clean_counts.overdispersed_counts, seed)
        assert values.var() > 1.2 * values.mean()

    @pytest.mark.parametrize(
        "formula", [clean_counts.restarting_counter, clean_counts.rare_counter]
    )
    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_counter_restarts_near_zero(self, formula, seed):
        values = made(formula, seed, days=42)
        falls = np.flatnonzero(np.diff(values) < 0)
        assert 1 <= len(falls) < 60
        usual = np.diff(values).max()
        assert (values[falls + 1] >= 0.0).all()
        assert (values[falls + 1] <= usual).all()

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_wrapping_counter_passes_its_end(self, seed):
        values = made(clean_counts.wrapping_counter, seed)
        assert values.min() >= 0.0
        assert values.max() < COUNTER_END
        increases = np.diff(values)
        wraps = increases < 0
        assert 2 <= wraps.sum() <= 70
        # With the end added, a wrap is an increase as every other.
        assert (increases[wraps] + COUNTER_END).max() <= 1.5 * increases[~wraps].max()

    def test_a_steady_counter_never_falls(self):
        assert (np.diff(made(clean_counts.steady_counter, 1)) >= 0).all()

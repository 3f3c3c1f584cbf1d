"""What a pattern explains: its like at its time of the day, and nothing larger or longer."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import Excursion
from anomify.detection.mismatch import MismatchReason
from anomify.detection.pattern_match import Patterns, minutes_apart

MINUTE_MS = 60_000
TWO = 7200  # seconds of the day
DAY_MS = 86_400_000


def job(
    *,
    height: float = 60.0,
    minutes: int = 30,
    at: int = TWO,
    seed: int = 1,
    sign: int = 1,
    noise: float = 1.0,
    late: int = 0,
    scale: float = 1.0,
    level: float = 40.0,
    alert: float = 9.0,
    width: float = 4.0,
    gap: int = 0,
    evidence: Evidence = Evidence.ABOVE,
    ran: int | None = None,
) -> Excursion:
    """Return a level for 90 minutes and then a job, as an excursion found `late` minutes late.

    `gap` points in the middle of the job are missing, and `ran` points of it have arrived.
    """
    values = np.random.default_rng(seed).normal(0.0, noise, 90 + minutes + 10)
    values[90 : 90 + minutes] += sign * height
    times = np.arange(len(values), dtype=np.int64) * MINUTE_MS + seed * DAY_MS
    missing = np.arange(90 + minutes // 2, 90 + minutes // 2 + gap)
    values, times = np.delete(values, missing), np.delete(times, missing)
    last = len(values) if ran is None else 90 + late + ran
    return Excursion.at(
        90 + late,
        MINUTE_MS,
        times[:last],
        scale * (level + values[:last]),
        scale * (level - width),
        scale * (level + width),
        evidence,
        alert,
        (at + 60 * late) % 86_400,
        0,
    )


SCALES = st.sampled_from((1e-5, 1.0, 1e6, 1e11))
LEVELS = st.sampled_from((-4000.0, -40.0, 0.0, 40.0, 4000.0))
SIGNS = st.sampled_from((-1, 1))
RAN = st.sampled_from((1, 2, 5, 15, 30, None))


class TestExplain:
    def test_explains_its_like_at_the_same_time_of_the_day(self):
        found = Patterns([job()]).explain(job(seed=2))
        assert found is not None
        assert (found.index, found.kind, found.minutes_apart) == (0, "shape", 0.0)
        assert found.similarity > 90
        assert found.height_ratio == pytest.approx(1, abs=0.1)
        assert found.length_ratio == 1
        assert abs(found.area_percent_diff) < 5

    @pytest.mark.parametrize(
        ("other", "reason"),
        [
            ({"height": 150.0}, MismatchReason.LARGER),
            ({"minutes": 60}, MismatchReason.LONGER),
            ({"sign": -1}, MismatchReason.OTHER_DIRECTION),
            ({"at": 7200 + 3600}, MismatchReason.OTHER_TIME),
        ],
    )
    def test_names_what_does_not_agree(self, other, reason):
        patterns = Patterns([job()])
        current = job(seed=2, **other)
        assert patterns.explain(current) is None
        mismatch = patterns.mismatch(0, current)
        assert mismatch is not None
        assert mismatch.reason is reason
        assert mismatch.current > mismatch.allowed

    @given(SCALES, LEVELS, SIGNS, RAN, st.integers(2, 99))
    def test_scale_level_and_sign_make_no_difference(self, scale, level, sign, ran, seed):
        like = {"scale": scale, "level": level, "sign": sign}
        patterns = Patterns([job(**like)])
        assert patterns.explain(job(seed=seed, ran=ran, **like)) is not None
        for other in ({"height": 150.0}, {"sign": -sign}, {"at": TWO + 3600}):
            assert patterns.explain(job(seed=seed, ran=ran, **(like | other))) is None
        assert patterns.explain(job(seed=seed, minutes=60, **like)) is None

    @given(st.integers(2, 99), st.integers(-3, 3), st.floats(0.5, 1.05), RAN)
    def test_a_little_later_shorter_or_lower_is_explained(self, seed, moved, height, ran):
        now = job(seed=seed, at=TWO + 60 * moved, height=60.0 * height, ran=ran)
        assert Patterns([job()]).explain(now) is not None

    @given(st.integers(2, 99), st.integers(0, 14), RAN)
    def test_what_is_found_later_is_explained(self, seed, late, ran):
        now = job(seed=seed, late=late, ran=ran if ran != 30 else 10, width=8.0 if late else 4.0)
        assert Patterns([job()]).explain(now) is not None

    @given(st.integers(2, 99), st.integers(1, 14))
    def test_what_is_found_earlier_is_explained(self, seed, late):
        assert Patterns([job(late=late)]).explain(job(seed=seed)) is not None

    def test_values_that_repeat_before_the_time_of_a_job_are_not_explained_by_it(self):
        values = np.append(40.0 + np.random.default_rng(2).normal(0, 1, 60), np.full(20, 40.0))
        times = np.arange(80, dtype=np.int64) * MINUTE_MS + 2 * DAY_MS
        now = Excursion.at(
            79, MINUTE_MS, times, values, 36.0, 44.0, Evidence.FLAT, 9.0, TWO - 960, 0
        )
        assert Patterns([job()]).explain(now) is None

    @given(st.integers(2, 99), st.integers(2, 14), RAN)
    def test_a_range_that_contains_the_job_already_is_explained(self, seed, late, ran):
        now = job(
            seed=seed, late=late, width=70.0, ran=min(ran or 5, 10), evidence=Evidence.SHIFTED
        )
        assert now.height == 0
        assert Patterns([job()]).explain(now) is not None

    def test_a_narrower_range_does_not_make_the_same_job_larger(self):
        wide, narrow = job(height=12.0, width=7.0), job(height=12.0, seed=2, width=4.0)
        assert narrow.height > 1.3 * wide.height
        assert Patterns([wide]).explain(narrow) is not None

    def test_the_same_height_is_larger_where_the_metric_is_much_quieter(self):
        quiet = job(height=60.0, seed=2, noise=0.1, width=0.4)
        assert Patterns([job()]).explain(quiet) is None

    @given(st.integers(2, 99), st.integers(1, 12))
    def test_a_gap_makes_no_difference(self, seed, gap):
        assert Patterns([job()]).explain(job(seed=seed, gap=gap)) is not None
        assert Patterns([job(gap=gap)]).explain(job(seed=seed)) is not None

    def test_values_that_are_not_numbers_make_no_difference(self):
        now = job(seed=2)
        now.values[[10, 70, 75]] = math.nan
        assert Patterns([job()]).explain(now) is not None

    def test_a_metric_without_noise_is_explained(self):
        same = {"noise": 0.0, "width": 0.0}
        assert Patterns([job(**same)]).explain(job(seed=2, **same)) is not None
        assert Patterns([job(**same)]).explain(job(seed=2, height=67.0, **same)) is None

    def test_an_excursion_at_the_very_first_point_is_explained(self):
        def at_once(seed):
            values = 100.0 + np.random.default_rng(seed).normal(0, 1, 20)
            times = np.arange(20, dtype=np.int64) * MINUTE_MS + seed * DAY_MS
            return Excursion.at(
                0, MINUTE_MS, times, values, 36.0, 44.0, Evidence.ABOVE, 9.0, TWO, 0
            )

        assert Patterns([at_once(1)]).explain(at_once(2)) is not None

    def test_without_patterns_nothing_is_explained(self):
        assert Patterns([]).explain(job()) is None
        assert Patterns([], [job()]).explain(job(seed=2)) is None
        assert len(Patterns([], [job()])) == 0

    def test_another_step_is_compared_on_its_own_grid(self):
        now = job(seed=2)
        slower = Excursion.at(
            np.searchsorted(now.times[::2], now.started_ms),
            2 * MINUTE_MS,
            now.times[::2],
            now.values[::2],
            now.lower,
            now.upper,
            now.evidence,
            now.alert,
            TWO,
            0,
        )
        assert Patterns([job()]).explain(slower) is not None

    def test_the_nearest_of_several_explains(self):
        patterns = Patterns([job(at=TWO + 1800), job(), job(at=TWO - 1800)])
        found = patterns.explain(job(seed=2))
        assert found is not None
        assert found.index == 1


class TestEnd:
    """The engine may learn the beginning of a job but not yet its end, a step back."""

    def end(self, *, minute: int = 0, height: float = 60.0) -> Excursion:
        values = 40.0 + np.random.default_rng(5).normal(0.0, 1.0, 100)
        values[40:80] += height
        times = np.arange(100, dtype=np.int64) * MINUTE_MS + 5 * DAY_MS
        at = TWO + 60 * (40 + minute)
        return Excursion.at(
            80, MINUTE_MS, times[:81], values[:81], -60.0, 140.0, Evidence.JUMP, 6.8, at, 0
        )

    def test_the_step_back_at_the_end_is_explained(self):
        for minute in (-5, 0, 5):
            found = Patterns([job(minutes=40)]).explain(self.end(minute=minute))
            assert found is not None
            assert found.kind == "motif"
        assert Patterns([job(minutes=40)]).mismatch(0, self.end()) is None

    def test_a_larger_step_or_one_at_another_time_is_not(self):
        patterns = Patterns([job(minutes=40)])
        assert patterns.explain(self.end(height=150.0)) is None
        assert patterns.explain(self.end(minute=60)) is None
        assert patterns.explain(self.end(minute=-30)) is None

    def test_a_step_back_out_of_the_range_is_of_another_direction(self):
        mismatch = Patterns([job(minutes=40)]).mismatch(0, job(sign=-1, seed=2, at=TWO + 2400))
        assert mismatch is not None
        assert mismatch.reason is MismatchReason.OTHER_DIRECTION


class TestNeverMore:
    """Nothing is explained that is larger or longer than every pattern, or to the other side."""

    @given(
        st.lists(
            st.tuples(st.floats(10, 100), st.integers(1, 60), st.integers(0, 1439), SIGNS),
            min_size=1,
            max_size=5,
        ),
        st.tuples(st.floats(10, 200), st.integers(1, 120), st.integers(0, 1439), SIGNS),
        st.floats(5.0, 12.0),
    )
    def test_whatever_the_patterns_are(self, labelled, current, alert):
        def made(one, seed, alert):
            height, minutes, minute, sign = one
            return job(
                height=height, minutes=minutes, at=60 * minute, sign=sign, seed=seed, alert=alert
            )

        patterns = [made(one, seed, 9.0) for seed, one in enumerate(labelled, 1)]
        now = made(current, 50, alert)
        found = Patterns(patterns).explain(now)
        if found is not None:
            pattern = patterns[found.index]
            assert now.direction == pattern.direction
            assert now.height <= 1.25 * (pattern.height + 4.0)
            assert now.length_ms <= 1.1 * pattern.length_ms + 2 * MINUTE_MS
            assert found.kind == "usual" or found.minutes_apart <= 45
            assert Patterns(patterns).mismatch(found.index, now) is None

    @pytest.mark.parametrize("minutes", [2, 3, 7, 15, 30])
    def test_it_is_found_at_the_first_point_beyond_what_is_allowed(self, minutes):
        patterns = Patterns([job(minutes=minutes)])
        explained = [
            patterns.explain(job(seed=2, minutes=3 * minutes + 3, ran=ran)) is not None
            for ran in range(1, 3 * minutes + 4)
        ]
        longest = explained.index(False)
        assert minutes <= longest <= 1.1 * minutes + 3
        assert not any(explained[longest:])


class TestUsual:
    def test_weak_excursions_are_explained_at_any_time_of_the_day(self):
        patterns = Patterns([job(alert=6.2)])
        found = patterns.explain(job(seed=2, at=TWO + 30_000, alert=6.3))
        assert found is not None
        assert found.kind == "usual"
        assert patterns.explain(job(seed=2, at=TWO + 30_000, alert=6.8)) is None

    def test_values_that_repeat_are_usual_only_where_such_have_been_expected(self):
        flat = {"height": 0.0, "noise": 0.0, "alert": 6.2, "evidence": Evidence.FLAT}
        now = job(seed=2, at=TWO + 30_000, **flat)
        assert Patterns([job(alert=6.2)]).explain(now) is None
        assert Patterns([job(**flat)]).explain(now) is not None
        assert Patterns([job(**flat)]).explain(job(at=TWO + 30_000, seed=2, alert=6.2)) is None

    def test_three_times_of_the_day_make_the_time_free(self):
        many = [job(seed=seed, at=TWO + 10_800 * seed) for seed in range(3)]
        now = job(seed=9, at=TWO + 54_000)
        assert Patterns(many).explain(now) is not None
        assert Patterns(many[:2]).explain(now) is None
        assert Patterns([*many[:2], job(seed=8, at=many[0].local_seconds)]).explain(now) is None

    def test_a_stronger_one_is_not_usual(self):
        many = [job(seed=seed, at=TWO + 10_800 * seed) for seed in range(3)]
        assert Patterns(many).explain(job(seed=9, at=TWO + 54_000, alert=9.6)) is None


class TestUnexpected:
    def test_the_nearer_label_decides(self):
        expected, unexpected = job(at=TWO), job(at=TWO + 1800, seed=3)
        patterns = Patterns([expected], [unexpected])
        assert patterns.explain(job(seed=2, at=TWO)) is not None
        assert patterns.explain(job(seed=2, at=TWO + 1800)) is None
        mismatch = patterns.mismatch(0, job(seed=2, at=TWO + 1800))
        assert mismatch is not None
        assert mismatch.reason is MismatchReason.LIKE_UNEXPECTED

    def test_the_excursion_itself_being_unexpected_decides(self):
        now = job(seed=2)
        assert Patterns([job(), job(seed=3)], [now]).explain(now) is None

    def test_many_unexpected_ones_contradict_what_is_usual(self):
        weak, now = job(alert=6.2), job(seed=2, at=TWO + 30_000, alert=6.3)
        unexpected = [job(seed=seed, at=TWO + 43_200, alert=6.3) for seed in (3, 4)]
        assert Patterns([weak]).explain(now) is not None
        assert Patterns([weak], unexpected).explain(now) is None

    def test_much_stronger_ones_contradict_nothing(self):
        weak, now = job(alert=6.2), job(seed=2, at=TWO + 30_000, alert=6.3)
        strong = [job(seed=seed, at=TWO + 43_200, alert=12.0) for seed in (3, 4)]
        assert Patterns([weak], strong).explain(now) is not None


class TestOwn:
    def test_the_excursion_of_a_pattern_is_explained_while_it_becomes_longer(self):
        patterns = Patterns([job(minutes=60, ran=10)])
        assert patterns.explain(job(minutes=60)) is not None

    def test_but_not_when_it_becomes_larger(self):
        own = job(minutes=60, ran=10)
        values = np.append(own.values, [400.0, 400.0])
        times = np.append(own.times, own.times[-1] + MINUTE_MS * np.arange(1, 3))
        now = Excursion.at(
            own.context, MINUTE_MS, times, values, own.lower, own.upper, own.evidence, 9.0, TWO, 0
        )
        assert Patterns([own]).explain(now) is None


@given(st.integers(0, 86_399), st.integers(0, 86_399))
def test_times_of_day_are_apart_around_midnight(one, other):
    apart = minutes_apart(one, other)
    assert 0 <= apart <= 720
    assert apart == minutes_apart(other, one)
    assert apart == min(abs(one - other), 86_400 - abs(one - other)) / 60

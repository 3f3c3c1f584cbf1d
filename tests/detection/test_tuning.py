"""What people set for a metric, as the engine heeds it."""

import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.state import EngineState, describe
from anomify.detection.threshold import THRESHOLDS, Severity
from anomify.detection.tuning import (
    AS_COUNTER,
    AS_GAUGE,
    BOTH_WAYS,
    DOWNWARDS,
    UPWARDS,
    Tuning,
    tune,
)

START_MS = 1_790_553_600_000
MINUTE = 60_000
LOW = THRESHOLDS[Severity.LOW]
ONLY = np.zeros(1, np.int64)


def judged(values, tuning, *, step=MINUTE, state=None, start=0):
    state = state or EngineState.new(1)
    tune(state, 0, tuning)
    times = START_MS + (start + np.arange(len(values))) * step
    slots = np.zeros(len(values), np.int64)
    return judge(state, slots, times, np.asarray(values, float)), state


def noise(count=3000, std=1.0):
    return 100.0 + np.random.default_rng(7).normal(0.0, std, count)


class TestDirection:
    @pytest.mark.parametrize(
        ("direction", "is_up", "is_down"),
        [(BOTH_WAYS, True, True), (UPWARDS, True, False), (DOWNWARDS, False, True)],
    )
    def test_says_which_way_is_worth_an_alarm(self, direction, is_up, is_down):
        values = noise()
        values[2000] += 40.0
        values[2900] -= 60.0
        verdicts, _ = judged(values, Tuning(direction=direction))
        assert (verdicts.alerts[2000] >= LOW) == is_up
        assert (verdicts.alerts[2900] >= LOW) == is_down

    def test_leaves_standing_still_to_be_told(self):
        values = np.concatenate([noise(), np.full(60, 100.2)])
        verdicts, _ = judged(values, Tuning(direction=UPWARDS, smallest_change=50.0))
        assert (verdicts.alerts[3000:] >= LOW).any()


class TestSmallestChange:
    @pytest.mark.parametrize(("smallest", "is_told"), [(0.0, True), (20.0, True), (50.0, False)])
    def test_passes_over_what_is_smaller(self, smallest, is_told):
        values = noise()
        values[2900] += 40.0
        verdicts, _ = judged(values, Tuning(smallest_change=smallest))
        assert (verdicts.alerts[2900] >= LOW) == is_told
        assert (verdicts.scores[2900] >= 0.5) == is_told

    def test_lets_a_larger_change_alarm_right_after_one_that_was_too_small(self):
        values = noise()
        values[2900] += 40.0
        values[2903] += 60.0
        verdicts, _ = judged(values, Tuning(smallest_change=50.0))
        assert verdicts.alerts[2903] >= LOW


class TestKind:
    def test_makes_a_gauge_of_what_only_grows(self):
        verdicts, state = judged(np.arange(500.0), Tuning(kind=AS_GAUGE))
        assert not describe(state, ONLY).is_counter[0]
        assert verdicts.values[-1] == 499.0

    def test_makes_a_counter_of_what_grows_too_rarely_to_tell(self):
        values = np.repeat(np.arange(10.0), 50)
        verdicts, state = judged(values, Tuning(kind=AS_COUNTER))
        assert describe(state, ONLY).is_counter[0]
        assert verdicts.values[450] == pytest.approx(1 / 60)

    def test_may_be_changed_on_the_way(self):
        total = np.cumsum(noise(800, std=5.0).round())
        _, state = judged(total[:500], Tuning())
        assert describe(state, ONLY).is_counter[0]
        verdicts, _ = judged(total[500:], Tuning(kind=AS_GAUGE), state=state, start=500)
        assert verdicts.values[-1] == total[-1]
        assert verdicts.lowers[-1] <= total[-1] <= verdicts.uppers[-1]


class TestStep:
    def test_is_taken_instead_of_the_learnt_one(self):
        _, state = judged(noise(300), Tuning(step_ms=5 * MINUTE))
        assert describe(state, ONLY).resolution_ms[0] == 5 * MINUTE


class TestTune:
    def test_holds_from_the_next_point_on(self):
        values = noise()
        values[2900] += 40.0
        _, state = judged(values[:2900], Tuning())
        verdicts, _ = judged(values[2900:], Tuning(direction=DOWNWARDS), state=state, start=2900)
        assert verdicts.alerts[0] == 0.0

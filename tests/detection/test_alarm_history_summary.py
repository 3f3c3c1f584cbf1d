"""The summary of the alarm history agrees with what the kernel does with the next deviation."""

import numpy as np
import pytest

from anomify.detection.alarm_history import lower_by_history
from anomify.detection.alarm_history_constants import LASTING, SHORT, YOUNG_AMOUNT
from anomify.detection.alarm_history_summary import lowered, summarise_alarm_history
from anomify.detection.detector import judge
from anomify.detection.state import STRENGTH_BINS, EngineState
from anomify.detection.threshold import THRESHOLDS, Severity

DAY = 86_400.0
START = 1_795_176_000.0
MINUTE = 60.0


def with_history(seed: int, days: float) -> EngineState:
    """Return a state whose slot began so many days before START and has some episodes."""
    random = np.random.default_rng(seed)
    state = EngineState.new(1)
    row = state.slots[0]
    row["first_seconds"] = START - days * DAY
    row["points"] = 1000
    row["resolution"] = 60_000
    shape = (2, 2, STRENGTH_BINS)
    row["history"] = random.gamma(0.3, random.choice([0.5, 3.0, 20.0]), shape).astype(np.float32)
    row["history_seconds"] = START - random.choice([0.0, 3.0, 20.0]) * DAY
    if random.random() < 0.5:
        row["episode_peak"] = random.uniform(4.5, 14.0)
        row["episode_sign"], row["episode_kind"] = random.integers(0, 2, 2)
    row["episode_end"] = max(row["history_seconds"], START - random.choice([600.0, DAY]))
    return state


def next_alert(state: EngineState, strength: float, sign: int, kind: int) -> float:
    """Return what the kernel leaves of the next deviation; the state stays as it is."""
    row = state.slots.copy()[0]
    row["strength_before"] = 9.0 if kind == LASTING else 0.0
    return lower_by_history(row, strength, sign, START, MINUTE, MINUTE)


class TestLowered:
    @pytest.mark.parametrize("days", [0.1, 2.0, 9.0, 60.0])
    def test_is_what_the_kernel_leaves_of_the_next_deviation(self, days: float) -> None:
        for seed in range(40):
            state = with_history(seed, days)
            state.slots["episode_peak"] = 0.0
            state.slots["history_seconds"] = START
            for strength in (4.6, 6.05, 7.3, 9.9, 15.0):
                for sign in (0, 1):
                    for kind in (SHORT, LASTING):
                        counts = state.slots[0]["history"][sign].astype(float)
                        found = max(lowered(counts, strength, days * DAY, kind), 0.01)
                        expected = next_alert(state, strength, sign, kind)
                        assert found == pytest.approx(expected, rel=1e-5), (seed, strength)


class TestSummariseAlarmHistory:
    @pytest.mark.parametrize("days", [0.1, 3.0, 40.0])
    def test_tells_from_which_strength_the_kernel_reports_a_single_point(self, days: float) -> None:
        lowest = THRESHOLDS[Severity.LOW]
        for seed in range(60):
            state = with_history(seed, days)
            found = summarise_alarm_history(state, 0, START)
            for sign, strength in enumerate((found.up_from, found.down_from)):
                if strength is None:
                    assert next_alert(state, 90.0, sign, SHORT) < lowest
                    continue
                assert next_alert(state, strength + 0.01, sign, SHORT) >= lowest, seed
                if strength > lowest:
                    assert next_alert(state, strength - 0.01, sign, SHORT) < lowest, seed

    def test_uses_the_threshold_that_people_have_set(self) -> None:
        state = with_history(1, 40.0)
        state.slots["set_threshold"] = 9.8
        found = summarise_alarm_history(state, 0, START)
        assert found.usual_from == 9.8
        assert min(found.up_from or 99.0, found.down_from or 99.0) >= 9.8

    def test_counts_the_spikes_that_came_and_forgets_half_in_two_weeks(self) -> None:
        count = 30 * 1440
        random = np.random.default_rng(5)
        values = 100 + random.normal(0, 1, count)
        spikes = 20 * 1440 + np.arange(9) * 1440 + random.integers(0, 1440, 9)
        values[spikes] += 12
        times = np.arange(count) * 60_000
        state = EngineState.new(1)
        judge(state, np.zeros(count, int), times, values)
        seconds = float(times[-1]) / 1000
        found = summarise_alarm_history(state, 0, seconds)
        assert 6.0 < found.seen[Severity.LOW] <= 9.0
        assert found.seen[Severity.LOW] >= found.seen[Severity.MEDIUM] >= found.seen[Severity.HIGH]
        assert found.up_from is not None
        assert found.up_from > found.usual_from
        assert found.down_from == pytest.approx(found.usual_from, abs=0.1)
        assert found.is_lowered
        later = summarise_alarm_history(state, 0, seconds + 14 * DAY)
        for severity, seen in found.seen.items():
            assert later.seen[severity] == pytest.approx(seen / 2)
        assert later.up_from is not None
        assert later.up_from < found.up_from

    def test_is_as_usual_without_a_history(self) -> None:
        state = EngineState.new(1)
        state.slots["first_seconds"] = START - 30 * DAY
        found = summarise_alarm_history(state, 0, START)
        lowest = THRESHOLDS[Severity.LOW]
        assert (found.usual_from, found.up_from, found.down_from) == (lowest, lowest, lowest)
        assert not found.is_lowered
        state.slots["first_seconds"] = START - DAY
        day_old = summarise_alarm_history(state, 0, START)
        assert day_old.up_from == pytest.approx(lowest + 0.75 * YOUNG_AMOUNT, abs=0.01)

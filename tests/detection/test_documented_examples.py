"""What the page /doc/detection says about alerts that are lowered or left out, with its numbers."""

import numba
import numpy as np
import pytest

from anomify.detection.alarm_history import lower_by_history
from anomify.detection.detector import judge
from anomify.detection.evidence import Evidence
from anomify.detection.state import EngineState
from anomify.detection.threshold import Severity, severity_of

MONDAY_MS = 1_790_553_600_000
DAY = 86_400
HOUR = 3_600
LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH


@numba.njit
def _lowered(slots, count, usual, newest, points, every, age):
    """Return the newest strength after `count` usual ones, the metric being `age` seconds old."""
    slot = slots[0]
    end = 1.8e9
    slot.first_seconds = end - age
    result = 0.0
    for number in range(count + 1):
        seconds = end - (count - number) * every
        strength = usual if number < count else newest
        for point in range(points):
            gap = 60.0 if point else 1e9
            result = lower_by_history(slot, strength, 0, seconds + 60.0 * point, gap, 60.0)
    return result


def severity(count, usual, newest, *, points=1, days=1.0, age=30.0):
    slots = EngineState.new(1).slots
    return severity_of(_lowered(slots, count, usual, newest, points, days * DAY, age * DAY))


class TestHistoryOfAlerts:
    @pytest.mark.parametrize(
        ("earlier", "expected"), [(0, MEDIUM), (1, MEDIUM), (2, LOW), (3, LOW), (9, None)]
    )
    def test_lowers_a_single_point_of_strength_8_that_comes_daily(self, earlier, expected):
        assert severity(earlier, 8.0, 8.0) == expected

    @pytest.mark.parametrize(
        ("newest", "expected"), [(8.0, None), (9.0, MEDIUM), (10.0, MEDIUM), (10.5, HIGH)]
    )
    def test_reports_only_stronger_ones_after_nine_of_strength_7(self, newest, expected):
        assert severity(9, 7.0, newest, days=2.0) == expected

    @pytest.mark.parametrize(("earlier", "expected"), [(9, MEDIUM), (20, LOW)])
    def test_lowers_lasting_deviations_more_slowly(self, earlier, expected):
        assert severity(earlier, 8.0, 8.0, points=5) == expected

    @pytest.mark.parametrize(
        ("days", "by"), [(0.0, 5.25), (0.25, 4.359375), (2.0, 1.125), (4.0, 0.0), (9.0, 0.0)]
    )
    def test_lowers_alerts_of_a_new_metric_by_its_age(self, days, by):
        slots = EngineState.new(1).slots
        assert _lowered(slots, 0, 12.0, 12.0, 1, DAY, days * DAY) == pytest.approx(12.0 - by)


def seconds_of(step, days):
    return np.arange(days * DAY // step) * step


def judged(values, step):
    times = MONDAY_MS + np.arange(len(values)) * step * 1000
    return judge(EngineState.new(1), np.zeros(len(values), np.int64), times, values)


def days_reported(values, step):
    """Return the days with an alert of severity medium or high."""
    alerts = judged(values, step).alerts.reshape(-1, DAY // step).max(axis=1)
    return [day for day, alert in enumerate(alerts) if (severity_of(float(alert)) or 0) >= MEDIUM]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", [60, 300])
class TestRecurrence:
    def test_of_a_new_nightly_job_is_reported_three_times_and_when_larger(self, seed, step):
        seconds = seconds_of(step, 40)
        values = 50 + np.random.default_rng(seed).normal(0, 3, len(seconds))
        runs = (seconds >= 10 * DAY) & (abs(seconds % DAY - 2.25 * HOUR) < 900)
        values += 60 * runs + 60 * (runs & (seconds // DAY == 35))
        assert days_reported(values, step) == [10, 11, 12, 35]

    def test_of_a_new_weekly_job_is_reported_twice(self, seed, step):
        seconds = seconds_of(step, 40)
        values = 50 + np.random.default_rng(seed).normal(0, 3, len(seconds))
        runs = (seconds // DAY % 7 == 2) & (abs(seconds % DAY - 2.5 * HOUR) < 1800)
        values += 60 * (runs & (seconds >= 7 * DAY))
        assert days_reported(values, step) == [9, 16]

    def test_that_ends_is_reported(self, seed, step):
        seconds = seconds_of(step, 40)
        values = 50 + np.random.default_rng(seed).normal(0, 3, len(seconds))
        runs = abs(seconds % DAY - 2.5 * HOUR) < 1800
        values += 60 * (runs & (seconds // DAY != 35))
        assert 35 in days_reported(values, step)


class TestRange:
    @pytest.mark.parametrize(("step", "day"), [(60, 2), (300, 2), (900, 2), (1800, 4), (3600, 5)])
    def test_follows_the_course_of_the_day_from_that_day_on(self, step, day):
        seconds = seconds_of(step, 12)
        noise = np.random.default_rng(1).normal(0, 8, len(seconds))
        verdicts = judged(500 + 300 * np.sin(2 * np.pi * seconds / DAY) + noise, step)
        widths = (verdicts.uppers - verdicts.lowers).reshape(-1, DAY // step)
        assert np.median(widths[day]) < 300
        assert not np.median(widths[day - 1]) < 600, "wider than the whole course, or none yet"


@pytest.mark.parametrize("gap", [5, 10, 40, 120])
def test_an_outage_after_a_spike_is_reported(gap):
    values = 200 + np.random.default_rng(1).normal(0, 5, 10 * 1440)
    spike, outage = 9 * 1440, 9 * 1440 + 3 + gap
    values[spike : spike + 3] += 300
    values[outage : outage + 60] = 0
    alerts = judged(values, 60).alerts
    assert severity_of(float(alerts[spike : spike + 3].max())) == HIGH
    assert severity_of(float(alerts[outage : outage + 60].max())) == HIGH


def test_a_total_stop_of_events_is_reported_after_about_half_an_hour():
    for rate in (3, 5):
        values = np.random.default_rng(1).poisson(rate, 15 * 1440).astype(float)
        stop = 12 * 1440
        values[stop : stop + 60] = 0
        alerts = judged(values, 60).alerts[stop : stop + 45]
        assert severity_of(float(alerts.max())) is not None


@pytest.mark.parametrize("days", [7, 14])
def test_another_value_of_a_constant_metric_is_reported_from_its_second_point_on(days):
    for size in (1.0, 1000.0):
        values = np.zeros(days * 1440)
        values[-2:] = size
        first, second = judged(values, 60).alerts[-2:].tolist()
        assert severity_of(first) is None
        assert severity_of(second) is not None


def test_growth_of_twelve_percent_a_day_is_reported_as_drifting():
    seconds = seconds_of(60, 35)
    noise = np.random.default_rng(2).normal(0, 30, len(seconds))
    growth = 120 * np.clip(seconds / DAY - 25, 0, None)
    verdicts = judged(1000 + 300 * np.sin(2 * np.pi * seconds / DAY) + noise + growth, 60)
    reported = np.flatnonzero([severity_of(alert) is not None for alert in verdicts.alerts])
    drifting = reported[verdicts.evidence[reported] == Evidence.DRIFTING]
    assert len(drifting)
    assert 27 <= seconds[drifting[0]] / DAY <= 30

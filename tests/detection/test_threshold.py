import numpy as np
import pytest

from anomify.detection.threshold import (
    FALSE_ALARMS_A_METRIC_WEEK,
    THRESHOLDS,
    Severity,
    display_score,
    severity_of,
    threshold_for,
)


class TestThresholdFor:
    def test_is_higher_the_fewer_false_alarms_are_accepted(self):
        thresholds = [threshold_for(accepted) for accepted in (4.0, 2.0, 1.0, 0.3, 0.1, 0.02)]
        assert thresholds == sorted(set(thresholds))

    def test_holds_what_the_severities_promise(self):
        for severity, promised in FALSE_ALARMS_A_METRIC_WEEK.items():
            assert threshold_for(promised) == THRESHOLDS[severity]

    @pytest.mark.parametrize(("accepted", "same_as"), [(1000.0, 4.0), (0.0, 0.01)])
    def test_goes_no_further_than_was_measured(self, accepted, same_as):
        assert threshold_for(accepted) == pytest.approx(threshold_for(same_as))


class TestSeverityOf:
    def test_is_none_below_the_lowest_threshold(self):
        assert severity_of(0.0) is None
        assert severity_of(THRESHOLDS[Severity.LOW] - 0.01) is None

    @pytest.mark.parametrize("severity", list(Severity))
    def test_begins_at_its_threshold(self, severity):
        assert severity_of(THRESHOLDS[severity]) is severity

    def test_is_high_however_strong_the_alert(self):
        assert severity_of(1e9) is Severity.HIGH

    def test_promises_fewer_false_alarms_the_higher_it_is(self):
        promised = [FALSE_ALARMS_A_METRIC_WEEK[severity] for severity in sorted(Severity)]
        assert promised == [1.0, 0.25, 0.05]


class TestDisplayScore:
    def test_is_a_half_at_the_lowest_threshold(self):
        assert display_score(np.float32([THRESHOLDS[Severity.LOW]]))[0] == pytest.approx(0.5)

    def test_stays_between_0_and_1_and_keeps_the_order(self):
        scores = display_score(np.linspace(0.0, 100.0, 1001, dtype=np.float32))
        assert scores[0] == 0.0
        assert scores[-1] <= 1.0
        assert (np.diff(scores) >= 0.0).all()

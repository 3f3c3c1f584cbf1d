import subprocess
import sys

import numpy as np
import pytest

from anomify.errors import Invalid
from anomify.rendering.chart import (
    MAX_MARKS,
    ChartEvent,
    Mark,
    PatternCurve,
    has_expected_range,
    legend,
    visible,
)
from tests.rendering.charts import MINUTE, START, chart, no_range


class TestChart:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"width": 199}, "width"),
            ({"width": 2001}, "width"),
            ({"height": 99}, "height"),
            ({"height": 1201}, "height"),
            ({"width": 1001, "scale": 2}, "width"),
            ({"scale": 3}, "scale"),
            ({"theme": "pink"}, "theme"),
            ({"timezone": "Mars/Olympus"}, "timezone"),
            ({"timezone": "../../etc/passwd"}, "timezone"),
            ({"from_time": START, "until_time": START}, "from"),
            ({"until_time": 10**16}, "until"),
            ({"from_time": -1}, "from"),
        ],
    )
    def test_refuses_invalid_values_and_names_the_field(self, changes, field):
        with pytest.raises(Invalid) as refusal:
            chart(**changes)
        assert field in refusal.value.fields

    @pytest.mark.parametrize(("width", "height"), [(200, 100), (2000, 1200)])
    def test_accepts_the_smallest_and_the_largest_size(self, width, height):
        assert chart(width=width, height=height).look.width == width

    def test_refuses_rows_of_different_length(self):
        with pytest.raises(ValueError, match="both ends"):
            chart(lowers=np.zeros(3))

    def test_refuses_a_pattern_of_different_lengths(self):
        with pytest.raises(ValueError, match="pattern needs a time and a value"):
            chart(pattern=PatternCurve(np.array([START]), np.empty(0), "Pattern 12"))

    def test_refuses_too_many_marks(self):
        with pytest.raises(Invalid):
            chart(anomalies=(Mark(START, START),) * (MAX_MARKS + 1))

    def test_does_not_import_matplotlib(self):
        code = (
            "import sys; import anomify.rendering.chart, anomify.rendering.encode; "
            "print('matplotlib' in sys.modules)"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert ran.stdout.split() == [b"False"]


class TestLegend:
    def test_lists_value_range_and_number_of_anomalies_in_this_order(self):
        marks = (Mark(START, START), Mark(START + MINUTE, None))
        labels = [entry.label for entry in legend(chart(anomalies=marks))]
        assert labels == ["Value", "Expected range", "Anomaly (2)"]

    def test_counts_only_anomalies_of_the_window(self):
        marks = (Mark(START - 2 * MINUTE, START - MINUTE), Mark(START - MINUTE, START))
        assert legend(chart(anomalies=marks))[-1].label == "Anomaly (1)"

    def test_leaves_out_a_missing_range(self):
        labels = [entry.label for entry in legend(chart(**no_range(61)))]
        assert labels == ["Value", "Anomaly (0)"]

    def test_leaves_out_what_is_not_displayed(self):
        marks = (Mark(START, START),)
        requested = chart(anomalies=marks, matches=marks, display_anomalies=False)
        assert [entry.label for entry in legend(requested)] == [
            "Value",
            "Expected range",
            "Match (1)",
        ]

    def test_names_the_pattern_and_leaves_out_that_there_is_no_anomaly(self):
        times = np.array([START])
        pattern = PatternCurve(times, np.array([1.0]), "Pattern 12")
        shown = chart(pattern=pattern, value_label="This time")
        labels = [entry.label for entry in legend(shown)]
        assert labels == ["This time", "Pattern 12", "Expected range"]

    def test_counts_the_events_of_the_window_where_there_are_any(self):
        events = (ChartEvent(START + MINUTE, "Deploy"), ChartEvent(START - MINUTE, "Before"))
        assert legend(chart(events=events))[-1].label == "Event (1)"
        assert legend(chart(events=events, display_events=False))[-1].label == "Anomaly (0)"


class TestVisible:
    def test_returns_marks_that_touch_the_window(self):
        before = Mark(START - 2 * MINUTE, START - MINUTE)
        running = Mark(START - 2 * MINUTE, None)
        after = Mark(START + 61 * MINUTE, None)
        assert visible(chart(), (before, running, after)) == (running,)


class TestHasExpectedRange:
    def test_considers_the_window_only(self):
        lowers = np.full(61, np.nan)
        lowers[0] = 1.0
        assert has_expected_range(chart(lowers=lowers))
        assert not has_expected_range(chart(lowers=lowers, from_time=START + MINUTE))

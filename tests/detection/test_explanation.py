import math

import pytest

from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain, human_duration, human_number


class TestExplain:
    @pytest.mark.parametrize(
        ("evidence", "sentence"),
        [
            (Evidence.ABOVE, "412 is above the expected 20 to 80."),
            (Evidence.BELOW, "412 is below the expected 20 to 80."),
            (Evidence.JUMP, "It jumped from 25 to 412 in one step, which is unusual here."),
            (Evidence.NOISIER, "It is 25 times as noisy as usual, now at 412."),
            (Evidence.SHIFTED, "Its level has moved, now at 412, within the expected 20 to 80."),
            (Evidence.NOVEL, "412 is a value that has not been seen for weeks."),
            (Evidence.FLAT, "412 has not changed for 25 seconds, longer than ever before."),
            (Evidence.NONE, "412 is as expected, 20 to 80."),
        ],
    )
    def test_says_what_changed(self, evidence, sentence):
        assert explain(evidence, 412.3, 20.04, 80.2, amount=25.0) == sentence

    @pytest.mark.parametrize("evidence", list(Evidence))
    def test_does_without_an_amount(self, evidence):
        sentence = explain(evidence, 1.0, 0.0, 2.0)
        assert "nan" not in sentence
        assert sentence.endswith(".")

    def test_names_the_unit(self):
        sentence = explain(Evidence.ABOVE, 99.5, 10.0, 40.0, unit="%")
        assert sentence == "99.5 % is above the expected 10 to 40 %."

    def test_names_one_value_where_the_range_is_one(self):
        assert explain(Evidence.ABOVE, 4.0, 3.0, 3.0) == "4 is above the expected 3."

    @pytest.mark.parametrize(
        ("lower", "upper", "expected"),
        [
            (0.0, 0.0123, "0 to 0.012"),
            (-3.21, 4.56, "-3.2 to 4.6"),
            (1.2e6, 3.4e6, "1.2 million to 3.4 million"),
            (1e-9, 3e-9, "1e-09 to 3e-09"),
            (999.96, 1000.04, "999.96 to 1,000.04"),
        ],
    )
    def test_rounds_the_range_by_its_width(self, lower, upper, expected):
        assert explain(Evidence.NONE, 1.0, lower, upper) == f"1 is as expected, {expected}."


class TestHumanNumber:
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (0.0, "0"),
            (-0.0, "0"),
            (1234.5, "1,234"),
            (12.345, "12.3"),
            (-0.5, "-0.5"),
            (0.00001234, "1.23e-05"),
            (999_999.0, "1 million"),
            (-2.5e9, "-2.5 billion"),
            (7e15, "7,000 trillion"),
            (math.inf, "inf"),
        ],
    )
    def test_keeps_the_digits_that_matter(self, value, said):
        assert human_number(value) == said


class TestHumanDuration:
    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            (0.5, "a moment"),
            (10.0, "10 seconds"),
            (89.0, "89 seconds"),
            (600.0, "10 minutes"),
            (7200.0, "2 hours"),
            (3 * 86400.0, "3 days"),
        ],
    )
    def test_uses_the_largest_fitting_unit(self, seconds, said):
        assert human_duration(seconds) == said

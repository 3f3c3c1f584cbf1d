import math
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain, human_duration, human_number, value_and_range

WORDS = {"million": 10**6, "billion": 10**9, "trillion": 10**12}
NUMBER = r"-?[0-9][0-9,]*(?:\.[0-9]+)?(?:e[+-][0-9]+)?(?: (?:million|billion|trillion))?"
finite = st.floats(-1e100, 1e100, allow_nan=False)


@st.composite
def neighbours(draw):
    """A number and another one that is equal, next to it, or near it."""
    first = draw(finite | st.integers(-(10**9), 10**9).map(float))
    share = draw(st.sampled_from([0.0, 1e-15, 1e-9, 1e-5, 1e-3, 1e-2, 0.5, 3.0]))
    second = first + draw(st.sampled_from([-1.0, 1.0])) * share * (abs(first) or 1.0)
    return first, draw(st.sampled_from([second, math.nextafter(first, math.inf)]))


def read(text):
    """Return the number that a reader takes from a text."""
    digits, _, word = text.replace(",", "").partition(" ")
    return Fraction(Decimal(digits)) * WORDS.get(word, 1)


class TestExplain:
    @pytest.mark.parametrize(
        ("evidence", "value", "sentence"),
        [
            (Evidence.ABOVE, 412.3, "412 is above the expected 20 to 80."),
            (Evidence.BELOW, -3.0, "-3 is below the expected 20 to 80."),
            (
                Evidence.JUMP,
                71.2,
                "It jumped from 25 to 71.2, within the expected 20 to 80.",
            ),
            (
                Evidence.NOISIER,
                71.2,
                "It is 25 times as noisy as usual, now at 71.2, within the expected 20 to 80.",
            ),
            (
                Evidence.SHIFTED,
                71.2,
                (
                    "Its level has moved from the usual 50.1 to 25 on average; the value here is"
                    " 71.2, within the expected 20 to 80."
                ),
            ),
            (
                Evidence.NOVEL,
                71.2,
                "71.2 has not been seen for weeks, within the expected 20 to 80.",
            ),
            (
                Evidence.FLAT,
                71.2,
                (
                    "71.2 has not changed for 25 seconds, longer than ever before, within the"
                    " expected 20 to 80."
                ),
            ),
            (
                Evidence.FLAT,
                88.0,
                (
                    "88 has not changed for 25 seconds, longer than ever before, above the expected"
                    " 20 to 80."
                ),
            ),
            (Evidence.NONE, 71.2, "71.2 is as expected, 20 to 80."),
            (Evidence.SILENT, 71.2, "No data has come."),
        ],
    )
    def test_states_what_changed(self, evidence, value, sentence):
        assert explain(evidence, value, 20.04, 80.2, amount=25.0) == sentence

    @pytest.mark.parametrize("evidence", list(Evidence))
    def test_does_without_an_amount(self, evidence):
        sentence = explain(evidence, 1.0, 0.0, 2.0)
        assert "nan" not in sentence
        assert sentence.endswith(".")

    def test_does_not_call_a_step_that_rounding_hides_a_jump(self):
        sentence = explain(Evidence.JUMP, 206.6e6, 150e6, 230e6, amount=207.4e6)
        assert sentence == (
            "207 million is far from the forecast by the points before it, within the expected"
            " 150 million to 230 million."
        )

    def test_does_not_state_the_middle_of_a_range_that_is_cut_off_at_zero_as_usual(self):
        sentence = explain(Evidence.SHIFTED, 89.0, 0.0, 92.0, amount=80.0)
        assert sentence.startswith("Its level has moved, to 80 on average; the value here is 89,")

    def test_names_the_unit(self):
        sentence = explain(Evidence.ABOVE, 99.5, 10.0, 40.0, unit="%")
        assert sentence == "99.5 % is above the expected 10 to 40 %."

    def test_names_one_value_where_the_range_is_one(self):
        assert explain(Evidence.ABOVE, 4.0, 3.0, 3.0) == "4 is above the expected 3."

    def test_gives_more_digits_where_rounding_would_hide_that_the_range_was_left(self):
        sentence = explain(Evidence.ABOVE, 80.64, 20.04, 80.6)
        assert sentence == "80.64 is above the expected 20 to 80.6."

    def test_gives_a_value_the_decimals_of_a_narrow_range(self):
        sentence = explain(Evidence.JUMP, 1000.4, 999.96, 1000.9, amount=1000.1)
        assert sentence == (
            "It jumped from 1,000.1 to 1,000.4, within the expected 999.96 to 1,000.9."
        )

    @pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("evidence", list(Evidence))
    def test_leaves_out_a_range_that_is_not_known(self, evidence, missing):
        sentence = explain(evidence, 3.0, missing, 5.0, amount=4.0)
        assert "expected 3" not in sentence
        assert not set(sentence.replace(".", "").split()) & {"nan", "inf", "-inf"}

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
        assert value_and_range((lower + upper) / 2, lower, upper)[1] == expected

    @given(st.sampled_from(Evidence), neighbours(), neighbours(), st.floats(), st.booleans())
    def test_never_contradicts_itself(self, evidence, ends, others, amount, is_near):
        lower, upper = sorted(ends)
        value = others[0] if not is_near else others[1] - others[0] + upper
        sentence = explain(evidence, value, lower, upper, amount=amount)
        place = "above" if value > upper else "below" if value < lower else "within"
        for other in {"above", "below", "within"} - {place}:
            assert f"{other} the expected" not in sentence
        assert "nan" not in sentence
        if jump := re.search(f"jumped from ({NUMBER}) to ({NUMBER}),", sentence):
            before, after = map(read, jump.groups())
            assert (before < after) == (amount < value)
            assert before != after
        if moved := re.search(f"from the usual ({NUMBER}) to ({NUMBER}) on", sentence):
            assert read(moved[1]) != read(moved[2])

    @given(neighbours(), neighbours(), st.sampled_from([None, "ms", "%"]))
    def test_writes_the_value_outside_of_the_range_where_it_is(self, ends, others, unit):
        lower, upper = sorted(ends)
        for value in (*ends, *others, math.nextafter(upper, math.inf)):
            shown, expected = value_and_range(value, lower, upper, unit)
            texts = [part.removesuffix(f" {unit}") for part in (shown, *expected.split(" to "))]
            assert all(re.fullmatch(NUMBER, text) for text in texts)
            written, low, *rest = map(read, texts)
            high = rest[0] if rest else low
            assert (written > high, written < low) == (value > upper, value < lower)
            assert (low < high) == (lower < upper)


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
            (math.inf, "a long time"),
        ],
    )
    def test_uses_the_largest_fitting_unit(self, seconds, said):
        assert human_duration(seconds) == said

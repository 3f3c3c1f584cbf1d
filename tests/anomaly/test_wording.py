"""The size of an anomaly, and how often similar ones were seen, in words."""

import pytest

from anomify.anomaly.model import Span
from anomify.anomaly.wording import amount_in_words, seen_before_in_words

DAY = 86_400_000
START = 1_795_176_000_000


class TestAmountInWords:
    @pytest.mark.parametrize(
        ("evidence", "amount", "said"),
        [
            ("above", 331.8, "332 above the range"),
            ("below", -12.0, "12 below the range"),
            ("jump", -35.0, "35 down in one step"),
            ("noisier", 3.21, "3.21 times as noisy"),
            ("flat", 1500.0, "unchanged for 25 minutes"),
            ("silent", 7200.0, "silent for 2 hours"),
            ("novel", None, ""),
            ("something of old", 3.0, ""),
        ],
    )
    def test_uses_the_unit_of_the_evidence(self, evidence, amount, said):
        assert amount_in_words(Span(evidence=evidence, amount=amount)) == said


class TestSeenBeforeInWords:
    def test_states_how_often_and_how_long_ago(self):
        def said(count: int, last_ms: int | None) -> str:
            span = Span(started_ms=START, similar_before=count, similar_ms=last_ms)
            return seen_before_in_words(span)

        assert said(0, None) == "Nothing like it was seen on this metric before."
        assert said(1, START - 6 * DAY) == "Similar was seen once before, 6 days earlier."
        expected = "Similar was seen 3 times before, the last time 6 days earlier."
        assert said(3, START - 6 * DAY) == expected

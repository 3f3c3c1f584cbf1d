"""The size of an anomaly, and how often similar ones were seen, in words."""

import pytest

from anomify.anomaly.model import Span
from anomify.anomaly.wording import (
    accepted_in_words,
    amount_in_words,
    explanation_of,
    seen_before_in_words,
)
from anomify.clock import now_ms

DAY = 86_400_000
START = 1_795_176_000_000


class TestAmountInWords:
    @pytest.mark.parametrize(
        ("evidence", "amount", "text"),
        [
            ("above", 331.8, "332 above the range"),
            ("below", -12.0, "12 below the range"),
            ("jump", -35.0, "down by 35"),
            ("noisier", 3.21, "3.21 times as noisy"),
            ("flat", 1500.0, "unchanged for 25 minutes"),
            ("shifted", -12.0, "12 below the usual level"),
            ("novel", None, ""),
            ("something of old", 3.0, ""),
        ],
    )
    def test_uses_the_unit_of_the_evidence(self, evidence, amount, text):
        span = Span(evidence=evidence, amount=amount, is_silence=False)
        assert amount_in_words(span) == text

    def test_states_how_long_a_silence_has_lasted_by_now(self):
        span = Span(evidence="silent", amount=400.0, is_silence=True, started_ms=START)
        span.since_ms, span.last_over_ms, span.is_open = START - 60_000, START + 7_200_000, False
        assert amount_in_words(span) == "silent for 2 hours"
        span.is_open, span.since_ms = True, now_ms() - 3 * DAY
        assert amount_in_words(span) == "silent for 3 days"


class TestExplanationOf:
    @pytest.mark.parametrize(
        ("minutes", "peak", "is_open", "period"),
        [
            (25, 0, True, "since 2026-11-20 13:00 CET"),
            (25, 12, True, "since 2026-11-20 13:00 CET, most at 13:12"),
            (25, 12, False, "from 2026-11-20 13:00 to 13:25 CET, most at 13:12"),
            (0, 0, False, "at 2026-11-20 13:00 CET"),
            (
                1500,
                1440,
                False,
                "from 2026-11-20 13:00 to 2026-11-21 14:00 CET, most at 2026-11-21 13:00",
            ),
        ],
    )
    def test_states_from_when_to_when(self, minutes, peak, is_open, period):
        span = Span(
            explanation="412 is above the expected 20 to 80.",
            started_ms=START,
            peak_ms=START + peak * 60_000,
            last_over_ms=START + minutes * 60_000,
            is_open=is_open,
            is_silence=False,
        )
        expected = f"412 is above the expected 20 to 80. Unusual {period}."
        assert explanation_of(span, "Europe/Berlin") == expected

    def test_states_since_when_a_value_has_not_changed(self):
        span = Span(explanation="3 has not changed.", started_ms=START, peak_ms=START)
        span.since_ms, span.is_open, span.is_silence = START - 3_600_000, True, False
        expected = "3 has not changed. Unusual since 2026-11-20 11:00 UTC, most at 12:00."
        assert explanation_of(span, "UTC") == expected

    def test_states_since_when_a_metric_is_silent(self):
        span = Span(explanation="No data has come.", started_ms=START, peak_ms=START)
        span.since_ms, span.is_open, span.is_silence = START - 60_000, True, True
        expected = "No data has come. Silent since 2026-11-20 11:59 UTC."
        assert explanation_of(span, "UTC") == expected


class TestSeenBeforeInWords:
    def test_states_how_often_and_how_long_ago(self):
        def text(count: int, last_ms: int | None) -> str:
            span = Span(started_ms=START, similar_before=count, similar_ms=last_ms)
            return seen_before_in_words(span)

        assert text(0, None) == "Nothing like it was seen on this metric before."
        assert text(1, START - 6 * DAY) == "Similar was seen once before, 6 days earlier."
        expected = "Similar was seen 3 times before, the last time 6 days earlier."
        assert text(3, START - 6 * DAY) == expected


class TestAcceptedInWords:
    @pytest.mark.parametrize(
        ("since", "words"),
        [
            (0, "has stayed at about 1,007 since 13:00; this is now taken as its level"),
            (
                -1440,
                "has stayed at about 1,007 since 2026-11-19 13:00; this is now taken as its level",
            ),
            (None, "has moved to about 1,007; this is now taken as its level"),
        ],
    )
    def test_states_the_level_and_since_when_in_the_zone(self, since, words):
        span = Span(explanation="1,007 is above the expected 20 to 80.", started_ms=START)
        span.peak_ms, span.last_over_ms = START, START + 7_200_000
        span.is_open = span.is_silence = False
        span.accepted_level = 1007.2
        span.accepted_since_ms = None if since is None else START + since * 60_000
        assert accepted_in_words(span, "Europe/Berlin") == words
        assert explanation_of(span, "Europe/Berlin").endswith(f" It {words}.")

    def test_is_empty_for_other_endings(self):
        assert accepted_in_words(Span(accepted_level=None), "UTC") == ""

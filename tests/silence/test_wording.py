"""A silence in words."""

from datetime import UTC, datetime

import pytest

from anomify.silence.model import Silence
from anomify.silence.wording import affected_in_words, times_in_words


def silence(**more) -> Silence:
    return Silence(
        **{
            "begins_at": datetime(2026, 11, 20, tzinfo=UTC),
            "timezone": "Asia/Tokyo",
            "matchers": [],
            "chips": [],
            "weekdays": [],
            "month_days": [],
            "dates": [],
            **more,
        }
    )


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({}, "All metrics"),
        ({"metric": "cpu.load"}, "cpu.load"),
        ({"chips": ["cpu", "!dev"]}, "Names with cpu, without dev"),
        ({"chips": ["cpu"], "matchers": ['env="dev"']}, 'env="dev", with cpu'),
    ],
)
def test_names_what_it_is_about(about, words):
    assert affected_in_words(silence(**about)) == words


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ({}, "Every day"),
        ({"weekdays": [0]}, "Monday"),
        ({"weekdays": [0, 2, 4]}, "Monday, Wednesday and Friday"),
        ({"month_days": [-1, 15]}, "the last day of the month and day 15 of the month"),
        (
            {"dates": [f"2026-12-0{day}" for day in range(1, 6)]},
            "2026-12-01, 2026-12-02, 2026-12-03 and 2 more dates",
        ),
    ],
)
def test_names_its_days_and_times(days, words):
    found = times_in_words(silence(from_minute=90, until_minute=0, **days))
    assert found == f"{words}, 01:30 to 00:00 (Asia/Tokyo)"


def test_one_that_does_not_recur_has_no_times():
    assert times_in_words(silence()) == ""

"""How pages format times, numbers and names."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from anomify.dashboard.wording import (
    initials,
    labels,
    moment,
    number,
    plain_name,
    thousands,
    value_and_expected,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def text(at: datetime) -> str:
    return moment(int(at.timestamp() * 1000), BERLIN, NOON).words


class TestMoment:
    def test_today_and_yesterday_are_words(self):
        assert text(datetime(2026, 11, 20, 8, 5, tzinfo=UTC)) == "Today 09:05"
        assert text(datetime(2026, 11, 19, 8, 5, tzinfo=UTC)) == "Yesterday 09:05"

    def test_the_day_depends_on_the_time_zone(self):
        assert text(datetime(2026, 11, 19, 23, 30, tzinfo=UTC)) == "Today 00:30"

    def test_other_days_have_a_date_and_other_years_a_year(self):
        assert text(datetime(2026, 7, 1, 8, tzinfo=UTC)) == "1 Jul 10:00"
        assert text(datetime(2025, 12, 31, 8, tzinfo=UTC)) == "31 Dec 2025 09:00"

    def test_includes_the_time_in_utc(self):
        found = moment(int(NOON.timestamp() * 1000), BERLIN, NOON)
        assert found.utc == "2026-11-20 12:00:00 UTC"
        assert found.iso == "2026-11-20T12:00:00+00:00"


class TestNumber:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (0, "0"),
            (-0.0, "0"),
            (5, "5"),
            (0.1 + 0.2, "0.3"),
            (-5.5678912, "\N{MINUS SIGN}5.56789"),
            (1_234_567, "1,234,567"),
            (1_234_567.891, "1,234,568"),
            (999_999.6, "1,000,000"),
            (1e-4, "0.0001"),
            (1.23e-7, "1.23e-7"),
            (-1.5e-8, "\N{MINUS SIGN}1.5e-8"),
            (1.2e16, "1.2e16"),
            (1.7976931348623157e308, "1.798e308"),
            (5e-324, "5e-324"),
            (99_999.95, "100,000"),
            (2.5, "2.5"),
            (None, "\N{EN DASH}"),
            (float("nan"), "\N{EN DASH}"),
            (float("inf"), "\N{EN DASH}"),
        ],
    )
    def test_has_six_significant_digits(self, value, words):
        assert number(value) == words


class TestExpected:
    @pytest.mark.parametrize(
        ("lower", "upper", "words"),
        [
            (84.86, 162.4, "85 to 162"),
            (-3.21, -1.1, "\N{MINUS SIGN}3.2 to \N{MINUS SIGN}1.1"),
            (0.288, 0.594, "0.29 to 0.59"),
            (-0.001, 0.3, "0 to 0.3"),
            (1_234_567, 1_234_590, "1,234,567 to 1,234,590"),
            (5, 5, "5 to 5"),
            (1e-6, 3e-5, "1e-6 to 3e-5"),
            (-math.inf, math.inf, "a point"),
            (-1e308, 1e308, "\N{MINUS SIGN}1e308 to 1e308"),
        ],
    )
    def test_has_as_many_decimals_as_its_width_justifies(self, lower, upper, words):
        assert value_and_expected(lower / 2 + upper / 2, lower, upper)[1] == words

    def test_has_more_where_rounding_would_hide_that_the_range_was_left(self):
        assert value_and_expected(162.7, 84.86, 162.6) == ("162.7", "84.9 to 162.6")
        assert value_and_expected(162.5, 84.86, 162.2) == ("162.5", "85 to 162")
        assert value_and_expected(84.9, 84.86, 162.4) == ("84.9", "84.9 to 162.4")
        value, expected = value_and_expected(1_234_590.4, 1_234_567.0, 1_234_590.3)
        assert (value, expected) == ("1,234,590.4", "1,234,567 to 1,234,590.3")


class TestNames:
    def test_a_plain_name_has_no_labels(self):
        assert plain_name("cpu.load") == "cpu.load"
        assert labels("cpu.load") == []

    def test_labels_are_parsed(self):
        name = 'cpu{host="a b",mode="x\\"y"}'
        assert plain_name(name) == "cpu"
        assert labels(name) == [("host", "a b"), ("mode", 'x"y')]

    def test_counts_have_separators(self):
        assert thousands(12_345) == "12,345"

    @pytest.mark.parametrize(
        ("name", "letters"), [("Alice Archer", "AA"), ("bob", "B"), ("A B C", "AC"), ("  ", "?")]
    )
    def test_initials_are_one_or_two_letters(self, name, letters):
        assert initials(name) == letters

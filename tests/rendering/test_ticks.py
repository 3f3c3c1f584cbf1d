from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.rendering.ticks import time_ticks, value_labels, value_ticks, zone_label

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000
DAY = 24 * HOUR


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def labels(start, span, zone=BERLIN, count=8):
    return [tick.label for tick in time_ticks(ms(start), ms(start) + span, zone, count)]


class TestValueTicks:
    @given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12), st.integers(2, 20))
    def test_are_evenly_spaced_inside_and_about_as_many_as_requested(self, low, span, count):
        high = low + max(span, abs(low) * 1e-6)
        ticks = value_ticks(low, high, count)
        assert all(low - span * 1e-6 <= tick <= high + span * 1e-6 for tick in ticks)
        assert count / 2.6 - 1 <= len(ticks) <= count + 1

    def test_are_round(self):
        assert value_ticks(0, 100, 5) == [0, 20, 40, 60, 80, 100]
        assert value_ticks(0.3, 2.2, 8) == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]


class TestValueLabels:
    @pytest.mark.parametrize(
        ("ticks", "wanted"),
        [
            ([0, 20, 40], ["0", "20", "40"]),
            ([-500, 0, 500], ["-500", "0", "500"]),
            ([0, 500, 1000, 1500], ["0", "0.5k", "1.0k", "1.5k"]),
            ([1e9, 1.25e9, 1.5e9], ["1.00G", "1.25G", "1.50G"]),
            ([0.25, 0.5, 0.75], ["0.25", "0.50", "0.75"]),
            ([0.0, 0.001, 0.002], ["0", "1m", "2m"]),
            ([0.0, 2e-6, 4e-6], ["0", "2µ", "4µ"]),
            (
                [1_000_000.0, 1_000_000.5, 1_000_001.0],
                ["1,000,000.0", "1,000,000.5", "1,000,001.0"],
            ),
            ([0.0, 1e20, 2e20], ["0", "1e+20", "2e+20"]),
            ([0.0, 1e-12], ["0", "1e-12"]),
            ([0.0], ["0"]),
            ([], []),
        ],
    )
    def test_are_short_and_differ_between_neighbours(self, ticks, wanted):
        assert value_labels(ticks) == wanted

    @given(st.floats(-1e14, 1e14), st.floats(1e-3, 1e13), st.integers(2, 12))
    def test_are_never_equal_for_two_values(self, low, span, count):
        words = value_labels(value_ticks(low, low + max(span, abs(low) * 1e-6), count))
        assert len(set(words)) == len(words)


class TestTimeTicks:
    def test_are_round_local_hours_with_the_date_where_it_begins(self):
        ticks = time_ticks(ms("2026-03-05T17:10"), ms("2026-03-06T17:10"), BERLIN, 8)
        shown = [(tick.label, tick.wider) for tick in ticks]
        assert shown[:3] == [("21:00", "5 Mar"), ("00:00", "6 Mar"), ("03:00", "")]

    def test_show_seconds_in_a_short_window(self):
        assert labels("2026-03-05T12:00:01", 60_000, count=6)[0] == "13:00:10"

    def test_show_days_months_and_years_in_long_ones(self):
        assert labels("2026-03-05T12:00", 7 * DAY) == [f"{day} Mar" for day in range(6, 13)]
        assert labels("2026-01-15T12:00", 200 * DAY)[:3] == ["Feb", "Mar", "Apr"]
        years = time_ticks(ms("2000-06-01"), ms("2026-06-01"), BERLIN, 8)
        assert [tick.wider for tick in years] == ["2005", "2010", "2015", "2020", "2025"]

    def test_begin_weeks_on_monday(self):
        ticks = time_ticks(ms("2026-03-05T12:00"), ms("2026-04-30T12:00"), BERLIN, 8)
        assert ticks[0].label == "9 Mar"

    def test_leave_out_the_hour_that_daylight_saving_skips(self):
        shown = labels("2026-03-28T23:30", 5 * HOUR, count=6)
        assert shown == ["01:00", "03:00", "04:00", "05:00", "06:00"]

    def test_do_not_repeat_the_hour_that_daylight_saving_repeats(self):
        shown = labels("2026-10-24T22:30", 5 * HOUR, count=6)
        assert shown == ["01:00", "02:00", "03:00", "04:00"]

    def test_cover_the_hour_that_daylight_saving_repeats(self):
        ticks = time_ticks(ms("2026-10-24T23:50"), ms("2026-10-25T01:30"), BERLIN, 5)
        distances = {b.time - a.time for a, b in pairwise(ticks)}
        assert distances == {30 * 60_000}

    @given(
        st.integers(0, ms("2199-01-01") - 1),
        st.integers(1_000, 60 * 365 * DAY),
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
        st.integers(1, 30),
    )
    def test_are_ascending_inside_the_window_and_limited(self, start, span, name, count):
        end = min(start + span, 7_258_118_400_000)
        times = [tick.time for tick in time_ticks(start, end, ZoneInfo(name), count)]
        assert times == sorted(set(times))
        assert all(start <= time <= end for time in times)
        assert len(times) <= count * 1.2 + 2


class TestZoneLabel:
    @pytest.mark.parametrize(
        ("name", "wanted"),
        [("UTC", "UTC"), ("Europe/Berlin", "CET"), ("Asia/Kathmandu", "UTC+05:45")],
    )
    def test_is_the_usual_abbreviation(self, name, wanted):
        assert zone_label(ms("2026-01-01"), ZoneInfo(name)) == wanted

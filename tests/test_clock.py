"""Moments and unix time are converted into each other without losing a millisecond."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from anomify.clock import datetime_from_ms, datetime_from_timestamp, to_ms, to_timestamp

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- Hypothesis adds the zone


class TestMilliseconds:
    @given(st.integers(0, 7_258_118_400_000))
    def test_come_back_as_they_were(self, time_ms):
        assert to_ms(datetime_from_ms(time_ms)) == time_ms

    @given(MOMENTS)
    def test_are_rounded_down(self, moment):
        assert timedelta(0) <= moment - datetime_from_ms(to_ms(moment)) < timedelta(milliseconds=1)

    @given(MOMENTS, st.integers(-14, 14))
    def test_do_not_depend_on_the_zone(self, moment, hours):
        there = moment.astimezone(timezone(timedelta(hours=hours)))
        assert to_ms(there) == to_ms(moment)
        assert to_timestamp(there) == to_timestamp(moment)


class TestTimestamp:
    @given(st.integers(0, 7_258_118_400))
    def test_comes_back_as_it_was(self, timestamp):
        assert to_timestamp(datetime_from_timestamp(timestamp)) == timestamp

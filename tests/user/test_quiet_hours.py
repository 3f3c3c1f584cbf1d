"""Quiet hours: what they hold back and until when, and what can be saved."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.errors import Invalid
from anomify.user.model import User
from anomify.user.quiet_hours import QuietHoursFields, quiet_until, update_quiet_hours
from tests.factories import make_org, make_user
from tests.silence.naive_schedule import DAY, MINUTE, naive_occurrence


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def quiet_user(from_minute=22 * 60, until_minute=7 * 60, timezone="Europe/Berlin", **more) -> User:
    return User(
        quiet_from_minute=from_minute,
        quiet_until_minute=until_minute,
        quiet_timezone=timezone,
        **more,
    )


class TestQuietUntil:
    def test_is_none_without_quiet_hours_and_outside_of_them(self):
        assert quiet_until(User(), "low", utc("2026-11-20T23:00")) is None
        assert quiet_until(quiet_user(), "low", utc("2026-11-20T20:59")) is None
        assert quiet_until(quiet_user(), "low", utc("2026-11-21T06:00")) is None

    def test_is_their_end_within_them(self):
        end = utc("2026-11-21T06:00")
        assert quiet_until(quiet_user(), "high", utc("2026-11-20T21:00")) == end
        assert quiet_until(quiet_user(), "low", utc("2026-11-21T05:59")) == end

    def test_severe_messages_are_let_through(self):
        user, night = quiet_user(quiet_except_severity="medium"), utc("2026-11-20T23:00")
        held_back = [quiet_until(user, severity, night) for severity in ("low", "medium", "high")]
        assert held_back == [utc("2026-11-21T06:00"), None, None]

    def test_days_that_adjoin_are_one_time(self):
        weekend = quiet_user(0, 0, "UTC", quiet_weekdays=[5, 6])
        assert quiet_until(weekend, "high", utc("2026-11-21T00:00")) == utc("2026-11-23T00:00")
        assert quiet_until(weekend, "high", utc("2026-11-23T00:00")) is None

    @pytest.mark.parametrize(
        ("at", "end"),
        [
            ("2027-03-27T22:00", "2027-03-28T05:00"),
            ("2027-10-30T21:00", "2027-10-31T06:00"),
        ],
    )
    def test_nights_in_which_clocks_change_end_in_the_morning_all_the_same(self, at, end):
        assert quiet_until(quiet_user(), "high", utc(at)) == utc(end)


@settings(max_examples=100, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    day=st.sampled_from(["2027-03-27", "2027-03-13", "2027-04-03", "2027-10-30", "2027-11-06"]),
    from_minute=st.integers(0, 1439),
    until_minute=st.integers(0, 1439),
    weekdays=st.lists(st.integers(0, 6), max_size=6, unique=True),
    passed=st.integers(0, 2 * 24 * 60),
)
def test_agrees_with_a_computation_minute_by_minute(
    zone, day, from_minute, until_minute, weekdays, passed
):
    midnight = utc(day)
    at = midnight + passed * MINUTE
    windows = [
        naive_occurrence(on, from_minute, until_minute, zone)
        for on in (midnight.date() + ahead * DAY for ahead in range(-3, 12))
        if not weekdays or on.weekday() in weekdays
    ]
    end = at
    while later := [ends for starts, ends in windows if starts <= end < ends]:
        end = max(later)
    found = quiet_until(
        quiet_user(from_minute, until_minute, zone, quiet_weekdays=weekdays or None), "high", at
    )
    if from_minute == until_minute and not weekdays:
        # Every hour of every day, which cannot be saved.
        assert found is not None
    else:
        assert found == (end if end > at else None)


@pytest.mark.usefixtures("unit")
class TestUpdate:
    @staticmethod
    def update(user, org, **fields):
        update_quiet_hours(user, org, QuietHoursFields(**fields))

    def test_stores_the_zone_of_the_org_unless_another_is_given(self):
        org = make_org(timezone="Asia/Tokyo")
        user = make_user(org)
        self.update(user, org, quiet_from="22:00", quiet_until="7:30", weekdays=["Sun", "monday"])
        assert (user.quiet_from_minute, user.quiet_until_minute) == (22 * 60, 7 * 60 + 30)
        assert (user.quiet_timezone, user.quiet_weekdays) == ("Asia/Tokyo", [0, 6])
        self.update(user, org, timezone="UTC", except_severity="high", weekdays=[])
        assert (user.quiet_timezone, user.quiet_weekdays) == ("UTC", None)
        assert user.quiet_except_severity == "high"
        self.update(user, org, quiet_from="", quiet_until="")
        assert user.quiet_from_minute is user.quiet_until_minute is None
        assert user.quiet_except_severity is None

    def test_refusals_name_the_field(self):
        org = make_org()
        user = make_user(org)
        hours = {"quiet_from": "22:00", "quiet_until": "07:00"}
        for sent, field in (
            ({"quiet_from": "22:00"}, "quiet_until"),
            ({"quiet_until": "22:00"}, "quiet_from"),
            ({**hours, "quiet_from": "ten"}, "quiet_from"),
            ({**hours, "timezone": "Mars"}, "quiet_timezone"),
            ({**hours, "weekdays": ["someday"]}, "quiet_weekdays"),
            ({**hours, "except_severity": "severe"}, "quiet_except_severity"),
            ({"quiet_from": "07:00", "quiet_until": "07:00"}, "quiet_until"),
        ):
            with pytest.raises(Invalid) as refused:
                self.update(user, org, **sent)
            assert list(refused.value.fields) == [field], sent
            assert user.quiet_from_minute is None

    def test_a_beginning_and_an_end_alone_are_kept_with_what_is_stored(self):
        org = make_org()
        user = make_user(org)
        self.update(user, org, quiet_from="22:00", quiet_until="07:00")
        self.update(user, org, quiet_until="08:00")
        assert (user.quiet_from_minute, user.quiet_until_minute) == (22 * 60, 8 * 60)


def test_lasts_a_day_where_both_times_are_equal():
    user = quiet_user(60, 60, "UTC", quiet_weekdays=[4])
    assert quiet_until(user, "high", utc("2026-11-20T01:00")) == utc("2026-11-21T01:00")
    assert quiet_until(user, "high", utc("2026-11-20T00:59")) is None

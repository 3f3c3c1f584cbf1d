"""Times at which a silence recurs, also where clocks are put forward or back."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.org.daily_times import LAST_DAY, DailyTimes, Occurrence
from anomify.org.time_zone import zone_names
from anomify.silence.schedule import Schedule
from tests.silence.naive_schedule import DAY, MINUTE, naive_occurrence

HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
# From one time until another, some of them across midnight.
TIMES = (*((hour, hour + 30) for hour in range(0, 240, 15)), (1425, 15), (1380, 180), (60, 60))
ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut"),
    *("America/Santiago", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia", "UTC"),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def changes_of_clocks() -> dict[tuple[datetime, int, int], str]:
    """Return each different change of clocks from 2026 to 2028 with a zone that has it."""
    found = {}
    for name in zone_names():
        place = ZoneInfo(name)
        at, offset = FIRST, FIRST.astimezone(place).utcoffset()
        while at < LAST:
            later = at + DAY
            if (changed := later.astimezone(place).utcoffset()) != offset:
                begins, ends = at, later
                while ends - begins > MINUTE:
                    middle = begins + (ends - begins) // 120 * 60
                    is_before = middle.astimezone(place).utcoffset() == offset
                    begins, ends = (middle, ends) if is_before else (begins, middle)
                found.setdefault((ends, offset, changed), name)
            at, offset = later, changed
    return found


class TestDailyTimes:
    def test_hold_on_the_named_days(self):
        day = date(2028, 2, 29)
        daily = {"from_minute": 0, "until_minute": 60, "timezone": "UTC"}
        assert DailyTimes(**daily).is_on(day)
        assert DailyTimes(**daily, weekdays=frozenset({day.weekday()})).is_on(day)
        assert not DailyTimes(**daily, weekdays=frozenset({0})).is_on(day)
        assert DailyTimes(**daily, weekdays=frozenset({0}), dates=frozenset({day})).is_on(day)
        assert DailyTimes(**daily, month_days=frozenset({29})).is_on(day)
        assert DailyTimes(**daily, month_days=frozenset({LAST_DAY})).is_on(day)
        assert not DailyTimes(**daily, month_days=frozenset({LAST_DAY})).is_on(date(2028, 2, 28))

    @pytest.mark.parametrize(
        ("day", "times", "start", "end"),
        [
            # Berlin puts its clocks from 02:00 to 03:00 on 28 March 2027, and back on 31 October.
            ("2027-03-27", (60, 60), "2027-03-27T00:00", "2027-03-28T00:00"),
            ("2027-03-28", (0, 0), "2027-03-27T23:00", "2027-03-28T22:00"),
            ("2027-03-28", (150, 240), "2027-03-28T01:30", "2027-03-28T02:00"),
            ("2027-03-28", (60, 150), "2027-03-28T00:00", "2027-03-28T01:30"),
            ("2027-03-28", (135, 165), "2027-03-28T01:15", "2027-03-28T01:45"),
            ("2027-03-28", (150, 180), "2027-03-28T01:30", "2027-03-28T02:00"),
            ("2027-10-31", (0, 0), "2027-10-30T22:00", "2027-10-31T23:00"),
            ("2027-10-31", (150, 240), "2027-10-31T00:30", "2027-10-31T03:00"),
            ("2027-10-30", (1320, 150), "2027-10-30T20:00", "2027-10-31T00:30"),
        ],
    )
    def test_follow_the_clocks(self, day, times, start, end):
        found = DailyTimes(*times, "Europe/Berlin").on(date.fromisoformat(day))
        assert found == Occurrence(utc(start), utc(end))

    def test_occur_once_a_day_in_every_zone_where_clocks_change_until_2028(self):
        changes = changes_of_clocks()
        assert len(changes) > 20
        for (at, _, _), name in changes.items():
            day = at.astimezone(ZoneInfo(name)).date()
            for times in TIMES:
                daily = DailyTimes(*times, name)
                found = [daily.on(day + ahead * DAY) for ahead in (-1, 0, 1)]
                assert found == [
                    naive_occurrence(day + ahead * DAY, *times, name) for ahead in (-1, 0, 1)
                ], (at, name, times)
                assert all(one.start < one.end for one in found)
                assert found[0].start < found[1].start < found[2].start


class TestSchedule:
    def test_holds_once_without_daily_times(self):
        schedule = Schedule(NOON, NOON + HOUR)
        assert schedule.at(NOON) == Occurrence(NOON, NOON + HOUR)
        assert schedule.at(NOON - MINUTE) is None
        assert schedule.at(NOON + HOUR) is None
        assert schedule.following(NOON, 3, 366 * DAY) == [Occurrence(NOON, NOON + HOUR)]
        assert schedule.following(NOON + HOUR, 3, 366 * DAY) == []

    def test_is_cut_at_the_ends_of_its_period(self):
        daily = DailyTimes(11 * 60, 13 * 60, "UTC")
        schedule = Schedule(NOON, NOON + DAY, daily)
        assert schedule.following(NOON, 5, 366 * DAY) == [
            Occurrence(NOON, NOON + HOUR),
            Occurrence(NOON + DAY - HOUR, NOON + DAY),
        ]

    def test_finds_a_date_that_is_months_away(self):
        daily = DailyTimes(0, 60, "UTC", dates=frozenset({date(2027, 6, 1)}))
        found = Schedule(NOON, None, daily).following(NOON, 5, 366 * DAY)
        assert found == [Occurrence(utc("2027-06-01T00:00"), utc("2027-06-01T01:00"))]


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    # Days on which the clocks of one of these places change, and others.
    day=st.sampled_from(
        [
            *(date(2027, 3, 27), date(2027, 3, 13), date(2027, 4, 3), date(2027, 4, 29)),
            *(date(2027, 10, 30), date(2027, 11, 6), date(2027, 9, 4), date(2027, 2, 6)),
        ]
    ),
    from_minute=st.integers(0, 1439),
    until_minute=st.integers(0, 1439),
    weekdays=st.frozensets(st.integers(0, 6)),
    passed=st.integers(0, 2 * 24 * 60),
    begins=st.integers(-24 * 60, 24 * 60),
    lasts=st.integers(1, 3 * 24 * 60),
)
def test_agrees_with_a_computation_minute_by_minute(
    zone, day, from_minute, until_minute, weekdays, passed, begins, lasts
):
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    moment = midnight + passed * MINUTE
    first = midnight + begins * MINUTE
    last = first + lasts * MINUTE
    schedule = Schedule(first, last, DailyTimes(from_minute, until_minute, zone, weekdays))
    ends = [
        min(end, last)
        for ahead in range(-3, 5)
        if not weekdays or (day + ahead * DAY).weekday() in weekdays
        for start, end in [naive_occurrence(day + ahead * DAY, from_minute, until_minute, zone)]
        if max(start, first) <= moment < min(end, last)
    ]
    found = schedule.at(moment)
    assert (found and found.end) == max(ends, default=None)
    following = schedule.following(moment, 1, 10 * DAY)
    if found is not None:
        assert following
        assert following[0].start <= moment < following[0].end
    else:
        assert all(one.start > moment for one in following)

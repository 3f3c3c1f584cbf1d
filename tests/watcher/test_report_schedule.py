"""When summaries are due, in zones whose clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.watcher.report_schedule import ReportSchedule, read_schedule

# Each changes its clocks between 2026 and 2028: by an hour, by half of one, and around midnight.
ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"),
    *("Africa/Casablanca", "Pacific/Chatham", "Asia/Beirut", "America/Havana", "UTC"),
)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULES = st.one_of(
    st.builds(ReportSchedule, st.integers(0, 1439)),
    st.builds(ReportSchedule, st.integers(0, 1439), weekday=st.integers(0, 6)),
    st.builds(ReportSchedule, st.integers(0, 1439), month_day=st.integers(1, 31)),
)


class TestReadSchedule:
    @given(schedule=SCHEDULES)
    def test_reads_what_it_writes(self, schedule: ReportSchedule) -> None:
        assert read_schedule(schedule.text) == schedule

    @pytest.mark.parametrize(
        "text",
        [
            *("", "daily", "daily-25:00", "daily-1000", "weekly-someday", "weekly", "monthly-0"),
            *("monthly-32", "monthly-x", "hourly-10", "daily-10:00-x", "weekly-monday-24:01"),
        ],
    )
    def test_refuses_what_is_none(self, text: str) -> None:
        assert read_schedule(text) is None

    @pytest.mark.parametrize(
        ("text", "due"),
        [
            ("daily-10:00", "2027-02-28 10:00"),
            ("weekly-monday", "2027-03-01 09:00"),
            ("monthly-17", "2027-03-17 09:00"),
            ("monthly-31", "2027-02-28 09:00"),
            ("weekly-sun-23:30", "2027-02-28 23:30"),
        ],
    )
    def test_is_due_at_the_local_time(self, text: str, due: str) -> None:
        schedule = read_schedule(text)
        assert schedule is not None
        found = schedule.due_after(datetime(2027, 2, 28, 6, tzinfo=UTC), "Europe/Berlin")
        assert f"{found.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M}" == due


class TestDueTimes:
    @given(
        schedule=SCHEDULES,
        zone=st.sampled_from(ZONES),
        begin=st.integers(0, 3 * 365 * 1440),
        steps=st.lists(st.integers(1, 40 * 1440), min_size=1, max_size=60),
    )
    @settings(max_examples=60, deadline=None)
    def test_are_each_local_day_once_however_often_one_looks(
        self, schedule: ReportSchedule, zone: str, begin: int, steps: list[int]
    ) -> None:
        at = start = BEGIN + timedelta(minutes=begin)
        reported = start
        seen = []
        for step in steps:
            at += timedelta(minutes=step % 3000)
            due = schedule.due_through(reported, at, zone)
            if due is not None:
                assert reported < due <= at
                seen.append(due)
                reported = due
        every = []
        due = start
        while (due := schedule.due_after(due, zone)) <= at:
            every.append(due)
        # Those that passed between two looks are one: the last of them.
        assert set(seen) <= set(every)
        assert (seen[-1:] or None) == (every[-1:] or None)
        days = [due.astimezone(ZoneInfo(zone)).date() for due in every]
        assert len(set(days)) == len(days)

    @given(zone=st.sampled_from(ZONES), minute=st.integers(0, 1439))
    @settings(max_examples=30, deadline=None)
    def test_are_on_every_day_of_the_years_with_changes(self, zone: str, minute: int) -> None:
        schedule, due, days = ReportSchedule(minute), BEGIN, []
        while due < BEGIN + timedelta(days=400):
            due = schedule.due_after(due, zone)
            local = due.astimezone(ZoneInfo(zone))
            days.append(local.date())
            there = local.replace(tzinfo=None)
            wall = datetime.combine(local.date(), datetime.min.time()) + timedelta(minutes=minute)
            # A time that the day does not have is as much later as clocks are put forward.
            assert there == wall or timedelta(0) < there - wall <= timedelta(hours=1)
        assert [later - earlier for earlier, later in pairwise(days)] == [timedelta(days=1)] * (
            len(days) - 1
        )

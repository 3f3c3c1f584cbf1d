"""Notices that a silence began or ended: each exactly once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomify.db import session
from anomify.silence.model import Silence
from anomify.silence.notices import take_notices
from tests.factories import make_org, make_silence

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TOLD = {"notify_contact_point_ids": [7], "notifies_start": True, "notifies_end": True}


def told(at: datetime) -> list[tuple[int, bool, datetime, datetime]]:
    """Take what is due at that moment, in a unit of work as a restarted worker has it."""
    session().flush()
    session().expire_all()
    return [
        (notice.silence.id, notice.has_begun, *notice.occurrence) for notice in take_notices(at, 50)
    ]


@pytest.mark.usefixtures("unit")
class TestTakeNotices:
    def test_beginning_and_end_are_told_once(self):
        one = make_silence(make_org(), kind="maintenance", begins_at=NOON, hours=1, **TOLD)
        assert told(NOON - MINUTE) == []
        assert told(NOON) == [(one.id, True, NOON, NOON + HOUR)]
        assert told(NOON) == told(NOON + MINUTE) == []
        assert told(NOON + HOUR) == [(one.id, False, NOON, NOON + HOUR)]
        assert told(NOON + HOUR) == told(NOON + 9 * HOUR) == []

    def test_names_the_contact_points(self):
        make_silence(make_org(), begins_at=NOON, **TOLD)
        (notice,) = take_notices(NOON, 50)
        assert notice.contact_point_ids == (7,)

    def test_only_what_is_wanted_is_told(self):
        org = make_org()
        make_silence(org, begins_at=NOON, hours=1, notify_contact_point_ids=[7])
        end = make_silence(org, begins_at=NOON, hours=1, **{**TOLD, "notifies_start": False})
        start = make_silence(org, begins_at=NOON, hours=1, **{**TOLD, "notifies_end": False})
        assert [found[:2] for found in told(NOON)] == [(start.id, True)]
        assert [found[:2] for found in told(NOON + HOUR)] == [(end.id, False)]
        assert told(NOON + HOUR) == []

    def test_one_that_is_ended_is_told_of_with_its_true_end(self):
        one = make_silence(make_org(), begins_at=NOON, hours=5, **TOLD)
        told(NOON)
        one.ended_at = NOON + HOUR
        assert told(NOON + HOUR + MINUTE) == [(one.id, False, NOON, NOON + HOUR)]

    def test_one_that_came_and_went_while_nobody_looked_is_not_told_of(self):
        make_silence(make_org(), begins_at=NOON, hours=1, **TOLD)
        assert told(NOON + 2 * HOUR) == []

    def test_windows_that_adjoin_are_one(self):
        daily = {"ends_at": NOON + 48 * HOUR, "from_minute": 0, "until_minute": 0}
        one = make_silence(make_org(), begins_at=NOON, **daily, **TOLD)
        found = [each for hour in range(60) for each in told(NOON + hour * HOUR)]
        assert [(each[0], each[1]) for each in found] == [(one.id, True), (one.id, False)]
        assert found[1][3] == NOON + 48 * HOUR

    def test_no_more_than_the_most_are_taken_and_the_rest_later(self):
        org = make_org()
        made = [make_silence(org, begins_at=NOON, **TOLD).id for _ in range(5)]
        taken = [[each.silence.id for each in take_notices(NOON, 2)] for _ in range(4)]
        assert taken == [made[:2], made[2:4], made[4:], []]

    @pytest.mark.parametrize("day", ["2027-03-27", "2027-10-30", "2026-11-20"])
    def test_every_night_is_told_of_once_also_when_clocks_change(self, day):
        begins = datetime.fromisoformat(day).replace(tzinfo=UTC)
        make_silence(
            make_org(timezone="Europe/Berlin"),
            begins_at=begins,
            ends_at=None,
            from_minute=120,
            until_minute=180,
            **TOLD,
        )
        found = [
            is_start
            for tick in range(72 * 12)
            for _, is_start, *_ in told(begins + tick * 5 * MINUTE)
        ]
        assert found == [True, False] * 3


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    looked=st.lists(st.integers(0, 72 * 60), min_size=1, max_size=40),
    from_minute=st.integers(0, 1439),
    until_minute=st.integers(0, 1439),
)
def test_beginnings_and_ends_alternate_whenever_it_is_looked(
    unit, looked, from_minute, until_minute
):
    one = make_silence(
        make_org(),
        begins_at=NOON,
        ends_at=NOON + 60 * HOUR,
        from_minute=from_minute,
        until_minute=until_minute,
        **TOLD,
    )
    is_known = False
    for minute in sorted(looked):
        at = NOON + minute * MINUTE
        running = one.schedule.at(at)
        found = [each for each in take_notices(at, 500) if each.silence.id == one.id]
        assert len(found) <= 1
        for notice in found:
            assert notice.has_begun == (running is not None)
            # An end is told only of what was told to have begun.
            assert notice.has_begun or is_known
        if is_known != (running is not None):
            assert found
        is_known = running is not None
    session().delete(session().get_one(Silence, one.id))

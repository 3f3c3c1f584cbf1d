"""Why and until when notifications are held back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.clock import now
from anomify.db import session
from anomify.silence.affected import Affected
from anomify.silence.schedule import Schedule
from anomify.silence.window import (
    MUTE,
    QuietReasons,
    _Source,
    quiet_reasons,
    silenced_orgs,
)
from tests.factories import make_org, make_silence

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.mark.usefixtures("unit")
def test_silenced_orgs_are_those_that_are_muted_as_a_whole():
    at = now()
    still = make_org(muted_until=at + timedelta(seconds=1))
    make_org(muted_until=at)
    make_org()
    assert list(session().scalars(silenced_orgs(at))) == [still.id]


@pytest.mark.usefixtures("unit")
class TestQuietReasons:
    def test_nothing_is_held_back_without_silence_and_mute(self):
        reasons = quiet_reasons(make_org(), NOON)
        assert not reasons
        assert reasons.of("cpu.load") is None

    def test_a_muted_org_holds_back_every_metric(self):
        found = quiet_reasons(make_org(muted_until=NOON + HOUR), NOON).of("cpu.load")
        assert found is not None
        assert (found.why, found.until) == ("the whole org is muted", NOON + HOUR)
        assert (found.kind, found.silence_id) == (MUTE, None)

    def test_a_silence_holds_back_the_metrics_it_is_about(self):
        org = make_org()
        one = make_silence(org, begins_at=NOON, metric="cpu.load", comment="disk swap")
        reasons = quiet_reasons(org, NOON)
        found = reasons.of("cpu.load")
        assert found is not None
        assert found.why == "Alice silenced it (disk swap)"
        assert (found.kind, found.silence_id, found.until) == ("silence", one.id, NOON + 2 * HOUR)
        assert reasons.of("cpu.load2") is None

    def test_maintenance_says_that_it_is_maintenance(self):
        org = make_org()
        make_silence(org, kind="maintenance", begins_at=NOON, comment="new disks")
        found = quiet_reasons(org, NOON).of("cpu.load")
        assert found is not None
        assert found.why == "maintenance (new disks) planned by Alice is under way"
        assert found.kind == "maintenance"

    def test_begins_and_ends_to_the_moment_and_is_of_one_org(self):
        org = make_org()
        make_silence(org, begins_at=NOON)
        tick = timedelta(microseconds=1)
        assert [
            quiet_reasons(org, at).of("x") is not None
            for at in (NOON - tick, NOON, NOON + 2 * HOUR - tick, NOON + 2 * HOUR)
        ] == [False, True, True, False]
        assert quiet_reasons(make_org("Globex"), NOON).of("x") is None

    def test_one_that_was_ended_holds_back_nothing_more(self):
        org = make_org()
        make_silence(org, begins_at=NOON, ended_at=NOON + MINUTE, ended_by="Bob")
        assert quiet_reasons(org, NOON).of("x").until == NOON + MINUTE
        assert quiet_reasons(org, NOON + MINUTE).of("x") is None

    def test_the_reason_that_ends_last_is_given(self):
        org = make_org(muted_until=NOON + HOUR)
        make_silence(org, begins_at=NOON - HOUR, hours=1.5)
        longest = make_silence(org, begins_at=NOON - HOUR, hours=4)
        assert quiet_reasons(org, NOON).of("x").silence_id == longest.id
        assert quiet_reasons(org, NOON).of("x").until == NOON + 3 * HOUR

    def test_adjoining_windows_end_together(self):
        org = make_org(muted_until=NOON + HOUR)
        make_silence(org, begins_at=NOON + HOUR, hours=1)
        make_silence(org, begins_at=NOON + 2 * HOUR - MINUTE, hours=1, chips=["cpu"])
        make_silence(org, begins_at=NOON + 4 * HOUR, hours=1)
        reasons = quiet_reasons(org, NOON)
        assert reasons.of("disk").until == NOON + 2 * HOUR
        assert reasons.of("CPU").until == NOON + 3 * HOUR - MINUTE
        assert reasons.of("CPU").kind == MUTE

    def test_a_window_every_day_all_day_has_an_end_all_the_same(self):
        org = make_org()
        make_silence(org, begins_at=NOON, ends_at=None, from_minute=0, until_minute=0)
        until = quiet_reasons(org, NOON).of("x").until
        assert timedelta(days=90) < until - NOON < timedelta(days=366)


MINUTES = 12 * 60
spans = st.tuples(st.integers(0, MINUTES), st.integers(1, 4 * 60), st.sampled_from(["a", "b", ""]))


@settings(max_examples=200)
@given(st.lists(spans, max_size=6), st.integers(0, MINUTES))
def test_the_end_of_windows_agrees_with_minutes_that_are_looked_at_one_by_one(windows, minute):
    quiet = {
        passed
        for begins, lasts, word in windows
        if word in "xa"
        for passed in range(begins, begins + lasts)
    }
    sources = []
    at = NOON + minute * MINUTE
    for number, (begins, lasts, word) in enumerate(windows):
        schedule = Schedule(NOON + begins * MINUTE, NOON + (begins + lasts) * MINUTE)
        predicate = Affected(chips=(word,)).predicate() if word else None
        sources.append(_Source("silence", number, "of it", schedule, predicate, schedule.at(at)))
    found = QuietReasons(sources).of("xa")
    if minute not in quiet:
        assert found is None
        return
    end = minute
    while end in quiet:
        end += 1
    assert found is not None
    assert found.until == NOON + end * MINUTE
    begins, lasts, word = windows[found.silence_id]
    assert word in "xa"
    assert begins <= minute < begins + lasts

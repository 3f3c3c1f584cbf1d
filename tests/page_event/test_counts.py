"""Minutes are counted exactly once, however requests, crashes and late additions fall."""

import pytest

from anomify.db import session
from anomify.page_event.counts import (
    FILLED_MS,
    MINUTE_MS,
    NAMES_MAX,
    SILENT_FOR_MS,
    add_counts,
    add_noughts,
    forget_counted,
    list_unstored,
    mark_stored,
    missing_minutes,
    names_with_room,
)
from anomify.page_event.model import CountedMinute
from tests.factories import make_metric, make_org

NOON = 1_763_640_000_000
SETTLED = NOON + MINUTE_MS + 5_000


def unstored(at_ms=SETTLED):
    points = list_unstored(at_ms)
    return list(zip(points.times.tolist(), points.values.tolist(), strict=True))


def minutes(metric_id):
    rows = session().query(CountedMinute).filter_by(metric_id=metric_id)
    return {(row.minute_ms - NOON) // MINUTE_MS: row.count for row in rows}


@pytest.fixture
def metric_id(unit):
    del unit
    return make_metric(make_org(), "events.shop.signup").id


class TestAddCounts:
    def test_adds_up_what_falls_into_one_minute(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        add_counts({metric_id: 3}, NOON + MINUTE_MS - 1)
        add_counts({metric_id: 7}, NOON + MINUTE_MS)
        assert minutes(metric_id) == {0: 5, 1: 7}


class TestListUnstored:
    def test_waits_until_a_minute_is_over_and_settled(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        assert unstored(SETTLED - 1) == []
        assert unstored() == [(NOON, 2.0)]

    def test_gives_a_minute_again_with_all_of_it_when_something_was_added(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        points = list_unstored(SETTLED)
        add_counts({metric_id: 1}, NOON)
        mark_stored(points)
        assert unstored() == [(NOON, 3.0)]
        mark_stored(list_unstored(SETTLED))
        assert unstored() == []


class TestMissingMinutes:
    def fill(self, at_ms):
        missing = missing_minutes(at_ms)
        if missing:
            add_noughts(missing)

    def test_counts_nought_where_nothing_happened(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        add_counts({metric_id: 4}, NOON + 2 * MINUTE_MS)
        at = NOON + 5 * MINUTE_MS + 5_000
        self.fill(at)
        assert minutes(metric_id) == {0: 2, 1: 0, 2: 4, 3: 0, 4: 0}
        assert missing_minutes(at) == []

    def test_keeps_what_came_into_such_a_minute_meanwhile(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        missing = missing_minutes(NOON + 2 * MINUTE_MS + 5_000)
        assert missing == [(metric_id, NOON + MINUTE_MS)]
        add_counts({metric_id: 1}, NOON + MINUTE_MS)
        add_noughts(missing)
        assert minutes(metric_id) == {0: 2, 1: 1}

    def test_does_not_speak_for_a_time_in_which_nobody_was_there(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        assert missing_minutes(NOON + FILLED_MS + 3 * MINUTE_MS) == []

    def test_ends_a_day_after_the_last_event(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        late = NOON + SILENT_FOR_MS
        add_noughts([(metric_id, late - MINUTE_MS)])
        assert len(missing_minutes(late + MINUTE_MS)) == 0
        assert len(missing_minutes(late + 3 * MINUTE_MS)) == 0
        add_counts({metric_id: 1}, late)
        assert len(missing_minutes(late + 3 * MINUTE_MS + 5_000)) == 2


class TestForgetCounted:
    def test_keeps_what_is_not_stored_and_lets_go_of_the_rest_in_time(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        add_noughts([(metric_id, NOON + MINUTE_MS)])
        late = NOON + 3 * FILLED_MS
        forget_counted(late)
        assert minutes(metric_id) == {0: 2, 1: 0}
        mark_stored(list_unstored(late))
        forget_counted(late)
        assert minutes(metric_id) == {0: 2}
        forget_counted(late + 25 * FILLED_MS)
        assert minutes(metric_id) == {}


@pytest.mark.usefixtures("unit")
class TestNamesWithRoom:
    def test_ends_where_an_org_has_very_many(self):
        org = make_org()
        for number in range(NAMES_MAX - 1):
            make_metric(org, f"events.shop.n{number}")
        asked = ["events.shop.n1", "events.shop.new", "events.shop.newer"]
        assert names_with_room(org.id, asked) == {"events.shop.n1", "events.shop.new"}
        assert names_with_room(make_org("Globex").id, asked) == set(asked)

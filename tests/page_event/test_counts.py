"""Each minute is stored once per count, whatever the order of requests, crashes and additions."""

import pytest

from anomify.db import session
from anomify.page_event.counts import add_counts, add_zeros, delete_old_counts, mark_stored
from anomify.page_event.minutes import MINUTE_MS
from anomify.page_event.model import CountedMinute
from anomify.page_event.queries import (
    NAMES_MAX,
    ZEROS_BACK_MS,
    ZEROS_FOR_MS,
    countable_names,
    list_unstored,
    minutes_without_count,
)
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
    def test_adds_the_counts_of_one_minute(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        add_counts({metric_id: 3}, NOON + MINUTE_MS - 1)
        add_counts({metric_id: 7}, NOON + MINUTE_MS)
        assert minutes(metric_id) == {0: 5, 1: 7}


class TestListUnstored:
    def test_waits_until_a_minute_is_complete(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        assert unstored(SETTLED - 1) == []
        assert unstored() == [(NOON, 2.0)]

    def test_lists_a_minute_again_with_its_whole_count_after_an_addition(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        points = list_unstored(SETTLED)
        add_counts({metric_id: 1}, NOON)
        mark_stored(points)
        assert unstored() == [(NOON, 3.0)]
        mark_stored(list_unstored(SETTLED))
        assert unstored() == []


class TestMinutesWithoutCount:
    def fill(self, at_ms):
        missing = minutes_without_count(at_ms)
        if missing:
            add_zeros(missing)

    def test_lists_complete_minutes_without_an_event(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        add_counts({metric_id: 4}, NOON + 2 * MINUTE_MS)
        at = NOON + 5 * MINUTE_MS + 5_000
        self.fill(at)
        assert minutes(metric_id) == {0: 2, 1: 0, 2: 4, 3: 0, 4: 0}
        assert minutes_without_count(at) == []

    def test_a_zero_does_not_replace_a_count_added_meanwhile(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        missing = minutes_without_count(NOON + 2 * MINUTE_MS + 5_000)
        assert missing == [(metric_id, NOON + MINUTE_MS)]
        add_counts({metric_id: 1}, NOON + MINUTE_MS)
        add_zeros(missing)
        assert minutes(metric_id) == {0: 2, 1: 1}

    def test_leaves_out_minutes_more_than_an_hour_ago(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        assert minutes_without_count(NOON + ZEROS_BACK_MS + 3 * MINUTE_MS) == []

    def test_ends_a_day_after_the_last_event(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        late = NOON + ZEROS_FOR_MS
        add_zeros([(metric_id, late - MINUTE_MS)])
        assert len(minutes_without_count(late + MINUTE_MS)) == 0
        assert len(minutes_without_count(late + 3 * MINUTE_MS)) == 0
        add_counts({metric_id: 1}, late)
        assert len(minutes_without_count(late + 3 * MINUTE_MS + 5_000)) == 2


class TestDeleteOldCounts:
    def test_deletes_old_minutes_but_none_that_is_not_stored(self, metric_id):
        add_counts({metric_id: 2}, NOON)
        add_zeros([(metric_id, NOON + MINUTE_MS)])
        late = NOON + 3 * ZEROS_BACK_MS
        delete_old_counts(late)
        assert minutes(metric_id) == {0: 2, 1: 0}
        mark_stored(list_unstored(late))
        delete_old_counts(late)
        assert minutes(metric_id) == {0: 2}
        delete_old_counts(late + 25 * ZEROS_BACK_MS)
        assert minutes(metric_id) == {}


@pytest.mark.usefixtures("unit")
class TestCountableNames:
    def test_leaves_out_new_names_at_the_limit(self):
        org = make_org()
        for number in range(NAMES_MAX - 1):
            make_metric(org, f"events.shop.n{number}")
        requested = ["events.shop.n1", "events.shop.new", "events.shop.newer"]
        assert countable_names(org.id, requested) == {"events.shop.n1", "events.shop.new"}
        assert countable_names(make_org("Globex").id, requested) == set(requested)

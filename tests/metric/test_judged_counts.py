"""Judged points are counted for their org and their hour, and taken back one by one."""

import numpy as np
import pytest

from anomify.metric.judged_counts import HOUR_MS, JudgedCounter, hours_of, judged_points
from tests.factories import make_metric, make_org

NOON = 1_763_640_000_000 // HOUR_MS * HOUR_MS


def at(*minutes: int) -> np.ndarray:
    return NOON + 60_000 * np.array(minutes, np.int64)


@pytest.mark.usefixtures("unit")
class TestCount:
    def test_counts_by_org_and_hour(self):
        acme, globex = make_org("Acme"), make_org("Globex")
        ours, too, theirs = (
            make_metric(org, name).id for org, name in ((acme, "a"), (acme, "b"), (globex, "a"))
        )
        tally = JudgedCounter()
        tally.count(np.array([ours, too, theirs, ours]), at(0, 59, 59, 60))
        tally.count(np.array([ours]), at(1))
        assert judged_points(acme.id, NOON, NOON + HOUR_MS) == 3
        assert judged_points(acme.id, NOON + 1, NOON + 2 * HOUR_MS) == 1
        assert judged_points(globex.id, 0, NOON + 2 * HOUR_MS) == 1

    def test_counts_an_hour_anew(self):
        org = make_org()
        metric_id = make_metric(org).id
        tally = JudgedCounter()
        tally.count(np.full(3, metric_id), at(0, 1, 60))
        tally.correct(metric_id, hours_of(at(0, 1, 60)), hours_of(at(0, 61, 62)))
        assert judged_points(org.id, NOON, NOON + HOUR_MS) == 1
        assert judged_points(org.id, NOON + HOUR_MS, NOON + 2 * HOUR_MS) == 2
        tally.correct(10**6, hours_of(at(0)), hours_of(at()))
        assert judged_points(org.id, 0, NOON + 2 * HOUR_MS) == 3

    def test_passes_over_metrics_that_are_no_more(self):
        org = make_org()
        ids = np.array([make_metric(org).id, 10**6])
        JudgedCounter().count(ids, at(0, 0))
        JudgedCounter().count(np.empty(0, np.int64), at())
        assert judged_points(org.id, 0, NOON + HOUR_MS) == 1

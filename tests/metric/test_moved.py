"""Which metrics of an org moved in a window: the cause of an incident first, of no other org."""

import numpy as np
import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from anomify.metric.model import Metric
from anomify.metric.moved import (
    INTERVAL_MS,
    UnusualPoints,
    forget_moved_before,
    list_moved,
    record_moved,
    replace_moved,
)
from anomify.org.model import Org
from tests.factories import make_metric, make_org
from tests.kit.moved_incidents import MINUTE, START, Metrics, ranked, unusual_in

END = START + 60 * MINUTE


@pytest.fixture
def org(unit: Session) -> Org:
    assert unit.is_active
    return make_org()


def move(metric: Metric, minute: int, strength: float = 9.0, length: int = 3) -> UnusualPoints:
    """Record that a metric moved from a minute on."""
    times = START + MINUTE * np.arange(minute, minute + length)
    strengths = strength - 0.1 * np.arange(length)
    ids = np.full(length, metric.id)
    points = UnusualPoints(ids, times, times, strengths, strengths, -strengths, strengths - 1.0)
    record_moved(points, np.full(length, metric.org_id))
    return points


def shown(org: Org, from_ms: int = START, until_ms: int = END, **more: int) -> list[str]:
    return [one.name for one in list_moved(org.id, from_ms, until_ms, **more)]


class TestListMoved:
    def test_shows_the_first_mover_first_and_what_was_measured(self, org):
        names = ["cause", "effect.a", "effect.b", "effect.c", "effect.d"]
        metrics = [make_metric(org, name) for name in names]
        for metric, minute in zip(metrics, (20, 23, 24, 26, 29), strict=True):
            move(metric, minute, 9.0 if minute == 20 else 12.0)
        [first, *others] = list_moved(org.id, START, END)
        assert (first.name, first.started_ms, first.peak_ms) == (
            "cause",
            *[START + 20 * MINUTE] * 2,
        )
        assert (first.strength, first.value, first.lower, first.upper) == (9.0, 9.0, -9.0, 8.0)
        assert {one.name for one in others} == set(names[1:])
        assert "cause" not in shown(org, but_metric_id=metrics[0].id)
        assert shown(org, limit=1) == ["cause"]

    def test_shows_only_what_moved_in_the_window_and_in_the_org(self, org):
        move(make_metric(org, "before"), 2)
        move(make_metric(org, "inside"), 21)
        move(make_metric(org, "after"), 50)
        other = make_org("Other")
        move(make_metric(other, "secret"), 21)
        assert shown(org, START + 20 * MINUTE, START + 30 * MINUTE) == ["inside"]
        assert shown(other) == ["secret"]
        assert shown(org, END + 60 * MINUTE, END + 61 * MINUTE) == []

    def test_counts_a_metric_less_that_is_unusual_all_the_time(self, org):
        often, seldom = make_metric(org, "often"), make_metric(org, "seldom")
        for minute in range(-3000, 0, 30):
            move(often, minute)
        move(often, 20, 9.5)
        move(seldom, 20, 9.0)
        assert shown(org) == ["seldom", "often"]

    def test_is_the_same_when_points_are_recorded_again_or_after_a_rebuild(self, org):
        metric = make_metric(org, "m")
        points = move(metric, 20)
        before = list_moved(org.id, START, END)
        move(metric, 20)
        assert list_moved(org.id, START, END) == before
        replace_moved(metric.id, org.id, START, [points])
        assert list_moved(org.id, START, END) == before
        replace_moved(metric.id, org.id, START, [])
        assert list_moved(org.id, START, END) == []

    def test_forgets_deleted_metrics_and_old_intervals(self, unit, org):
        gone = make_metric(org, "gone")
        move(gone, 21)
        move(make_metric(org, "kept"), 21)
        unit.execute(delete(Metric).where(Metric.id == gone.id))
        assert shown(org) == ["kept"]
        forget_moved_before(START + 21 * MINUTE + INTERVAL_MS)
        assert shown(org) == []


def test_the_cause_of_generated_incidents_is_among_the_first_five():
    metrics = Metrics(120, 2.5, 31)
    generator = np.random.default_rng(32)
    found = []
    for _ in range(12):
        incident = metrics.incident(generator)
        order = ranked(unusual_in(metrics, incident), incident.from_ms, incident.until_ms)
        found.append(incident.cause in order[:5])
    assert np.mean(found) >= 0.75

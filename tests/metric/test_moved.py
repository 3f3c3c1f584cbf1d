"""Which metrics of an org moved in a window: the cause of an incident first, of no other org."""

import numpy as np
import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from anomify.db import session
from anomify.metric.model import Metric, Progress
from anomify.metric.moved import (
    INTERVAL_MS,
    UnusualPoints,
    forget_moved_before,
    list_moved,
    record_moved,
    replace_moved,
)
from anomify.org.model import Org
from anomify.series import Judgements, Series
from tests.factories import make_metric, make_org
from tests.kit.moved_bursts import BurstMetrics
from tests.kit.moved_incidents import MINUTE, START, Metrics
from tests.kit.moved_ranking import Generated, ranked

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
    no = np.zeros(length, bool)
    points = UnusualPoints(ids, times, times, strengths, strengths, -strengths, strengths - 1.0, no)
    record_moved(points, np.full(length, metric.org_id))
    return points


def report(metric: Metric, last_minute: int, **more: bool) -> None:
    """Record that a metric has been judged until a minute, a point a minute."""
    session().add(
        Progress(
            metric_id=metric.id,
            judged_until_ms=START + last_minute * MINUTE,
            points_seen=1_000,
            last_value=1.0,
            resolution_ms=MINUTE,
            stale_after_ms=5 * MINUTE,
            **more,
        )
    )
    session().flush()


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

    def test_shows_since_when_a_metric_moved_by_its_points(self, org):
        metric = make_metric(org, "m")
        move(metric, 24)
        times = START + MINUTE * np.arange(-200, 60)
        values = np.sin(np.arange(260) * 2.4) + np.where(times >= START + 20 * MINUTE, 5.0, 0.0)

        def read(metric_id: int, from_ms: int, until_ms: int) -> Series:
            assert metric_id == metric.id
            wanted = (times >= from_ms) & (times < until_ms)
            return Series(times[wanted], values[wanted], Judgements.none(int(wanted.sum())))

        [found] = list_moved(org.id, START, END, read=read)
        assert found.started_ms == START + 20 * MINUTE
        [found] = list_moved(org.id, START, END)
        assert found.started_ms == START + 24 * MINUTE

    def test_shows_metrics_that_stopped_reporting_while_others_report(self, org):
        report(make_metric(org, "live"), 60)
        silent = make_metric(org, "silent")
        report(silent, 20)
        report(make_metric(org, "may.be.silent"), 20, may_be_silent=True)
        report(make_metric(org, "ended"), 20, has_ended=True)
        report(make_metric(org, "just.late"), 57)
        report(make_metric(org, "silent.before"), -10)
        [found] = list_moved(org.id, START, END)
        assert (found.name, found.started_ms) == ("silent", START + 21 * MINUTE)
        assert (found.direction, found.value) == ("silent", None)
        assert list_moved(org.id, START, END, but_metric_id=silent.id) == []
        assert shown(org, START + 21 * MINUTE, START + 23 * MINUTE) == []

    def test_leaves_out_excluded_metrics(self, org):
        excluded = make_metric(org, "excluded")
        excluded.excluded_by = 1
        for metric in (excluded, make_metric(org, "kept")):
            move(metric, 20)
        assert shown(org) == ["kept"]

    def test_forgets_deleted_metrics_and_old_intervals(self, unit, org):
        gone = make_metric(org, "gone")
        move(gone, 21)
        move(make_metric(org, "kept"), 21)
        unit.execute(delete(Metric).where(Metric.id == gone.id))
        assert shown(org) == ["kept"]
        forget_moved_before(START + 21 * MINUTE + INTERVAL_MS)
        assert shown(org) == []


def share_on_top(metrics: Generated, seed: int, count: int) -> float:
    """Return in which share of incidents the cause is among the first five."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        incident = metrics.incident(generator)
        found.append(incident.cause in ranked(metrics, incident)[:5])
    return float(np.mean(found))


def test_the_cause_of_generated_incidents_is_among_the_first_five():
    assert share_on_top(Metrics(120, 2.5, 31), 32, 12) >= 0.75


def test_the_cause_of_generated_bursts_is_among_the_first_five():
    assert share_on_top(BurstMetrics(120, 2.5, 33), 34, 12) >= 0.6

"""Screening: metrics are looked up once, and again only when rules have changed."""

import numpy as np
import pytest
from sqlalchemy import event

from anomify.exclusion.editing import ExclusionFields, add_exclusion, delete_exclusion
from anomify.exclusion.predicate import ExclusionKind
from anomify.pipeline.screen import Screen
from anomify.pipeline.verdict import Anomalous, Excluded
from tests.factories import make_metric, make_org


@pytest.fixture
def acme(unit):
    return make_org()


@pytest.fixture
def requested(unit):
    """The statements that are sent to the database."""
    statements = []
    engine = unit.get_bind()

    def note(_connection, _cursor, statement, *_more):
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def add(org, pattern):
    return add_exclusion(org.id, ExclusionFields(ExclusionKind.PREFIX, pattern), "Alice")[0].id


def excluded(screen, *metrics):
    return screen.are_excluded(np.array([metric.id for metric in metrics], np.int64)).tolist()


class TestResults:
    def test_name_the_rule_that_excludes_a_metric(self, acme):
        out, within = make_metric(acme, "out"), make_metric(acme, "in")
        screen = Screen()
        screen.reload()
        assert screen.screen([out.id, within.id]) == [Anomalous(), Anomalous()]
        first, second = add(acme, "out"), add(acme, "ou")
        assert first != second
        screen.reload()
        assert screen.screen([within.id, out.id]) == [Anomalous(), Excluded(first)]
        delete_exclusion(acme.id, first, "Alice")
        screen.reload()
        assert screen.screen([out.id]) == [Excluded(second)]
        assert screen.screen([]) == []


class TestScreen:
    def test_reads_nothing_where_no_rule_was_ever_made(self, acme, requested):
        metric = make_metric(acme, "a")
        screen = Screen()
        assert not screen.reload()
        requested.clear()
        assert excluded(screen, metric, metric) == [False, False]
        assert requested == []

    def test_reads_each_metric_once(self, acme, requested):
        out, within = make_metric(acme, "out"), make_metric(acme, "in")
        add(acme, "out")
        screen = Screen()
        assert screen.reload()
        assert excluded(screen, out, within, out) == [True, False, True]
        requested.clear()
        assert not screen.reload()
        assert excluded(screen, out, within) == [True, False]
        assert len(requested) == 1

    def test_applies_changed_rules(self, acme):
        metric = make_metric(acme, "a")
        screen = Screen()
        rule_id = add(acme, "a")
        assert screen.reload()
        assert excluded(screen, metric) == [True]
        delete_exclusion(acme.id, rule_id, "Alice")
        assert screen.reload()
        assert excluded(screen, metric) == [False]

    def test_reads_metrics_that_come_later(self, acme):
        add(acme, "a")
        screen = Screen()
        screen.reload()
        later = make_metric(acme, "a", excluded_by=1)
        assert excluded(screen, later) == [True]
        assert screen.are_excluded(np.empty(0, np.int64)).tolist() == []

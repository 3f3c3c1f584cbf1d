"""Lists of metrics: of one org, by words and by where they stand, as the database sees it."""

from datetime import UTC, datetime
from itertools import product

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from anomify.errors import NotFound
from anomify.metric.model import Metric, Progress
from anomify.metric.queries import (
    Broad,
    MetricOrder,
    count_by_state,
    find_metric,
    find_progress,
    get_metric,
    get_metric_status,
    list_metrics,
)
from anomify.metric.status import State, inactive_since_ms
from anomify.org.model import Org
from tests.factories import make_metric, make_org

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)
MINUTE = 60_000


@pytest.fixture
def acme(unit: Session) -> Org:
    assert unit.is_active
    return make_org()


@pytest.fixture
def globex(unit: Session) -> Org:
    assert unit.is_active
    return make_org("Globex")


def judge(unit: Session, metric: Metric, **more: object) -> Progress:
    found = {"judged_until_ms": AT_MS, "points_seen": 500, "last_value": 1.0} | more
    row = Progress(metric_id=metric.id, **{"resolution_ms": MINUTE} | found)
    unit.add(row)
    unit.flush()
    return row


def names(page: object) -> list[str]:
    return [status.metric.name for status in page.items]


class TestGetMetric:
    def test_finds_either_spelling_where_only_one_is_there(self, acme, globex):
        one, other, mixed = "\u00e9.\u00e9", "e\u0301.e\u0301", "\u00e9.e\u0301"
        made = make_metric(acme, mixed)
        for name in (one, other, mixed):
            assert get_metric(acme.id, name) is made
            assert find_metric(globex.id, name) is None
        second = make_metric(acme, one)
        assert get_metric(acme.id, one) is second
        assert get_metric(acme.id, mixed) is made
        assert find_metric(acme.id, other) is None
        with pytest.raises(NotFound, match="2 metrics of your org"):
            get_metric(acme.id, other)

    def test_finds_the_orgs_own_only(self, acme, globex):
        made = make_metric(acme, "cpu.load")
        assert get_metric(acme.id, "cpu.load") is made
        assert find_metric(globex.id, "cpu.load") is None
        with pytest.raises(NotFound):
            get_metric(globex.id, "cpu.load")


class TestGetStanding:
    def test_returns_the_status_of_the_metric(self, unit, acme):
        metric = make_metric(acme)
        assert get_metric_status(acme.id, metric.name, AT).state is State.WAITING
        judge(unit, metric, points_seen=12)
        assert get_metric_status(acme.id, metric.name, AT).learned == 12


class TestFindProgress:
    def test_leaves_out_those_that_are_not_judged_and_those_of_others(self, unit, acme, globex):
        mine, waiting, foreign = make_metric(acme), make_metric(acme, "m"), make_metric(globex)
        for metric in (mine, foreign):
            judge(unit, metric)
        found = find_progress(acme.id, [mine.id, waiting.id, foreign.id])
        assert list(found) == [mine.id]


class TestListMetrics:
    def test_counts_only_where_the_page_does_not_show_the_total(self, unit, acme):
        for name in ("a.cpu", "b.cpu", "c.cpu", "memory"):
            make_metric(acme, name)
        counted = []

        def note(_connection, _cursor, statement, *_):
            counted.append("count(" in statement)

        connection = unit.connection()
        event.listen(connection, "before_cursor_execute", note)
        try:
            for words, total in (["cpu"], 3), (["memory"], 1), ([], 4), (["nothing"], 0):
                for limit, offset in product((0, 1, 3, 4, 50), (0, 1, 3, 4, 9)):
                    counted.clear()
                    page = list_metrics(acme.id, AT, words=words, limit=limit, offset=offset)
                    assert page.total == total
                    shown = len(page.items)
                    is_plain = shown < limit and (shown > 0 or offset == 0)
                    assert any(counted) is not is_plain
        finally:
            event.remove(connection, "before_cursor_execute", note)

    def test_gives_a_page_by_name_and_counts_them_all(self, acme, globex):
        for name in ("c", "a", "b"):
            make_metric(acme, name)
        make_metric(globex, "d")
        page = list_metrics(acme.id, AT, limit=2)
        assert (names(page), page.total) == (["a", "b"], 3)
        assert names(list_metrics(acme.id, AT, limit=2, offset=2)) == ["c"]
        assert names(list_metrics(acme.id, AT, order=MetricOrder.NEWEST)) == ["b", "a", "c"]

    def test_finds_every_word_as_it_is_written(self, acme):
        for name in ("web.cpu_load", "web.cpuXload", "db.CPU_load", "50%"):
            make_metric(acme, name)
        assert names(list_metrics(acme.id, AT, words=["cpu_", "web"])) == ["web.cpu_load"]
        assert len(list_metrics(acme.id, AT, words=["Cpu_Load", ""]).items) == 2
        assert names(list_metrics(acme.id, AT, words=["%"])) == ["50%"]


class TestStates:
    def test_sql_condition_equals_the_status_in_python_for_each_metric(self, unit, acme):
        """The ladder is written twice, once for each; here they meet on every step and edge."""
        make_metric(acme, "waiting")
        make_metric(acme, "excluded").excluded_by = 1
        edges = (5 * MINUTE, 15 * MINUTE)
        silences = sorted({0, -MINUTE, *edges, *(edge + 1 for edge in edges)})
        rungs = product(silences, edges, ((0, 28), (27, 28), (28, 28), (99, 100), (101, 100)))
        flags = list(product((False, True), repeat=3))
        for number, (silent, stale_after, (seen, needed)) in enumerate(rungs):
            for is_constant, has_ended, may_be_silent in flags:
                judge(
                    unit,
                    make_metric(acme, f"m{number}.{is_constant}.{has_ended}.{may_be_silent}"),
                    judged_until_ms=AT_MS - silent,
                    stale_after_ms=stale_after,
                    points_seen=seen,
                    learning_points=needed,
                    is_constant=is_constant,
                    has_ended=has_ended,
                    may_be_silent=may_be_silent,
                )
        counts = count_by_state(acme.id, AT)
        assert set(counts) == set(State)
        assert min(counts.values()) > 0
        assert sum(counts.values()) == list_metrics(acme.id, AT).total
        for state, count in counts.items():
            page = list_metrics(acme.id, AT, state=state, limit=500)
            assert page.total == len(page.items) == count
            assert {status.state for status in page.items} == {state}

    def test_are_asked_for_several_at_once(self, unit, acme):
        judge(unit, make_metric(acme, "fresh"), judged_until_ms=AT_MS)
        judge(unit, make_metric(acme, "stale"), judged_until_ms=AT_MS - 60 * MINUTE)
        judge(unit, make_metric(acme, "silent"), judged_until_ms=AT_MS - 1441 * MINUTE)
        judge(unit, make_metric(acme, "ended"), judged_until_ms=AT_MS, has_ended=True)
        quiet = {"judged_until_ms": AT_MS - 1441 * MINUTE, "may_be_silent": True}
        judge(unit, make_metric(acme, "quiet"), **quiet)
        make_metric(acme, "waiting")
        make_metric(acme, "excluded").excluded_by = 1
        unit.flush()
        assert names(list_metrics(acme.id, AT, state=Broad.LIVE)) == ["fresh", "quiet", "waiting"]
        inactive = list_metrics(acme.id, AT, state=Broad.INACTIVE)
        assert names(inactive) == ["ended", "silent"]
        since = [inactive_since_ms(status, AT) for status in inactive.items]
        assert since == [AT_MS, AT_MS - MINUTE]
        live = list_metrics(acme.id, AT, state=Broad.LIVE).items
        assert {inactive_since_ms(status, AT) for status in live} == {None}

    def test_are_counted_of_one_org(self, unit, acme, globex):
        judge(unit, make_metric(globex))
        assert sum(count_by_state(acme.id, AT).values()) == 0

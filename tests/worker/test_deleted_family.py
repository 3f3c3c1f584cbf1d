"""A pattern of a family whose metric is deleted while the worker still knows it."""

from anomify.db import session
from anomify.metric.deleting import delete_metric
from anomify.metric.model import Metric
from anomify.metric_deletion.delete_metric import delete_metric_and_anomalies
from anomify.org.model import Org
from anomify.pattern.changes import changes_so_far
from anomify.pattern.charts import chart_of_pattern
from anomify.pattern.model import PatternState, Scope
from anomify.pattern.queries import list_patterns
from anomify.rendering.chart import ChartLook
from tests.factories import make_metric, make_pattern
from tests.kit.nights import JOB, LATER, NEXT, TRAINED_DAY, Kind, nights_of
from tests.kit.plant import Plant


def test_explains_nothing_any_more_and_stops_nothing(plant: Plant) -> None:
    first, second = (nights_of(plant, Kind(f'cpu{{host="{host}"}}', 100.0, 1.0)) for host in "ab")
    first.run(TRAINED_DAY, JOB)
    second.run(NEXT, JOB)
    second.run(LATER, JOB)
    analyser = plant.analyser()
    first.judge(analyser, NEXT)
    second.judge(analyser, NEXT)
    first.train(first.anomalies(TRAINED_DAY)[0], scope=Scope.FAMILY)
    second.judge(analyser, LATER)
    assert second.matches(NEXT)
    with plant.database.unit_of_work():
        # Without the note that patterns have changed: as if it was deleted after that was read.
        delete_metric(session().get_one(Metric, first.metric_id), "Alice")
    second.judge(analyser, LATER + 1)
    assert second.matches(LATER) == []
    assert second.anomalies(LATER)


def test_is_noted_for_the_worker(plant: Plant) -> None:
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        with_pattern, without = make_metric(org, "cpu.a"), make_metric(org, "cpu.b")
        make_pattern(with_pattern)
        before = changes_so_far()
        delete_metric_and_anomalies(without, "Alice")
        assert changes_so_far() == before
        delete_metric_and_anomalies(with_pattern, "Alice")
        assert changes_so_far() != before


def test_stays_disabled_for_the_matches_that_it_explained(plant: Plant) -> None:
    first, second = (nights_of(plant, Kind(f'cpu{{host="{host}"}}', 100.0, 1.0)) for host in "ab")
    first.run(TRAINED_DAY, JOB)
    second.run(NEXT, JOB)
    second.run(LATER, JOB)
    analyser = plant.analyser()
    first.judge(analyser, NEXT)
    second.judge(analyser, NEXT)
    first.train(first.anomalies(TRAINED_DAY)[0], scope=Scope.FAMILY)
    second.judge(analyser, LATER)
    [match] = second.matches(NEXT)
    with plant.database.unit_of_work():
        delete_metric_and_anomalies(session().get_one(Metric, first.metric_id), "Alice")
    [kept] = second.matches(NEXT)
    assert (kept.id, kept.pattern_id) == (match.id, match.pattern_id)
    with plant.database.unit_of_work(write=False):
        assert list_patterns(plant.org_id).items == []
        [pattern] = list_patterns(plant.org_id, states=[PatternState.DISABLED]).items
        assert (pattern.id, pattern.metric_id) == (match.pattern_id, second.metric_id)
        assert pattern.state == PatternState.DISABLED
        assert pattern.state_reason == 'Its metric cpu{host="a"} was deleted.'
        # Its picture shows the excursion alone.
        org = session().get_one(Org, plant.org_id)
        chart = chart_of_pattern(org, pattern, from_ms=None, until_ms=None, look=ChartLook())
        assert (pattern.started_ms in chart.times, len(chart.times) < 200) == (True, True)
    second.judge(analyser, LATER + 1)
    assert second.matches(LATER) == []
    assert second.anomalies(LATER)

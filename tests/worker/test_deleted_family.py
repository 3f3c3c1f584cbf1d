"""A pattern of a family whose metric is deleted while the worker still knows it."""

from anomify.db import session
from anomify.metric.deleting import delete_metric
from anomify.metric.model import Metric
from anomify.metric_deletion.delete_metric import delete_metric_and_anomalies
from anomify.org.model import Org
from anomify.pattern.changes import changes_so_far
from anomify.pattern.model import Scope
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
